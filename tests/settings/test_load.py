"""Settings from flags, environment, files and the ecosystem's places: what decides, and what is refused."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import SettingFault
from harvester.model import Quota, Shard
from harvester.settings.client_tables import CLIENT_KEYS
from harvester.settings.load import Loaded, explain, load, load_settings
from harvester.settings.model import Client
from harvester.settings.table import BY_NAME, FIELDS
from harvester.settings.values import default_of

SECRET = "s3cr3t-that-nobody-may-see"
PAT = {
    "SAIL_BASE_URL": "https://acme.api.identitynow.com",
    "SAIL_CLIENT_ID": "pat",
    "SAIL_CLIENT_SECRET": SECRET,
}
DOCUMENTED = Path(__file__).parents[2] / "config" / "harvester.toml"


class Desk:
    """A home folder, a working folder, and what can be put into them."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.cwd = root / "work"
        self.home.mkdir()
        self.cwd.mkdir()

    def load(
        self, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = PAT, **more: Any
    ) -> Loaded:
        """Load with this desk's folders."""
        return load(flags or {}, environ=environ, home=self.home, cwd=self.cwd, **more)

    def fault(self, *args: Any, **more: Any) -> str:
        """The sentence that loading ends with. It shows no secret."""
        with pytest.raises(SettingFault) as caught:
            self.load(*args, **more)
        assert SECRET not in str(caught.value)
        return str(caught.value)

    def write(self, name: str, content: str, mode: int = 0o600) -> Path:
        """A file in the working folder, or under ~."""
        path = self.home / name[2:] if name.startswith("~/") else self.cwd / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def sail(self, pat: str = f"pat: {{clientid: sail, clientsecret: {SECRET}}}", mode: int = 0o600) -> None:
        """The official CLI's file."""
        content = f"""
activeenvironment: Prod
environments:
  prod: {{tenanturl: "https://acme.identitynow.com", baseurl: "https://acme.api.identitynow.com", {pat}}}
  other: {{baseurl: "https://other.api.identitynow.com", pat: {{clientid: o, clientsecret: {SECRET}}}}}
"""
        self.write("~/.sailpoint/config.yaml", content, mode)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty desk."""
    return Desk(tmp_path)


# -- the order


def test_the_first_layer_that_has_a_setting_decides(desk: Desk) -> None:
    """Flag before environment before file before default, each with its source."""
    config = desk.write("c.toml", "page_size = 3\nattempts = 3\ntimeout = 3\n")
    environ = PAT | {"HARVESTER_PAGE_SIZE": "2", "HARVESTER_ATTEMPTS": "2"}
    loaded = desk.load({"page_size": "1", "quota": None}, environ, config=config)
    settings = loaded.settings
    assert (settings.page_size, settings.attempts, settings.timeout, settings.deadline) == (1, 2, 3.0, None)
    assert [loaded.sources[name] for name in ("page_size", "attempts", "timeout", "deadline")] == [
        "--page-size",
        "HARVESTER_ATTEMPTS",
        f"{config}: timeout",
        "default",
    ]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_setting_comes_from_every_layer(field: Any, desk: Desk) -> None:
    """One table: flag, variable and key give the same value for each setting."""
    written = WRITTEN[field.name]
    helps = {"since": {"sorters": "-date"}, "part_rows": {"output": "d/"}, "part_bytes": {"output": "d/"}}
    helps |= {"partition_by": {"output": "d/"}, "singer_state": {"format": "singer"}}
    helps |= {"compress": {"output": "d/"}, "ledger": {"output": "f"}}
    more = helps.get(field.name, {})
    toml = "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in (more | {field.name: written}).items()
    )
    config = desk.write("c.toml", toml)
    by_flag = desk.load(more | {field.name: written})
    by_variable = desk.load(more, PAT | {field.variable: written})
    by_key = desk.load(environ=PAT | {"SAIL_BASE_URL": ""}, config=config, needs_tenant=False)
    values = [getattr(one.settings, field.name) for one in (by_flag, by_variable, by_key)]
    assert values[0] == values[1] == values[2] != default_of(field.name)
    assert by_variable.sources[field.name] == field.variable


WRITTEN = {
    "base_url": "https://b.example",
    "api_version": "v3",
    "ca_bundle": "/ca.pem",
    "timeout": "1m",
    "max_body_bytes": "1MiB",
    "page_size": "7",
    "sorters": "date",
    "since": "2026-01",
    "partition_by": "month",
    "columns": "runId,harvestedAt",
    "inputs": "ids.txt",
    "input_format": "csv",
    "id_field": "nativeId",
    "shard": "1/2",
    "split_quota": "no",
    "output": "x.ndjson",
    "format": "singer",
    "shape": "accounts",
    "compress": "gzip",
    "part_rows": "1_000",
    "part_bytes": "64MB",
    "ordered": "true",
    "changes": "c",
    "singer_state": "t",
    "failures": "f",
    "summary": "s",
    "ledger": "l",
    "fresh": "1",
    "file_mode": "0640",
    "quota": "600/1m",
    "burst": "5",
    "concurrency": "9",
    "max_retry_after": "90",
    "attempts": "1",
    "deadline": "2h30m",
    "max_failures": "10",
    "max_outage": "1d",
    "stop_grace": "0",
    "progress": "off",
    "log_format": "json",
    "verbosity": "-1",
    "report": "r.html",
    "metrics": "m.prom",
    "metrics_port": "9464",
    "metrics_address": "::1",
}


def test_empty_is_not_given(desk: Desk) -> None:
    """CI systems set variables to nothing: that is the default, not a blank value."""
    assert desk.load({"inputs": ()}, PAT | {"HARVESTER_QUOTA": " "}).sources["quota"] == "default"


def test_harvester_base_url_comes_before_sails(desk: Desk) -> None:
    """The program's own variable is more to the point than the one shared with other tools."""
    loaded = desk.load(environ=PAT | {"HARVESTER_BASE_URL": "https://mine.example/v2024/"})
    assert loaded.settings.base_url == "https://mine.example"
    assert loaded.sources["base_url"] == "HARVESTER_BASE_URL"


