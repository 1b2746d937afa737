"""Settings from flags, environment and file: which layer decides, and what is refused."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from harvester.credentials import Credentials
from harvester.errors import SettingError
from harvester.model import Quota, Shard
from harvester.settings import BY_NAME, TABLE, load_settings
from harvester.settings.config_file import home_directory, user_config
from harvester.settings.load import as_written
from tests.settings.desk import PAT, SECRET, Desk

WRITTEN: dict[str, str | list[str]] = {
    "inputs": "ids.txt",
    "list": "yes",
    "account": "x,y",
    "filters": 'id sw "ef"',
    "with_usage": "true",
    "add": "usage",
    "input_format": "csv",
    "id_field": "nativeId",
    "keep": "department",
    "shard": "1/2",
    "split_quota": "no",
    "base_url": "https://b.example",
    "api_version": "v3,v1",
    "ca_bundle": "/ca.pem",
    "timeout": "1m",
    "max_body_bytes": "1048576",
    "since": "2026-01",
    "skip_unreported": "true",
    "source_status": "off",
    "page_size": "7",
    "sorters": "date",
    "count": "on",
    "output": "x.csv",
    "format": "csv",
    "shape": "accounts",
    "compress": "gzip",
    "part_rows": "1_000",
    "partition_by": "harvested",
    "columns": "runId,harvestedAt",
    "changes": "c",
    "failures": "f",
    "file_mode": "0640",
    "fresh": "1",
    "replace": "1",
    "retry_failed": "1",
    "ledger": "l",
    "keep_ledger": "false",
    "quota": "600/1m",
    "burst": "5",
    "concurrency": "9",
    "attempts": "1",
    "max_outage": "1d",
    "deadline": "2h30m",
    "max_failures": "10",
    "stop_grace": "0",
    "progress": "off",
    "log_format": "json",
    "verbosity": "-1",
    "summary": "s",
    "report": "r.html",
    "metrics": "m.prom",
}
NEEDED = {
    "filters": {"list": "true"},
    "with_usage": {"list": "true"},
    "add": {"list": "true"},
    "part_rows": {"output": "d/"},
    "partition_by": {"output": "d/"},
    "retry_failed": {"output": "f"},
}


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "clients"])
def test_every_setting_comes_from_every_layer(name: str, desk: Desk) -> None:
    """One table: flag, variable and key give the same value for each setting."""
    one, written, more = BY_NAME[name], WRITTEN[name], NEEDED.get(name, {})
    toml = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {**more, name: written}.items())
    config = desk.write("c.toml", toml if name != "account" else 'account = ["x", "y"]\n')
    flag = ("x", "y") if name == "account" else written
    by_flag = desk.load({**more, name: flag})
    by_variable = desk.load(more, {**PAT, one.variable: str(written)})
    by_key = desk.load(environ={**PAT, "SAIL_BASE_URL": ""}, config=config, needs_tenant=False)
    values = [getattr(one_of.settings, name) for one_of in (by_flag, by_variable, by_key)]
    assert values[0] == values[1] == values[2] != one.default
    assert by_variable.origins[name] == one.variable
    assert by_key.origins[name] == f"{config}:{len(more) + 1}: {name}"


# --- precedence


def test_the_first_layer_that_has_a_setting_decides(desk: Desk) -> None:
    """Flag, environment, file, default: each with its origin as it was written."""
    config = desk.write("c.toml", "page_size = 3\nattempts = 3\n\ntimeout = 3\n")
    environ = {**PAT, "HARVESTER_PAGE_SIZE": "2", "HARVESTER_ATTEMPTS": "2"}
    loaded = desk.load({"page_size": "1"}, environ, config=config)
    settings = loaded.settings
    assert (settings.page_size, settings.attempts, settings.timeout, settings.deadline) == (1, 2, 3.0, None)
    assert [loaded.origins[name] for name in ("page_size", "attempts", "timeout", "deadline")] == [
        "--page-size",
        "HARVESTER_ATTEMPTS",
        f"{config}:4: timeout",
        "default",
    ]


def test_flags_without_a_name_of_their_own(desk: Desk) -> None:
    """A switch that is off, the arguments, -q and -v are called as they were given."""
    loaded = desk.load({"keep_ledger": False, "inputs": ("a",), "verbosity": -1})
    assert [loaded.origins[name] for name in ("keep_ledger", "inputs", "verbosity")] == [
        "--no-keep-ledger",
        "INPUT",
        "-q",
    ]
    assert desk.load({"verbosity": 2}).origins["verbosity"] == "-v"


def test_which_accounts_is_one_question(desk: Desk) -> None:
    """A list named by a flag replaces the files of the configuration, and is not added to them."""
    config = desk.write("c.toml", 'inputs = ["ids.txt"]\n')
    assert desk.load({"list": True}, config=config).settings.inputs == ()
    assert desk.load({"account": ("x",)}, config=config).settings.inputs == ()
    assert desk.load({}, {**PAT, "HARVESTER_ACCOUNT": "x"}, config=config).settings.inputs == ()
    both = desk.load({"account": ("x",), "inputs": ("a",)}, config=config).settings
    assert (both.account, both.inputs) == (("x",), ("a",))


def test_empty_is_not_given(desk: Desk) -> None:
    """CI systems set variables to nothing: that is the default, not a blank value."""
    assert desk.load({}, {**PAT, "HARVESTER_QUOTA": " "}).origins["quota"] == "default"


def test_harvester_base_url_comes_before_sails(desk: Desk) -> None:
    """The program's own variable is more to the point than the one shared with other tools."""
    loaded = desk.load(environ={**PAT, "HARVESTER_BASE_URL": "https://mine.example/v2024/"})
    assert loaded.settings.base_url == "https://mine.example"
    assert loaded.origins["base_url"] == "HARVESTER_BASE_URL"


