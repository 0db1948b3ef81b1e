"""TLS as gRPC takes it: certificates are looked at with every handshake, so that new ones need no restart."""

from __future__ import annotations

import grpc

from inventory_server.access.certificates import Certificates, TlsFiles, TlsTexts


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return credentials that follow their files.

    Clients must show a certificate of the client CA where there is one. A connection that stands is not
    looked at again; it ends by its age (`server.CONNECTION_AGE_MS_MAX`).
    Raises: CertificateRefused.
    """
    certificates = Certificates(files)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        texts = certificates.changed()
        return None if texts is None else _configuration(texts)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(certificates.current),
        fetch,  # type: ignore[arg-type]  # None is "unchanged"
        require_client_authentication=files.client_ca is not None,
    )


def _configuration(texts: TlsTexts) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(texts.key, texts.certificate)], texts.client_ca)
