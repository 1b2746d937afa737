"""Whose credentials are used, and for which address."""

from __future__ import annotations

import json
import sys

import pytest

from harvester.credentials import Credentials
from harvester.errors import NoCredentials
from harvester.model import Quota
from tests.settings.desk import PAT, SECRET, Desk

BASE = {"SAIL_BASE_URL": "https://a.example"}


def test_id_in_the_file_and_secret_in_the_environment(desk: Desk) -> None:
    """The file that everybody may read has only the ID; SAIL_CLIENT_SECRET or its file completes it."""
    config = desk.write("c.toml", 'base_url = "https://a.example"\nclient_id = "x"\n')
    loaded = desk.load(environ={"SAIL_CLIENT_SECRET": SECRET}, config=config)
    assert loaded.settings.clients == (Credentials(client_id="x", client_secret=SECRET),)
    secret = desk.write("secret", SECRET + "\n")
    loaded = desk.load(environ={"SAIL_CLIENT_SECRET_FILE": str(secret)}, config=config)
    assert loaded.settings.clients[0].client_secret == SECRET


def test_secrets_from_variables_and_files(desk: Desk) -> None:
    """Each client may name where its secret is."""
    secret = desk.write("secret", f"\ufeff{SECRET}\r\n")
    config = desk.write(
        "c.toml",
        f"""
base_url = "https://a.example"
[[clients]]
client_id = "a"
client_secret_env = "A_SECRET"
quota = "50/10s"
[[clients]]
client_id = "b"
client_secret_file = "{secret}"
[[clients]]
access_token_file = "{secret}"
name = "ready"
""",
    )
    clients = desk.load(environ={"A_SECRET": SECRET}, config=config).settings.clients
    assert [client.client_secret for client in clients] == [SECRET, SECRET, ""]
    assert clients[0].quota == Quota(50, 10.0)
    assert clients[2].access_token_file == secret
    assert [client.label for client in clients] == ["a", "b", "ready"]


def test_a_file_of_clients(desk: Desk) -> None:
    """--clients names a file of tables, which comes before everything else."""
    path = desk.write("clients.toml", f'[[clients]]\nclient_id = "a"\nclient_secret = "{SECRET}"\n')
    config = desk.write("c.toml", 'clients = "clients.toml"\n')
    for flags, environ in (({"clients": str(path)}, PAT), ({}, PAT | {"HARVESTER_CLIENTS": str(path)})):
        loaded = desk.load(flags, environ)
        assert loaded.settings.clients == (Credentials(client_id="a", client_secret=SECRET),)
        assert str(path) in loaded.origins["clients"]
    assert "is not a list of clients" in desk.error(config=config)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "[[clients]]\nclientid = 1",
            "bad.toml:2: clients[1].clientid: there is no such setting: did you mean",
        ),
        ("page_size = 1", "bad.toml:1: page_size: there is no such setting"),
        ("[clients]", "clients: is not a list of clients"),
        ("", "clients: is not a list of clients"),
        ("a = \n", "bad.toml:1: is not valid TOML"),
        (f"a = {'[' * 100_000}", "is nested too deeply"),
    ],
)
def test_what_a_file_of_clients_may_not_say(content: str, said: str, desk: Desk) -> None:
    """Each mistake is reported with the file and, where there is one, the line or key."""
    assert said in desk.error({"clients": str(desk.write("bad.toml", content))})


def test_a_ready_token(desk: Desk) -> None:
    """SAIL_ACCESS_TOKEN and its file work without a client ID; a secret is preferred."""
    assert desk.load(environ=BASE | {"SAIL_ACCESS_TOKEN": SECRET}).settings.clients[0].access_token == SECRET
    path = desk.write("token", SECRET)
    loaded = desk.load(environ=BASE | {"SAIL_ACCESS_TOKEN_FILE": str(path)})
    assert loaded.settings.clients[0].access_token_file == path
    loaded = desk.load(environ=PAT | {"SAIL_ACCESS_TOKEN": SECRET})
    assert loaded.settings.clients[0].client_id == "pat"
    assert "SAIL_ACCESS_TOKEN is not used" in loaded.warnings[0]


def test_the_environment_overrides_the_files_clients_with_a_word(desk: Desk) -> None:
    """Whoever listed clients in a file should hear that a variable takes their place."""
    config = desk.write("c.toml", f'client_id = "x"\nclient_secret = "{SECRET}"\n')
    loaded = desk.load(config=config)
    assert loaded.settings.clients[0].client_id == "pat"
    assert f"the clients of {config} are not used" in loaded.warnings[0]


def test_a_secret_file_that_all_may_read_is_a_warning(desk: Desk) -> None:
    """Wherever a secret was read from, open permissions are a warning; a group's are not."""
    config = desk.write(
        "c.toml", f'base_url = "https://a.example"\nclient_id = "x"\nclient_secret = "{SECRET}"\n', 0o644
    )
    assert "chmod o-r" in desk.load(environ={}, config=config).warnings[0]
    config.chmod(0o640)
    assert desk.load(environ={}, config=config).warnings == ()
    config.write_text('base_url = "https://a.example"\nclient_id = "x"\nclient_secret_env = "S"\n')
    config.chmod(0o644)
    assert desk.load(environ={"S": SECRET}, config=config).warnings == ()


