"""Tokens of an identity provider: JWTs that its keys have signed, for us, and that say whose they are.

What the subject may is not the provider's word: a credential of the kind SUBJECT says so. So a
revocation, a role and a limit are in one place, whatever a caller is known by.
"""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import jwt
import structlog

from inventory_server.access.errors import Unauthenticated
from inventory_server.config import need_keys_place

_log = structlog.get_logger("inventory_server.access")

KEYS_BYTES_MAX = 1024 * 1024
FETCH_TIMEOUT_S = 10.0
# Verified tokens that are kept, so that a caller's second call costs no signature; then all are forgotten.
VERIFIED_MAX = 10_000


class Provider(NamedTuple):
    """Who signs, for whom, and how.

    Args:
        issuer, audience: what a token must name as its `iss`, and among its `aud`.
        keys: where the provider's JWKS stands: a file, or a URL (https, http on the loopback).
        algorithms: of config.JWT_ALGORITHMS; a token signed by any other is none.
        leeway_s: how far the provider's clock may be from ours, >= 0.
    """

    issuer: str
    audience: str
    keys: str
    algorithms: tuple[str, ...]
    leeway_s: float


class _Verified(NamedTuple):
    subject: str
    until_s: float


class IdTokens:
    """The tokens of one provider, whose keys are read again and again (`refresh`)."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._keys: dict[str, jwt.PyJWK] = {}
        self._verified: dict[str, _Verified] = {}
        self._complaint = ""

    def refresh(self) -> None:
        """Read the provider's keys; blocks, so it is for a thread. Where that fails, those before go on."""
        try:
            keys = _keys_of(_fetch(self._provider.keys))
        except (OSError, ValueError, jwt.PyJWTError) as error:
            if str(error) != self._complaint:
                _log.error("identity_provider_keys_not_read", keys=self._provider.keys, error=str(error))
                self._complaint = str(error)
            return
        self._complaint = ""
        if keys.keys() != self._keys.keys():
            _log.info("identity_provider_keys_read", key_ids=sorted(keys))
        # What a key has signed that is there no more is no token any more.
        self._keys, self._verified = keys, {}

    def subject(self, token: str) -> str:
        """Return whose a token is. Raises: Unauthenticated."""
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
            if len(self._verified) >= VERIFIED_MAX:
                self._verified = {}
            self._verified[token] = known
        if known.until_s <= time.time():
            raise Unauthenticated
        return known.subject

    def _verify(self, token: str) -> _Verified:
        provider = self._provider
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid") or "")
            if key is None or header.get("alg") not in provider.algorithms:
                raise Unauthenticated
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[header["alg"]],
                issuer=provider.issuer,
                audience=provider.audience,
                leeway=provider.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unauthenticated from None
        return _Verified(claims["sub"], float(claims["exp"]) + provider.leeway_s)


def _fetch(place: str) -> bytes:
    if place.startswith("/"):
        with Path(place).open("rb") as file:
            text = file.read(KEYS_BYTES_MAX + 1)
    else:
        with urllib.request.urlopen(place, timeout=FETCH_TIMEOUT_S) as answer:
            need_keys_place(answer.url)  # it may have sent us elsewhere
            text = answer.read(KEYS_BYTES_MAX + 1)
    if len(text) > KEYS_BYTES_MAX:
        raise ValueError(f"the keys have more than {KEYS_BYTES_MAX} bytes")
    return text


def _keys_of(text: bytes) -> dict[str, jwt.PyJWK]:
    keys = jwt.PyJWKSet.from_json(text.decode()).keys
    return {
        key.key_id: key
        for key in keys
        if key.key_id and key.public_key_use in (None, "sig") and key.key_type in ("RSA", "EC", "OKP")
    }
