"""Certificates: made for development, read and checked, and looked at again when their files change."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from inventory_server.access.authority import make_certificates
from inventory_server.access.certificates import CertificateRefused, Certificates, TlsFiles, read
from inventory_server.cli import CERTIFICATE_DAYS_MAX, app
from inventory_server.operator_error import OperatorError
from support.certificates import Papers


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def names_in(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


# --- making ---------------------------------------------------------------------------------------


def test_the_command_makes_what_a_server_and_its_clients_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CA, a server's and each client's certificate, keys for their owner alone; each file is named."""
    with pytest.raises(SystemExit) as caught:
        app(["certs", str(tmp_path), "--server", "inventory.test", "--client", "spiffe://shop/orders"])
    assert caught.value.code == 0
    told = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in told] == ["ca.pem", "server.pem", "client-shop-orders.pem"]
    assert [names_in(path) for path in told[1:]] == [["inventory.test"], ["spiffe://shop/orders"]]
    for path in told:
        key = path.with_name(f"{path.stem}-key.pem")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert read(TlsFiles(told[1], tmp_path / "server-key.pem", told[0])).client_ca


def test_a_ca_is_used_again(papers: Papers) -> None:
    """A client that is added later is vouched for by the CA that stands there; nothing else is touched."""
    before = {path: path.read_bytes() for path in papers.folder.iterdir()}
    (made,) = make_certificates(papers.folder, server_names=[], client_names=["warehouse"], days=1)
    assert {path: path.read_bytes() for path in before} == before
    authority = x509.load_pem_x509_certificate(papers.ca_file.read_bytes())
    x509.load_pem_x509_certificate(made.read_bytes()).verify_directly_issued_by(authority)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "shop\n"])
def test_a_name_that_can_be_none(tmp_path: Path, name: str) -> None:
    """What is no DNS name, address or URI is refused in one line."""
    with pytest.raises(OperatorError, match="is no DNS name"):
        make_certificates(tmp_path, server_names=[name], client_names=[], days=1)


@pytest.mark.parametrize(("days", "status"), [(CERTIFICATE_DAYS_MAX, 0), (CERTIFICATE_DAYS_MAX + 1, 2)])
def test_how_long_a_certificate_may_be_valid(tmp_path: Path, days: int, status: int) -> None:
    """So many days, and not one more: a bad option is exit status 2."""
    with pytest.raises(SystemExit) as caught:
        app(["certs", str(tmp_path), "--days", str(days)])
    assert caught.value.code == status


# --- reading --------------------------------------------------------------------------------------


def encrypted(text: bytes) -> bytes:
    key = serialization.load_pem_private_key(text, password=None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def another_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_files_that_cannot_be_used(papers: Papers) -> None:
    """Missing, no PEM, encrypted, of another certificate: a line that names the file, nothing of it."""
    files = papers.files(mutual=True)
    good = files.key.read_bytes()
    secret = good.splitlines()[1].decode()
    for text, said in (
        (None, "cannot read"),
        (b"", "not the PEM"),
        (good[: len(good) // 2], "not the PEM"),
        (encrypted(good), "is encrypted"),
        (another_key(), "is not the key of"),
    ):
        files.key.unlink(missing_ok=True)
        if text is not None:
            files.key.write_bytes(text)
        with pytest.raises(CertificateRefused, match=said) as caught:
            read(files)
        assert str(files.key) in str(caught.value)
        assert "\n" not in str(caught.value) and secret not in str(caught.value)


def test_certificates_follow_their_files(papers: Papers) -> None:
    """Unchanged files are no change; new ones are, once; a half of them is none, and logged once."""
    certificates = Certificates(papers.files())
    assert certificates.changed() is None
    papers.renew_server()
    with capture_logs() as logs:
        assert (renewed := certificates.changed()) == read(papers.files())
        assert certificates.changed() is None
        key = papers.files().key.read_bytes()
        papers.files().key.write_bytes(another_key())
        assert certificates.changed() is None and certificates.changed() is None
        assert certificates.current == renewed
        papers.files().key.write_bytes(key)
        assert certificates.changed() == renewed
    assert [line["event"] for line in logs] == [
        "certificates_reloaded", "certificates_not_reloaded", "certificates_reloaded",
    ]  # fmt: skip