def test_native_toml_types(desk: Desk) -> None:
    """Numbers, booleans and lists need no quotes."""
    config = desk.write(
        "c.toml",
        'timeout = 1.5\ncount = true\ninputs = ["a", "-"]\npart_rows = 5\noutput = "d/"\nfile_mode = 0o640\n'
        'api_version = ["v2025", "v1"]\n',
    )
    settings = desk.load(config=config).settings
    assert (settings.timeout, settings.count, settings.inputs, settings.part_rows) == (
        1.5,
        True,
        ("a", "-"),
        5,
    )
    assert (settings.file_mode, settings.api_version) == (0o640, ("v2025", "v1"))


def test_several_inputs_in_one_variable(desk: Desk) -> None:
    """They are separated as in PATH."""
    assert desk.load(environ={**PAT, "HARVESTER_INPUTS": "a:b"}).settings.inputs == ("a", "b")


# --- the file


def test_where_the_file_is_looked_for(desk: Desk) -> None:
    """--config, HARVESTER_CONFIG, ./harvester.toml, the user's own: the first there is, and only that."""
    users = desk.write("~/.config/account-usage-harvester/config.toml", "page_size = 4\n")
    assert desk.load().config == users
    xdg = desk.write("~/xdg/account-usage-harvester/config.toml", "page_size = 5\n")
    assert desk.load(environ={**PAT, "XDG_CONFIG_HOME": str(desk.home / "xdg")}).config == xdg
    assert desk.load(environ={**PAT, "XDG_CONFIG_HOME": "xdg"}).config == users
    desk.write("harvester.toml", "page_size = 3\n")
    loaded = desk.load()
    assert (loaded.config, loaded.settings.page_size) == (Path("harvester.toml"), 3)
    assert loaded.origins["page_size"] == "harvester.toml:1: page_size"
    named = desk.write("~/c.toml", "page_size = 2\n")
    assert desk.load(environ={**PAT, "HARVESTER_CONFIG": "~/c.toml"}).config == named
    other = desk.write("d.toml", "page_size = 1\n")
    assert desk.load(environ={**PAT, "HARVESTER_CONFIG": "~/c.toml"}, config=other).settings.page_size == 1


