"""TLS: how a client knows its server, and the server its client."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc


@dataclass(frozen=True)
class Tls:
    """TLS of a channel. The files are PEM, and read when a client connects.

    Args:
        ca_file: the CAs that vouch for the server; None = those that gRPC brings along.
        certificate_file: the client's certificate and those up to its CA; None = it shows none.
        key_file: the certificate's private key, not encrypted; None exactly where the certificate is.
        server_name: the name that the server's certificate must have, where the target has another.
    Raises: ValueError for a certificate without a key, or a key without one.
    """

    ca_file: str | PathLike[str] | None = None
    certificate_file: str | PathLike[str] | None = None
    key_file: str | PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises: OSError."""
        return grpc.ssl_channel_credentials(
            _read(self.ca_file), _read(self.key_file), _read(self.certificate_file)
        )

    def options(self) -> list[tuple[str, str | int]]:
        """What the channel is told beside the credentials."""
        if self.server_name is None:
            return []
        return [("grpc.ssl_target_name_override", self.server_name)]


def _read(path: str | PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
