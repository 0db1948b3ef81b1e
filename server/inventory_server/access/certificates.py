"""What a server shows its callers, and whom it believes: read from files, and read again when they change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from inventory_server.operator_error import OperatorError

_log = structlog.get_logger("inventory_server.access")

T = TypeVar("T")


class CertificateRefused(OperatorError):
    """A certificate, its key or a CA that cannot be used; one line that names the file, not its text."""


class TlsFiles(NamedTuple):
    """Where a server's TLS stands, all PEM.

    Args:
        certificate: the server's, followed by those between it and its CA.
        key: the certificate's private key, not encrypted.
        client_ca: the CAs that vouch for clients, who then must show a certificate; None = they need not.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


class TlsTexts(NamedTuple):
    """The contents of TlsFiles, which belong together."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


class Certificates:
    """The TLS of a server as its files have it now. `changed` may be called from any thread.

    Raises: CertificateRefused, for files that cannot be used at the start.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._look()
        self._complaint = ""
        self.current = read(files)

    def changed(self) -> TlsTexts | None:
        """Return the files' contents if they changed since the last time; None if not.

        Files that cannot be used, such as a certificate whose key is not written yet, change nothing: what
        was read before goes on, the log has a line, and the next call looks again.
        """
        try:
            look = self._look()
            if look == self._seen:
                return None
            self.current = read(self._files)
        except (CertificateRefused, OSError) as error:
            if str(error) != self._complaint:
                _log.error("certificates_not_reloaded", error=str(error))
                self._complaint = str(error)
            return None
        self._seen, self._complaint = look, ""
        _log.info("certificates_reloaded", certificate=str(self._files.certificate))
        return self.current

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        """What tells one state of the files from another; a missing one is told when it is read."""
        found = (_stat(path) for path in self._files if path is not None)
        return tuple((told.st_ino, told.st_size, told.st_mtime_ns) if told else (0, 0, 0) for told in found)


def read(files: TlsFiles) -> TlsTexts:
    """Read the files. Raises: CertificateRefused, for what is no PEM, or a key of another certificate."""
    certificate, key = _read(files.certificate), _read(files.key)
    chain = _parsed(files.certificate, x509.load_pem_x509_certificates, certificate)
    own = _parsed(files.key, lambda text: serialization.load_pem_private_key(text, password=None), key)
    if _public(own.public_key()) != _public(chain[0].public_key()):
        raise CertificateRefused(f"{files.key} is not the key of the certificate {files.certificate}")
    if files.client_ca is None:
        return TlsTexts(certificate, key, None)
    client_ca = _read(files.client_ca)
    _parsed(files.client_ca, x509.load_pem_x509_certificates, client_ca)
    return TlsTexts(certificate, key, client_ca)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateRefused(f"cannot read {path}: {error.strerror}") from error


def _parsed(path: Path, parse: Callable[[bytes], T], text: bytes) -> T:
    # The library's own words may show a piece of the file.
    try:
        return parse(text)
    except TypeError:
        raise CertificateRefused(f"{path} is encrypted; give a key that is not") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateRefused(f"{path} is not the PEM that it should be") from None


def _public(key: object) -> bytes:
    assert hasattr(key, "public_bytes")
    told: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return told


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
