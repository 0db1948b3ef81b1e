"""Certificates of a test's own."""

from __future__ import annotations

from pathlib import Path

import inventory_client
from inventory_server.access.authority import make_certificates
from inventory_server.access.certificates import TlsFiles


class Papers:
    """A CA in a folder, with a server's certificate and a client's."""

    def __init__(self, folder: Path, *, client: str = "spiffe://shop/orders", days: int = 1) -> None:
        self.folder = folder
        self.server_names = ["localhost", "127.0.0.1"]
        self.days = days
        make_certificates(folder, server_names=self.server_names, client_names=[client], days=days)
        (self.client_file,) = folder.glob("client-*[!y].pem")
        self.client_key_file = self.client_file.with_name(f"{self.client_file.stem}-key.pem")

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def files(self, *, mutual: bool = False) -> TlsFiles:
        """What a server is given."""
        server = self.folder / "server.pem", self.folder / "server-key.pem"
        return TlsFiles(*server, self.ca_file if mutual else None)

    def settings(self, *, mutual: bool = False) -> dict[str, object]:
        """The same as settings of a server."""
        certificate, key, client_ca = self.files(mutual=mutual)
        given = {"tls_certificate_file": certificate, "tls_key_file": key}
        return {**given, "tls_client_ca_file": client_ca} if client_ca else {**given}

    def tls(self, *, trusting: Path | None = None, shows: bool = True) -> inventory_client.Tls:
        """What a client is given: whom it trusts, and whether it shows its certificate."""
        return inventory_client.Tls(
            ca_file=trusting or self.ca_file,
            certificate_file=self.client_file if shows else None,
            key_file=self.client_key_file if shows else None,
        )

    def renew_server(self) -> None:
        """Put another certificate in the place of the server's."""
        make_certificates(self.folder, server_names=self.server_names, client_names=[], days=self.days)