def test_native_toml_types(desk: Desk) -> None:
    """Numbers, booleans and lists need no quotes."""
    config = desk.write(
        "c.toml", 'timeout = 1.5\nordered = true\ninputs = ["a", "-"]\npart_rows = 5\noutput = "d/"\n'
    )
    settings = desk.load(config=config).settings
    assert (settings.timeout, settings.ordered, settings.inputs, settings.part_rows) == (
        1.5,
        True,
        ("a", "-"),
        5,
    )


def test_several_inputs_in_one_variable(desk: Desk) -> None:
    """They are separated as in PATH."""
    assert desk.load(environ=PAT | {"HARVESTER_INPUTS": "a:b"}).settings.inputs == ("a", "b")


# -- the file


def test_a_profile_is_laid_over_the_rest(desk: Desk) -> None:
    """--profile or HARVESTER_PROFILE replace what the profile has, and its clients replace all others."""
    config = desk.write(
        "c.toml",
        f"""
quota = "1/1s"
page_size = 10
client_id = "top"
client_secret = "{SECRET}"
[profile.prod]
quota = "2/1s"
[[profile.prod.clients]]
client_id = "one"
client_secret = "{SECRET}"
[profile.small]
page_size = 1
""",
    )
    environ = {"SAIL_BASE_URL": "https://a.example", "HARVESTER_CONFIG": str(config)}
    prod = desk.load(environ=environ, profile="prod")
    assert (prod.settings.quota, prod.settings.page_size) == (Quota(2, 1.0), 10)
    assert [client.client_id for client in prod.settings.clients] == ["one"]
    assert prod.sources["quota"] == f"{config}: profile.prod.quota"
    small = desk.load(environ=environ | {"HARVESTER_PROFILE": "small"})
    assert (small.settings.page_size, small.settings.clients[0].client_id) == (1, "top")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("qouta = 1\n", "c.toml: qouta: there is no such setting: did you mean quota?"),
        ("page-size = 1\n", "did you mean page_size?"),
        ("xyz = 1\n", "config/harvester.toml lists all"),
        (
            "[profile.p]\npagesize = 1\n",
            "c.toml: profile.p.pagesize: there is no such setting: did you mean page_size?",
        ),
        ("[profile]\np = 1\n", "c.toml: profile: is no table of profiles"),
        ("a = \n", "c.toml:1: is no valid TOML"),
        ("page_size = true\n", "c.toml: page_size: 'True' is no whole number"),
        ("file_mode = 600\n", "c.toml: file_mode: '600' is no file mode"),
        ('[[clients]]\nid = "x"\n', "c.toml: clients[1].id: there is no such setting"),
        ("clients = []\n", "c.toml: clients: is no list of clients"),
        ('client_id = "x"\n[[clients]]\n', "c.toml: client_id: stands beside [[clients]]"),
        ('[[clients]]\nclient_id = "x"\n', "has no client secret"),
        ('[[clients]]\nname = "x"\n', "client x: has no credentials"),
        (
            f'[[clients]]\nclient_id = "x"\nclient_secret = ["{SECRET}"]\n',
            "clients[1].client_secret: is not text",
        ),
        (
            '[[clients]]\nclient_id = "x"\nclient_secret_env = "NONE_SUCH"\n',
            "the environment has no NONE_SUCH",
        ),
        ('[[clients]]\nclient_id = "x"\nclient_secret_file = "/none/such"\n', "/none/such: no such file"),
        (
            f'client_id = "x"\nclient_secret = "{SECRET}"\nclient_secret_env = "X"\n',
            "stands beside client_secret_env",
        ),
        (
            f'[[clients]]\nclient_id = "x"\nclient_secret = "{SECRET}"\nquota = "5"\n',
            "clients[1].quota: '5' is no quota",
        ),
        (f'[[clients]]\nclient_id = "x"\nclient_secret = "{SECRET}"\nquota = "none"\n', "can't go without"),
        (2 * f'[[clients]]\nclient_id = "x"\nclient_secret = "{SECRET}"\n', "x is there 2 times"),
        (f'[[clients]]\naccess_token = "{SECRET}"\naccess_token_file = "/dev/null"\n', "/dev/null is empty"),
    ],
)
def test_what_a_file_may_not_say(content: str, said: str, desk: Desk) -> None:
    """Each mistake is told with file and key, never with a secret."""
    config = desk.write("c.toml", content)
    assert said in desk.fault(environ={"SAIL_BASE_URL": "https://a.example"}, config=config)