def test_a_file_that_others_may_write_is_not_read_unasked(desk: Desk) -> None:
    """Whoever can write ./harvester.toml could send the secret elsewhere: it must be named."""
    desk.write("harvester.toml", "page_size = 3\n", 0o646)
    loaded = desk.load()
    assert (loaded.config, loaded.settings.page_size) == (None, 250)
    assert "./harvester.toml is not read" in loaded.warnings[0]
    assert desk.load(config=Path("harvester.toml")).settings.page_size == 3
    assert "./harvester.toml is not read" in desk.error(environ={})
    only_clients = {name: value for name, value in PAT.items() if name != "SAIL_BASE_URL"}
    assert "./harvester.toml is not read" in desk.error(environ=only_clients)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_another_user_is_not_read_unasked(desk: Desk) -> None:
    """In a directory that all may write to, it may be anybody's."""
    os.chown(desk.write("harvester.toml", "page_size = 3\n"), 12345, -1)
    assert desk.load().config is None


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
    assert prod.origins["quota"] == f"{config}:7: profile.prod.quota"
    assert prod.profile == "prod"
    small = desk.load(environ={**environ, "HARVESTER_PROFILE": "small"})
    assert (small.settings.page_size, small.settings.clients[0].client_id) == (1, "top")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("\nqouta = 1\n", "c.toml:2: qouta: there is no such setting: did you mean quota?"),
        ("page-size = 1\n", "did you mean page_size?"),
        ("xyz = 1\n", "see `harvester config init` for all of them"),
        (
            "[profile.p]\npagesize = 1\n",
            "c.toml:2: profile.p.pagesize: there is no such setting: did you mean page_size?",
        ),
        ("[profile]\np = 1\n", "c.toml:1: profile: is not a table of profiles"),
        ("a = \n", "c.toml:1: is not valid TOML"),
        ("page_size = true\n", "c.toml:1: page_size: 'True' is not a whole number"),
        ("file_mode = 600\n", "c.toml:1: file_mode: '600' is not a file mode"),
        ('[[clients]]\nname = "a"\nid = "x"\n', "c.toml:3: clients[1].id: there is no such setting"),
        ("clients = []\n", "c.toml:1: clients: is not a list of clients"),
        ('client_id = "x"\n[[clients]]\n', "c.toml:1: client_id: contradicts [[clients]]"),
        ('[[clients]]\nclient_id = "x"\n', "c.toml:2: clients[1].client_id: client x has no client secret"),
        ('[[clients]]\nname = "x"\n', "client x has no credentials"),
        (
            f'[[clients]]\nclient_id = "x"\nclient_secret = ["{SECRET}"]\n',
            "c.toml:3: clients[1].client_secret: is not text",
        ),
        (
            '[[clients]]\nclient_id = "x"\nclient_secret_env = "NONE_SUCH"\n',
            "NONE_SUCH is not set in the environment",
        ),
        (
            '[[clients]]\nclient_id = "x"\nclient_secret_file = "/none/such"\n',
            "/none/such cannot be read (No such file",
        ),
        (
            '[[clients]]\nclient_id = "x"\nclient_secret_file = "~none-such/x"\n',
            "home directory that is not known",
        ),
        (
            f'client_id = "x"\nclient_secret = "{SECRET}"\nclient_secret_env = "X"\n',
            "client_secret: contradicts client_secret_env",
        ),
        (
            f'[[clients]]\nclient_id = "x"\nclient_secret = "{SECRET}"\nquota = "5"\n',
            "c.toml:4: clients[1].quota: is not a quota",
        ),
        (2 * f'[[clients]]\nclient_id = "x"\nclient_secret = "{SECRET}"\n', "x is listed 2 times"),
        (f'[[clients]]\naccess_token = "{SECRET}"\naccess_token_file = "/dev/null"\n', "/dev/null is empty"),
        (f"a = {'[' * 20000}", "c.toml"),
    ],
)
def test_what_a_file_may_not_say(content: str, said: str, desk: Desk) -> None:
    """Each mistake is reported with file, line and key, never with a secret."""
    config = desk.write("c.toml", content)
    assert said in desk.error(environ={"SAIL_BASE_URL": "https://a.example"}, config=config)


def test_files_that_cannot_be_read(desk: Desk) -> None:
    """A missing file, a directory, other encodings and unknown profiles are reported with what named them."""
    assert desk.error(config=desk.cwd / "none.toml").startswith("--config: ")
    assert "(No such file" in desk.error(environ={**PAT, "HARVESTER_CONFIG": "/none"})
    assert "home directory that is not known" in desk.error(
        environ={**PAT, "HARVESTER_CONFIG": "~none-such/c"}
    )
    assert "Is a directory" in desk.error(config=desk.cwd)
    (desk.cwd / "latin.toml").write_bytes(b'output = "\xe4"')
    assert "not UTF-8" in desk.error(config=desk.cwd / "latin.toml")
    config = desk.write("c.toml", "[profile.prod]\n")
    assert "did you mean prod?" in desk.error(config=config, profile="prd")
    assert "it has none" in desk.error(config=desk.write("d.toml", ""), profile="x")
    assert desk.error(profile="prod").startswith("--profile: 'prod' is in no configuration file: name")
    assert desk.error({}, {**PAT, "HARVESTER_PROFILE": "p"}).startswith(
        "HARVESTER_PROFILE: 'p' is in no configuration file"
    )
    with pytest.raises(SettingError, match=r"^profile: "):
        load_settings(profile="prod")


# --- errors


def test_an_error_names_the_layer_it_came_from(desk: Desk) -> None:
    """Flag, variable, line or, where none was given, the flag to give."""
    assert desk.error({"quota": "100"}).startswith("--quota: '100' is not a quota: write requests per time")
    assert desk.error(environ={**PAT, "HARVESTER_PART_ROWS": "5"}).startswith(
        "HARVESTER_PART_ROWS: only a dir"
    )
    config = desk.write("c.toml", "\npart_rows = 5\n")
    assert desk.error(config=config).startswith(f"{config}:2: part_rows: only a directory")
    assert desk.error({"base_url": "acme"}).startswith("--base-url: 'acme' does not begin with https://")
    assert desk.error({"output": "a.parquet.gz"}).startswith("--output: parquet output cannot be")


