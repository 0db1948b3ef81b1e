"""Settings: read once, refused in one line."""

from __future__ import annotations

import pytest

from inventory_server.config import Settings, SettingsError, load_settings, without_password


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"INVENTORY_{name.upper()}", raising=False)


def refusal(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(given)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2
    return str(caught.value)


def test_defaults_are_valid() -> None:
    """Without a word the server listens on loopback, on a database of its own."""
    settings = load_settings()
    assert settings.address == "127.0.0.1:50051"
    assert settings.database_url is None and settings.migrate


def test_command_line_wins_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over the environment, the environment over the default."""
    monkeypatch.setenv("INVENTORY_PORT", "1234")
    assert load_settings().port == 1234
    assert load_settings({"port": None}).port == 1234
    assert load_settings({"port": "77"}).port == 77


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after the start."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    """Loopback addresses are served in plaintext."""
    assert load_settings({"host": host}).host == host


BEYOND = ["0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "example.org"]
PROVIDER = {"authentication": True, "jwt_issuer": "i", "jwt_audience": "a", "jwt_keys": "/run/keys.json"}
TLS = {"tls_certificate_file": "c.pem", "tls_key_file": "k.pem"}


@pytest.mark.fault(40)
@pytest.mark.parametrize("host", [*BEYOND, "", "unix:relative", "unix:/" + "x" * 101, "127.0.0.1\n"])
def test_nothing_but_this_machine_is_served_in_plaintext(host: str) -> None:
    """Plaintext never leaves the machine: the refusal says both ways out."""
    assert refusal(host=host) == (
        "host (INVENTORY_HOST): plaintext is served on the loopback (127.0.0.1, ::1, localhost) and on"
        " unix:/PATH only: give one of them, or set tls_certificate_file and tls_key_file"
    )


@pytest.mark.fault(40)
@pytest.mark.parametrize("host", BEYOND)
def test_who_calls_from_elsewhere_proves_who_he_is(host: str) -> None:
    """Beyond the loopback every address is served over TLS, to those with a credential alone."""
    assert load_settings({"host": host, **TLS}).authentication
    assert "authentication can be off on the loopback" in refusal(host=host, authentication=False, **TLS)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "unix:/run/inventory.sock"])
def test_on_this_machine_authentication_is_a_switch(host: str) -> None:
    """Whoever is on the machine may all unless it is said otherwise, with TLS too."""
    assert not load_settings({"host": host}).authentication
    assert load_settings({"host": host, "authentication": "true"}).authentication
    assert not load_settings({"host": "localhost", **TLS}).authentication


@pytest.mark.parametrize("host", ["unix:/run/inventory.sock", "unix:/" + "x" * 100])
def test_a_unix_socket_is_this_machine(host: str) -> None:
    """A socket in the file system is served in plaintext; it has no port."""
    assert load_settings({"host": host, "port": 9}).address == host


@pytest.mark.parametrize(
    ("host", "address"),
    [("::1", "[::1]:9"), ("localhost", "localhost:9")],
)
def test_address_is_what_grpc_binds(host: str, address: str) -> None:
    """The address has the form that gRPC understands."""
    assert load_settings({"host": host, "port": 9}).address == address


def test_a_given_database_is_not_migrated_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only our own database is migrated at start, unless the operator says so."""
    assert load_settings({"database_url": "postgresql:///shop"}).migrate is False
    monkeypatch.setenv("INVENTORY_DATABASE_URL", "postgresql:///shop")
    assert load_settings().migrate is False
    assert load_settings({"migrate": True}).migrate is True


@pytest.mark.parametrize(
    "url", ["postgresql://shop:hunter2@db/shop", "host=db password=hunter2", "password = 'hunter2 x'"]
)
def test_password_is_never_shown(url: str) -> None:
    """A database URL's password is in no representation and in no refusal."""
    settings = load_settings({"database_url": url})
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "hunter2" not in without_password(url)
    assert "hunter2" not in refusal(database_url=url, port=-1)
    assert "hunter2" not in refusal(database_url=f"nonsense {url}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h:5432/d?a=1", "postgresql://u:***@h:5432/d?a=1"),
        ("postgresql://u:a:b@c@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=p&a=1", "postgresql://h/d?user=u&password=***&a=1"),
        ("postgresql:///d", "postgresql:///d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("host=h password='a \\' b' user=u", "host=h password=*** user=u"),
    ],
)
def test_without_password_keeps_the_rest(url: str, shown: str) -> None:
    """What is shown of a URL still tells which database it is."""
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 65536}, "port (INVENTORY_PORT)"),
        ({"port": "many"}, "port (INVENTORY_PORT)"),
        ({"batch_commands_max": 1025}, "batch_commands_max"),
        ({"batch_lines_max": 10_001}, "batch_lines_max"),
        ({"batch_lines_max": 999}, "batch_lines_max"),
        ({"call_timeout_s": 0}, "call_timeout_s"),
        ({"request_log_retention_h": 23}, "request_log_retention_h"),
        ({"payment_gateway": "nowhere"}, "payment_gateway"),
        ({"payment_gateway": "example.org:443"}, "payment_gateway"),
        ({"payment_gateway": "unix:/run/gateway"}, "payment_gateway"),
        ({"gateway_args": "--seed '"}, "gateway_args"),
        ({"payment_gateway": "none", "gateway_args": "--seed 7"}, "gateway_args"),
        ({"database_url": "mysql://x"}, "database_url"),
        ({"ephemeral": True, "data_dir": "/tmp/x"}, "ephemeral"),
        ({"database_url": "postgresql:///x", "data_dir": "/tmp/x"}, "data_dir"),
        ({"owner_database_url": "postgresql:///x"}, "owner_database_url"),
        ({"database_url": "postgresql:///x", "owner_database_url": "mysql://x"}, "owner_database_url"),
        ({"queue_commands_max": 30_000}, "queue_commands_max_total"),
        ({"log_level": "loud"}, "log_level"),
        ({"jwt_issuer": "https://id.example"}, "jwt_audience"),
        ({**PROVIDER, "authentication": False}, "with authentication"),
        ({**PROVIDER, "jwt_keys": "http://id.example/keys"}, "jwt_keys"),
        ({**PROVIDER, "jwt_keys": "keys.json"}, "jwt_keys"),
        ({**PROVIDER, "jwt_algorithms": "HS256"}, "jwt_algorithms"),
        ({**PROVIDER, "jwt_algorithms": ""}, "jwt_algorithms"),
        ({**PROVIDER, "jwt_algorithms": "RS256 none"}, "jwt_algorithms"),
        ({"tls_certificate_file": "c.pem"}, "tls_key_file"),
        ({"tls_key_file": "k.pem"}, "tls_certificate_file"),
        ({"tls_client_ca_file": "ca.pem"}, "tls_certificate_file"),
        ({**TLS, "host": "unix:/run/x"}, "unix socket"),
        ({"workers": 2, "host": "unix:/run/x"}, "unix socket"),
        ({**TLS, "tls_client_ca_file": "ca.pem", "host": "a b"}, "host (INVENTORY_HOST)"),
    ],
)
def test_bad_settings_are_named(given: dict[str, object], said: str) -> None:
    """A setting out of its range is refused in one line that names it."""
    assert said in refusal(**given)


def test_the_workers_metrics_have_ports() -> None:
    """Each worker's metrics have the next port, and the last worker's is one too."""
    assert load_settings({"metrics_port": 65_472, "workers": 64}).workers == 64
    with pytest.raises(SettingsError, match="metrics_port leaves no room"):
        load_settings({"metrics_port": 65_473, "workers": 64})
    with pytest.raises(SettingsError, match="workers"):
        load_settings({"workers": 65})


def test_every_bad_setting_is_named_at_once() -> None:
    """Two bad settings are one refusal."""
    said = refusal(port=-1, host="example.org")
    assert "port (" in said and "host (" in said


def test_simulator_options_are_split_as_a_shell_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator's options stand in one string, in the environment too."""
    monkeypatch.setenv("INVENTORY_GATEWAY_ARGS", "--latency-ms 20 --seed '7'")
    assert load_settings().gateway_args == ("--latency-ms", "20", "--seed", "7")