def test_files_that_cannot_be_read(desk: Desk) -> None:
    """A missing file, a folder, other encodings and unknown profiles are told with what named them."""
    assert desk.fault(config=desk.cwd / "none.toml").startswith("--config: ")
    assert "no such file" in desk.fault(environ=PAT | {"HARVESTER_CONFIG": "/none"})
    assert "is a folder" in desk.fault(config=desk.cwd)
    (desk.cwd / "latin.toml").write_bytes(b'output = "\xe4"')
    assert "no UTF-8" in desk.fault(config=desk.cwd / "latin.toml")
    config = desk.write("c.toml", "[profile.prod]\n")
    assert "did you mean prod?" in desk.fault(config=config, profile="prd")
    assert "it has none" in desk.fault(config=desk.write("d.toml", ""), profile="x")
    assert "name the configuration by --config" in desk.fault(profile="prod")


# -- values


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"quota": "100"}, "--quota: '100' is no quota: write requests per time, for example 100/10s"),
        ({"timeout": "fast"}, "--timeout: 'fast' is no duration"),
        ({"timeout": "0"}, "--timeout: '0' is out of range: give 0.001s to 1h"),
        ({"page_size": "251"}, "--page-size: '251' is out of range: give 1 to 250"),
        ({"format": "xml"}, "--format: 'xml' is none of ndjson, parquet, singer"),
        ({"since": "2026"}, "--since: '2026' is no month: write YYYY-MM"),
        ({"since": "2026-01", "sorters": "date"}, "--since: needs the newest rows first"),
        ({"shard": "5/4"}, "--shard: '5/4' is no share"),
        (
            {"base_url": "acme"},
            "--base-url: 'acme' has no https:// in front: write https://acme.api.identitynow.com",
        ),
        ({"base_url": f"https://u:{SECRET}@a.example"}, "--base-url: has a user name or password in it"),
        ({"part_rows": "5"}, "--part-rows: parts need a folder"),
        ({"compress": "zstd", "output": "a.gz"}, "--compress: zstd contradicts the name a.gz"),
        ({"output": "a.parquet"}, "--output: a.parquet would hold NDJSON"),
        ({"format": "parquet"}, "--format: parquet can't go to stdout"),
        ({"format": "parquet", "output": "a.parquet.gz"}, "parquet compresses its own pages"),
        ({"format": "singer", "shape": "accounts"}, "--shape: accounts don't exist as singer"),
        ({"format": "singer", "output": "d/"}, "--format: singer is one stream"),
        ({"ledger": "l"}, "--ledger: what went to stdout can't be resumed"),
        ({"output": "a", "failures": "a"}, "--failures: a is also the output"),
        ({"output": "ids", "inputs": ("ids",)}, "--output: ids is also an input"),
        ({"output": "a", "inputs": ("a.failures.ndjson",)}, "would replace the output that it belongs to"),
        ({"output": "a/", "inputs": ("a/_failures.ndjson",)}, "would replace the output that it belongs to"),
        ({"id_field": "x", "input_format": "text"}, "--id-field: a text list has no columns"),
        ({"file_mode": "0400"}, "--file-mode: 0400 must let the owner read and write"),
        ({"output": " "}, "is blank"),
    ],
)
def test_what_may_not_be_asked(flags: dict[str, Any], said: str, desk: Desk) -> None:
    """Malformed, out of range, contradictory, destructive: one sentence with the flag and the mend."""
    assert said in desk.fault(flags)