def test_an_error_found_later_is_called_as_it_was_written(desk: Desk) -> None:
    """What is found out about a setting in the run is reported like what is found out at once."""
    loaded = desk.load(environ={**PAT, "HARVESTER_FAILURES": "f"})
    assert str(as_written(SettingError("failures", "f is also an input"), loaded.origins)) == (
        "HARVESTER_FAILURES: f is also an input"
    )
    assert str(as_written(SettingError("summary", "x"), loaded.origins)) == "--summary: x"
    assert str(as_written(SettingError("elsewhere", "x"), loaded.origins)) == "elsewhere: x"


def test_a_long_value_is_cut(desk: Desk) -> None:
    """A whole file pasted into a variable does not fill the screen."""
    assert len(desk.error({"quota": "9" * 100_000})) < 250


def test_a_stray_variable_is_a_warning(desk: Desk) -> None:
    """A misspelled variable does nothing, so somebody should hear of it."""
    warnings = desk.load(environ={**PAT, "HARVESTER_QUOTTA": "1", "HARVESTER_CONFIG": ""}).warnings
    assert warnings == ("HARVESTER_QUOTTA is not a setting: did you mean HARVESTER_QUOTA?",)


# --- unusual machines


def test_a_user_without_a_home_directory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A UID that is not in passwd, HOME unset: everything in the environment works, ~ is refused."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert home_directory({}) is None
    assert user_config({}) is None
    assert user_config({"XDG_CONFIG_HOME": "/x"}) == Path("/x/account-usage-harvester/config.toml")
    bare = {"HOME": ""}
    assert desk.load({"output": "a"}, {**PAT, **bare}).settings.output == "a"
    assert "home directory that is not known" in desk.error({"output": "~/a"}, {**PAT, **bare})
    assert "there is no home directory" in desk.error({}, bare)


def test_a_working_directory_that_is_gone(desk: Desk) -> None:
    """What needs no file there works all the same."""
    gone = desk.home / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert desk.load().settings.clients


def test_paths_that_are_not_utf8(desk: Desk) -> None:
    """A path may have any bytes; other text of that kind is refused in a sentence that can be printed."""
    assert desk.load({"output": "caf\udce9", "inputs": ("\udce9",)}).settings.output == "caf\udce9"
    for name in ("id_field", "filters", "quota", "base_url", "format", "since", "account", "keep"):
        assert desk.error({name: "\udce9", "list": True}).encode()


# --- for scripts and people


def test_load_settings(desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Scripts override by text or ready values; errors name keywords; warnings are logged."""
    for name, value in {**PAT, "HARVESTER_TYPO": "1", "HARVESTER_DEADLINE": "5"}.items():
        monkeypatch.setenv(name, value)
    config = desk.write("c.toml", "page_size = 5\n[profile.p]\nattempts = 7\n")
    client = Credentials(client_id="x", client_secret=SECRET)
    with caplog.at_level(logging.WARNING):
        settings = load_settings(
            config=config, profile="p", quota=Quota(5, 1.0), shard=Shard(1, 2), timeout="1m", clients=[client]
        )
    assert (settings.page_size, settings.quota, settings.timeout) == (5, Quota(5, 1.0), 60.0)
    assert (settings.shard, settings.clients, settings.attempts) == (Shard(1, 2), (client,), 7)
    assert "HARVESTER_TYPO" in caplog.text
    assert load_settings(quota=None, deadline=None).deadline is None
    with pytest.raises(SettingError, match=r"^page_size: '0' is out of range"):
        load_settings(page_size=0)
    with pytest.raises(SettingError, match=r"^part_rows: only a directory"):
        load_settings(part_rows=1)
    with pytest.raises(SettingError, match=r"^clients: is not a list of credentials"):
        load_settings(clients=5)  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match="unexpected keyword argument 'outptu'"):
        load_settings(outptu="x")  # type: ignore[call-arg]  # the point


def test_explain_shows_no_secrets(desk: Desk) -> None:
    """All settings can be shown with their origins, and no secret among them."""
    rows = list(desk.load({"quota": "none"}).explain())
    assert [name for name, _, _ in rows] == [one.name for one in TABLE]
    assert ("quota", "none", "--quota") in rows
    assert ("clients", "pat", "SAIL_CLIENT_ID and SAIL_CLIENT_SECRET") in rows
    assert SECRET not in str(rows)


def test_a_plan_needs_no_tenant(desk: Desk) -> None:
    """A dry run works without address and credentials."""
    loaded = desk.load(environ={}, needs_tenant=False)
    assert (loaded.settings.clients, loaded.origins["clients"]) == ((), "nowhere")


def test_the_written_values_cover_the_table() -> None:
    """The test above tries every setting."""
    assert {*WRITTEN, "clients"} == {*BY_NAME}
