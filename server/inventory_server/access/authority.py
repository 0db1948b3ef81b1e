"""A certificate authority for development: `inventory certs`. In production it is your own that signs."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inventory_server.operator_error import OperatorError

CA, SERVER = "ca", "server"
# Clocks of two machines differ.
_BACKDATED = timedelta(minutes=5)


class _Signed(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certificates(
    folder: Path, *, server_names: Sequence[str], client_names: Sequence[str], days: int
) -> list[Path]:
    """Make a CA, a certificate of a server and one of each client, with their keys.

    Args:
        folder: made if absent. A CA that stands there is used again, so that clients can be added.
        server_names: DNS names and IP addresses under which the server is called; none: it gets no
            certificate.
        client_names: DNS names or URIs such as spiffe://shop/orders, by which each is known to the server.
        days: how long the certificates are valid, > 0; the CA is valid ten times as long.
    Returns: the certificates' files; beside each stands its key, `...-key.pem`, for its owner's eyes alone.
    Raises: OperatorError: a name that can be none, a folder that cannot be written, or a CA that is broken.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = []
        authority = _authority(folder)
        if authority is None:
            authority = _sign(None, "inventory development CA", [], days * 10)
            made.append(_write(folder, CA, authority))
        if server_names:
            names = [_general_name(name) for name in server_names]
            made.append(_write(folder, SERVER, _sign(authority, server_names[0], names, days)))
        for name in client_names:
            signed = _sign(authority, name, [_general_name(name)], days, is_client=True)
            made.append(_write(folder, _file_name(name), signed))
    except OSError as error:
        raise OperatorError(f"cannot write to {folder}: {error.strerror}") from error
    return made


def _sign(
    authority: _Signed | None,
    common_name: str,
    names: Sequence[x509.GeneralName],
    days: int,
    *,
    is_client: bool = False,
) -> _Signed:
    """Sign a new key: as the authority, or as an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    now = datetime.now(UTC)
    issuer = authority.certificate.subject if authority else subject
    signing_key = authority.key if authority else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
        .add_extension(_usage(is_authority=authority is None), critical=True)
    )
    if authority is not None:
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Signed(builder.sign(signing_key, hashes.SHA256()), key)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(name: str) -> x509.GeneralName:
    try:
        if "://" in name:
            return x509.UniformResourceIdentifier(name)
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            if not re.fullmatch(r"[A-Za-z0-9*-]+(\.[A-Za-z0-9-]+)*", name):
                raise
            return x509.DNSName(name)
    except ValueError as error:
        raise OperatorError(f"{name!r} is no DNS name, no IP address and no URI") from error


def _file_name(name: str) -> str:
    """spiffe://shop/orders -> client-shop-orders."""
    return "client-" + re.sub(r"[^A-Za-z0-9]+", "-", name.partition("://")[2] or name)[:64]


def _authority(folder: Path) -> _Signed | None:
    if not (folder / f"{CA}.pem").exists():
        return None
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{CA}.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{CA}-key.pem").read_bytes(), password=None)
    except ValueError as error:
        raise OperatorError(f"the CA in {folder} is broken; take another folder") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OperatorError(f"the CA in {folder} is none of ours; take another folder")
    return _Signed(certificate, key)


def _write(folder: Path, name: str, signed: _Signed) -> Path:
    """Write the key, then the certificate, each whole or not at all: a server may read them right now."""
    key = signed.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(folder / f"{name}-key.pem", key, 0o600)
    path = folder / f"{name}.pem"
    _replace(path, signed.certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return path


def _replace(path: Path, text: bytes, mode: int) -> None:
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text)
    beside.replace(path)