def test_the_sdks_file(desk: Desk) -> None:
    """./config.json gives address, ID and secret together."""
    sdk = {"BaseURL": "https://sdk.example", "ClientId": "sdk", "ClientSecret": SECRET}
    desk.write("config.json", json.dumps(sdk))
    loaded = desk.load(environ={})
    assert loaded.settings.base_url == "https://sdk.example"
    assert loaded.settings.clients == (Credentials(client_id="sdk", client_secret=SECRET),)
    assert loaded.origins["clients"] == loaded.origins["base_url"] == "./config.json"


def test_the_sdks_file_does_not_redirect_other_credentials(desk: Desk) -> None:
    """A stray config.json cannot draw a secret to its address, nor lend its own to another."""
    sdk = {"BaseURL": "https://evil.example", "ClientId": "sdk", "ClientSecret": SECRET}
    desk.write("config.json", json.dumps(sdk))
    environ = {"SAIL_CLIENT_ID": "pat", "SAIL_CLIENT_SECRET": SECRET}
    assert "address is not set" in desk.error(environ=environ)
    message = desk.error({"base_url": "https://mine.example"}, {})
    assert "./config.json: is for https://evil.example" in message


def test_the_clis_file(desk: Desk) -> None:
    """The active environment of sail's configuration gives address and secret."""
    desk.sail()
    loaded = desk.load(environ={})
    assert loaded.settings.base_url == "https://acme.api.identitynow.com"
    assert loaded.settings.clients == (Credentials(client_id="sail", client_secret=SECRET),)
    assert loaded.origins["clients"] == "~/.sailpoint/config.yaml (prod)"
    other = desk.load(environ={"SAIL_ACTIVEENVIRONMENT": "other"})
    assert other.settings.clients[0].client_id == "o"
    desk.sail(mode=0o644)
    assert "chmod o-r" in desk.load(environ={}).warnings[0]


def test_the_clis_secrets_go_to_their_own_tenant(desk: Desk) -> None:
    """With another address set, a secret that was kept for the active environment is not used."""
    desk.sail()
    wanted = {"base_url": "https://other.api.identitynow.com"}
    assert "config.yaml: is for https://acme.api.identitynow.com" in desk.error(wanted, {})
    other = desk.load(wanted, {"SAIL_ACTIVEENVIRONMENT": "other"})
    assert other.settings.clients[0].client_id == "o"


def test_the_clis_address_completes_other_credentials(desk: Desk) -> None:
    """The operator's own directory may say where; the keyring is not asked for what is there already."""
    desk.sail(pat="pat: {}")
    loaded = desk.load(environ={"SAIL_CLIENT_ID": "pat", "SAIL_CLIENT_SECRET": SECRET})
    assert loaded.settings.base_url == "https://acme.api.identitynow.com"
    assert loaded.origins["base_url"] == "~/.sailpoint/config.yaml (prod)"


def test_the_keyring(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sail keeps ID and secret in the system keyring, they are found, wrapped or not."""
    keyring = pytest.importorskip("keyring")
    entries = {
        ("environments.pat.clientid", "prod"): "ring",
        ("environments.pat.clientsecret", "prod"): "go-keyring-base64:czNjcjN0LXRoYXQtbm9ib2R5LW1heS1zZWU=",
    }
    monkeypatch.setattr(keyring, "get_password", lambda service, user: entries.get((service, user)))
    desk.sail(pat="pat: {}")
    ring = Credentials(client_id="ring", client_secret=SECRET)
    assert desk.load(environ={}).settings.clients == (ring,)
    entries["environments.pat.clientsecret", "prod"] = "go-keyring-encoded:" + SECRET.encode().hex()
    assert desk.load(environ={}).settings.clients == (ring,)
    entries.clear()
    assert "has no personal access token, in the file or the keyring" in desk.error(environ={})


def test_a_keyring_that_fails_or_is_missing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked keyring and a missing extra are reported as what they are."""
    keyring = pytest.importorskip("keyring")

    def locked(*_: str) -> str:
        raise keyring.errors.KeyringLocked(SECRET)

    desk.sail(pat="pat: {clientid: x}")
    monkeypatch.setattr(keyring, "get_password", locked)
    assert "the system keyring cannot be read (KeyringLocked)" in desk.error(environ={})
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "account-usage-harvester[keyring]" in desk.error(environ={})


def test_nothing_configured_names_every_place(desk: Desk) -> None:
    """Whoever has no credentials learns where they were looked for and how to give them."""
    with pytest.raises(NoCredentials) as caught:
        desk.load(environ={})
    assert caught.value.exit_status == 4
    message = str(caught.value)
    for place in ("--clients", "SAIL_CLIENT_ID", "SAIL_ACCESS_TOKEN", "configuration file"):
        assert place in message
    assert "config.json cannot be read (No such file" in message
    assert ".sailpoint/config.yaml cannot be read (No such file" in message
    assert "no SAIL_CLIENT_SECRET" in desk.error(environ={"SAIL_CLIENT_ID": "x"})
    assert "no SAIL_CLIENT_ID" in desk.error(environ={"SAIL_CLIENT_SECRET": SECRET})
    credentials = {name: value for name, value in PAT.items() if name != "SAIL_BASE_URL"}
    assert desk.error(environ=credentials).startswith("--base-url: the tenant's address is not set")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"BaseURL": 1}', "\x00", "x: [", "- a", "environments: 5", "a: &a [*a]", "[" * 5000],
)
def test_other_peoples_files_are_never_fatal(content: str, desk: Desk) -> None:
    """A config.json or config.yaml that is something else is passed over with a note."""
    desk.write("config.json", content)
    desk.write("~/.sailpoint/config.yaml", content)
    assert desk.error(environ={}).startswith("credentials: none found")
    assert desk.load(environ=PAT).settings.clients