def test_a_contradiction_names_the_layer_it_came_from(desk: Desk) -> None:
    """Where a variable is to blame, the variable is named."""
    assert desk.fault(environ=PAT | {"HARVESTER_PART_ROWS": "5"}).startswith(
        "HARVESTER_PART_ROWS: parts need"
    )


def test_a_stray_variable_is_told(desk: Desk) -> None:
    """A misspelt variable does nothing, so somebody should hear of it."""
    warnings = desk.load(environ=PAT | {"HARVESTER_QUOTTA": "1"}).warnings
    assert warnings == ("HARVESTER_QUOTTA is no setting: did you mean HARVESTER_QUOTA?",)


# -- credentials


def test_id_in_the_file_and_secret_in_the_environment(desk: Desk) -> None:
    """The file that everybody may read has the id only; SAIL_CLIENT_SECRET or its file completes it."""
    config = desk.write("c.toml", 'base_url = "https://a.example"\nclient_id = "x"\n')
    loaded = desk.load(environ={"SAIL_CLIENT_SECRET": SECRET}, config=config)
    assert loaded.settings.clients == (Client(client_id="x", client_secret=SECRET),)
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


@pytest.mark.parametrize("name", ["clients.json", "clients.toml"])
def test_a_file_of_clients(name: str, desk: Desk) -> None:
    """--clients takes JSON and TOML, and comes before everything else."""
    client = {"client_id": "a", "client_secret": SECRET}
    toml = f'[[clients]]\nclient_id = "a"\nclient_secret = "{SECRET}"\n'
    path = desk.write(name, json.dumps([client]) if name.endswith("json") else toml)
    for flags, environ in (({"clients": str(path)}, PAT), ({}, PAT | {"HARVESTER_CLIENTS": str(path)})):
        loaded = desk.load(flags, environ)
        assert loaded.settings.clients == (Client(client_id="a", client_secret=SECRET),)
        assert str(path) in loaded.sources["clients"]
    assert "did you mean client_id?" in desk.fault(
        {"clients": str(desk.write("bad.json", '[{"clientid": 1}]'))}
    )
    assert "bad.json:2: is no valid JSON" in desk.fault({"clients": str(desk.write("bad.json", "[\n{"))})
    assert "is no list of clients" in desk.fault({"clients": str(desk.write("bad.json", '{"clients": {}}'))})


def test_a_ready_token(desk: Desk) -> None:
    """SAIL_ACCESS_TOKEN and its file serve without a client id; a secret is preferred."""
    base = {"SAIL_BASE_URL": "https://a.example"}
    assert desk.load(environ=base | {"SAIL_ACCESS_TOKEN": SECRET}).settings.clients[0].access_token == SECRET
    path = desk.write("token", SECRET)
    loaded = desk.load(environ=base | {"SAIL_ACCESS_TOKEN_FILE": str(path)})
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


def test_a_secret_file_that_all_may_read_is_told(desk: Desk) -> None:
    """Wherever a secret was read from, open permissions are a warning; a group's are none."""
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
    """./config.json gives address, id and secret together."""
    sdk = {"BaseURL": "https://sdk.example", "ClientId": "sdk", "ClientSecret": SECRET}
    desk.write("config.json", json.dumps(sdk))
    loaded = desk.load(environ={})
    assert loaded.settings.base_url == "https://sdk.example"
    assert loaded.settings.clients == (Client(client_id="sdk", client_secret=SECRET),)
    assert loaded.sources["clients"] == loaded.sources["base_url"] == "./config.json"


def test_the_sdks_file_does_not_redirect_other_credentials(desk: Desk) -> None:
    """A stray config.json can't draw a secret to its address, nor lend its own to another."""
    sdk = {"BaseURL": "https://evil.example", "ClientId": "sdk", "ClientSecret": SECRET}
    desk.write("config.json", json.dumps(sdk))
    environ = {"SAIL_CLIENT_ID": "pat", "SAIL_CLIENT_SECRET": SECRET}
    assert "address is not set" in desk.fault(environ=environ)
    assert "./config.json: is for https://evil.example" in desk.fault(
        {"base_url": "https://mine.example"}, {}
    )


def test_the_clis_file(desk: Desk) -> None:
    """The active environment of sail's configuration gives address and secret."""
    desk.sail()
    loaded = desk.load(environ={})
    assert loaded.settings.base_url == "https://acme.api.identitynow.com"
    assert loaded.settings.clients == (Client(client_id="sail", client_secret=SECRET),)
    assert loaded.sources["clients"] == "~/.sailpoint/config.yaml (prod)"
    other = desk.load(environ={"SAIL_ACTIVEENVIRONMENT": "other"})
    assert other.settings.clients[0].client_id == "o"
    desk.sail(mode=0o644)
    assert "chmod o-r" in desk.load(environ={}).warnings[0]


def test_the_clis_secrets_go_to_their_own_tenant(desk: Desk) -> None:
    """With another address set, the environment kept for that address is taken, or none."""
    desk.sail()
    assert (
        desk.load({"base_url": "https://other.api.identitynow.com"}, {}).settings.clients[0].client_id == "o"
    )
    assert "has no environment for http://127.0.0.1:1" in desk.fault({"base_url": "http://127.0.0.1:1"}, {})


def test_the_clis_address_completes_other_credentials(desk: Desk) -> None:
    """The operator's own folder may say where; the keyring is not asked for what is there already."""
    desk.sail(pat="pat: {}")
    loaded = desk.load(environ={"SAIL_CLIENT_ID": "pat", "SAIL_CLIENT_SECRET": SECRET})
    assert loaded.settings.base_url == "https://acme.api.identitynow.com"
    assert loaded.sources["base_url"] == "~/.sailpoint/config.yaml (prod)"


def test_the_keyring(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sail keeps id and secret in the system keyring, they are found, wrapped or not."""
    keyring = pytest.importorskip("keyring")
    entries = {
        ("environments.pat.clientid", "prod"): "ring",
        ("environments.pat.clientsecret", "prod"): "go-keyring-base64:czNjcjN0LXRoYXQtbm9ib2R5LW1heS1zZWU=",
    }
    monkeypatch.setattr(keyring, "get_password", lambda service, user: entries.get((service, user)))
    desk.sail(pat="pat: {}")
    assert desk.load(environ={}).settings.clients == (Client(client_id="ring", client_secret=SECRET),)
    entries["environments.pat.clientsecret", "prod"] = "go-keyring-encoded:" + SECRET.encode().hex()
    assert desk.load(environ={}).settings.clients[0].client_secret == SECRET
    entries.clear()
    assert "has no personal access token, in the file or the keyring" in desk.fault(environ={})


def test_a_keyring_that_fails_or_is_missing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked keyring and a missing extra are told as what they are."""
    keyring = pytest.importorskip("keyring")

    def locked(*_: str) -> str:
        raise keyring.errors.KeyringLocked(SECRET)

    desk.sail(pat="pat: {clientid: x}")
    monkeypatch.setattr(keyring, "get_password", locked)
    assert "the system keyring can't be read (KeyringLocked)" in desk.fault(environ={})
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "account-usage-harvester[keyring]" in desk.fault(environ={})


def test_nothing_configured_names_every_place(desk: Desk) -> None:
    """Whoever has no credentials is told where they were looked for and how to give them."""
    message = desk.fault(environ={})
    for place in (
        "--clients",
        "SAIL_CLIENT_ID",
        "SAIL_ACCESS_TOKEN",
        "--config",
        "config.json",
        "config.yaml",
    ):
        assert place in message
    assert "no SAIL_CLIENT_SECRET" in desk.fault(environ={"SAIL_CLIENT_ID": "x"})
    assert "no SAIL_CLIENT_ID" in desk.fault(environ={"SAIL_CLIENT_SECRET": SECRET})
    credentials = {name: value for name, value in PAT.items() if name != "SAIL_BASE_URL"}
    assert desk.fault(environ=credentials).startswith("--base-url: the tenant's address is not set")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"BaseURL": 1}', "\x00", "x: [", "- a", "environments: 5", "a: &a [*a]"]
)
def test_other_peoples_files_are_never_fatal(content: str, desk: Desk) -> None:
    """A config.json or config.yaml that is something else is passed over with a note."""
    desk.write("config.json", content)
    desk.write("~/.sailpoint/config.yaml", content)
    assert desk.fault(environ={}).startswith("credentials: none found")
    assert desk.load(environ=PAT).settings.clients


def test_a_plan_needs_no_tenant(desk: Desk) -> None:
    """A dry run works without address and credentials."""
    assert desk.load(environ={}, needs_tenant=False).settings.clients == ()


# -- for scripts and people


def test_load_settings(desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Scripts override by text or ready values; faults name settings; warnings are logged."""
    monkeypatch.chdir(desk.cwd)
    for name, value in (PAT | {"HOME": str(desk.home), "HARVESTER_TYPO": "1"}).items():
        monkeypatch.setenv(name, value)
    config = desk.write("c.toml", "page_size = 5\n")
    client = Client(client_id="x", client_secret=SECRET)
    with caplog.at_level(logging.WARNING):
        settings = load_settings(
            config, quota=Quota(5, 1.0), shard=Shard(1, 2), timeout="1m", clients=(client,)
        )
    assert (settings.page_size, settings.quota, settings.timeout) == (5, Quota(5, 1.0), 60.0)
    assert (settings.shard, settings.clients) == (Shard(1, 2), (client,))
    assert "HARVESTER_TYPO" in caplog.text
    with pytest.raises(SettingFault, match=r"^page_size: '0' is out of range"):
        load_settings(page_size=0)
    with pytest.raises(TypeError, match="no such setting: pagesize"):
        load_settings(pagesize=0)


def test_explain_masks_secrets(desk: Desk) -> None:
    """All settings can be shown with their sources, and no secret among them."""
    rows = explain(desk.load({"quota": "none"}))
    assert ("quota", "none", "--quota") in rows
    assert ("clients", "pat", "SAIL_CLIENT_ID and SAIL_CLIENT_SECRET") in rows
    assert SECRET not in str(rows)


# -- config/harvester.toml


def uncommented(text: str) -> str:
    """The documented file with all its settings taken in."""
    return re.sub(r"^#(?=[a-z_\[])", "", text, flags=re.MULTILINE)


def test_the_documented_file_is_valid_as_it_stands(desk: Desk) -> None:
    """It changes nothing until a # is taken out."""
    loaded = desk.load(config=DOCUMENTED)
    assert {loaded.sources[field.name] for field in FIELDS} == {"default", "SAIL_BASE_URL"}


def test_the_documented_file_has_every_setting_with_its_default(desk: Desk) -> None:
    """Each setting of the table stands in it once, and says its real default."""
    text = uncommented(DOCUMENTED.read_text()).split("# --- Several clients")[0]
    keys = re.findall(r"^([a-z_]+) = ", text, flags=re.MULTILINE)
    assert sorted(keys) == sorted([*BY_NAME, "client_id", "client_secret_env"])
    text = text.replace('ledger = "', 'ledger = "/x').replace('output = "-"', 'output = "d/"')
    text = re.sub(r"^singer_state = .*$", "", text, flags=re.MULTILINE)  # for another format than the default
    loaded = desk.load(environ={"SAIL_CLIENT_SECRET": SECRET}, config=desk.write("all.toml", text))
    examples = {"base_url", "ca_bundle", "inputs", "failures", "summary", "ledger", "output"}
    examples |= {"changes", "singer_state", "report", "metrics"}
    for name in BY_NAME.keys() - examples:
        assert getattr(loaded.settings, name) == default_of(name), name
        assert loaded.sources[name].endswith(f"all.toml: {name}")


def test_the_documented_clients_and_profile_load(desk: Desk) -> None:
    """The examples at its end are right, and every way to give a secret is named."""
    text = DOCUMENTED.read_text()
    tail = uncommented("# --- Several clients" + text.split("# --- Several clients")[1])
    environ = dict.fromkeys(("FIRST_SECRET", "SECOND_SECRET", "SANDBOX_SECRET"), SECRET)
    config = desk.write("tail.toml", tail)
    with_url = environ | {"SAIL_BASE_URL": "https://a.example"}
    assert [c.name for c in desk.load(environ=with_url, config=config).settings.clients] == [
        "first",
        "second",
    ]
    sandbox = desk.load(environ=environ, config=config, profile="sandbox").settings
    assert (sandbox.base_url, sandbox.quota) == ("http://127.0.0.1:8080", None)
    assert all(key in text for key in CLIENT_KEYS)
