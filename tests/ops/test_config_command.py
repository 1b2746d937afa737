"""Settings can be looked at, and a file of them is there to begin with."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from harvester.cli.config import command
from harvester.errors import OutputFault
from harvester.settings.load import load
from harvester.settings.table import BY_NAME, FIELDS
from harvester.settings.template import template
from harvester.settings.values import default_of
from tests.ops.tenants import harvester, pat

SECRET = "a-secret-of-some-length"


def uncommented() -> str:
    """The template with all its settings taken in, up to its examples of more clients."""
    return re.sub(r"^#(?=[a-z_]+ = )", "", template(), flags=re.MULTILINE).split("# --- Several")[0]


def test_the_template_is_valid_as_it_stands() -> None:
    """It is TOML that says nothing until a # is taken out."""
    assert tomllib.loads(template()) == {}


def test_the_template_has_every_setting_with_its_default() -> None:
    """Each setting once, with the default it really has, or the kind of value where there is none."""
    found = tomllib.loads(uncommented())
    assert sorted(found) == sorted([*BY_NAME, "client_id", "client_secret_env"])
    for field in FIELDS:
        default = default_of(field.name)
        if default not in (None, "", ()) or field.none:
            assert field.parse(found[field.name]) == default, field.name


def test_the_template_loads_once_it_is_filled_in(tmp_path: Path) -> None:
    """Address and client taken in make it a configuration."""
    lines = [
        line.removeprefix("#") if re.match(r"#(base_url|client_)", line) else line
        for line in template().split("\n")
    ]
    path = tmp_path / "harvester.toml"
    path.write_text("\n".join(lines).split("# --- Several")[0])
    loaded = load({}, environ={"SAIL_CLIENT_SECRET": SECRET}, home=tmp_path, cwd=tmp_path, config=path)
    assert loaded.settings.base_url == "https://acme.api.identitynow.com"
    assert loaded.settings.clients[0].client_secret == SECRET


def test_init_writes_a_private_file_and_overwrites_none(tmp_path: Path) -> None:
    """The file is its owner's alone; one that is there is refused and left as it is."""
    path = tmp_path / "my.toml"
    result = CliRunner().invoke(command, ["init", str(path)], standalone_mode=False)
    assert result.exception is None
    assert path.read_text() == template()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("mine")
    again = CliRunner().invoke(command, ["init", str(path)], standalone_mode=False)
    assert isinstance(again.exception, OutputFault)
    assert path.read_text() == "mine"
    nowhere = CliRunner().invoke(command, ["init", str(tmp_path / "no" / "my.toml")], standalone_mode=False)
    assert isinstance(nowhere.exception, OutputFault)


def test_show_tells_value_and_place_of_each(tmp_path: Path) -> None:
    """Flag, environment, profile, file and default, each named; secrets are not there."""
    (tmp_path / "c.toml").write_text('page_size = 9\n[profile.prod]\nattempts = 7\nclient_id = "abc"\n')
    done = harvester(
        "config", "show", "--config", "c.toml", "--profile", "prod", "--quota", "1/s",
        folder=tmp_path, SAIL_CLIENT_SECRET=SECRET, HARVESTER_TIMEOUT="9",
    )  # fmt: skip  # one option a line would fill the screen
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert list(rows) == ["setting", *BY_NAME, "clients"]
    assert rows["page_size"] == ["9", "c.toml:", "page_size"]
    assert rows["attempts"] == ["7", "c.toml:", "profile.prod.attempts"]
    assert rows["timeout"] == ["9s", "HARVESTER_TIMEOUT"]
    assert rows["quota"] == ["1/1s", "--quota"]
    assert rows["max_outage"] == ["30m", "default"]
    assert rows["clients"] == ["abc", "c.toml"]
    assert SECRET not in done.stdout + done.stderr


def test_show_as_json(tmp_path: Path) -> None:
    """The same for programs, with the warnings."""
    done = harvester(
        "config", "show", "--json", folder=tmp_path, HARVESTER_QOUTA="1", **pat("https://a.example")
    )
    document = json.loads(done.stdout)
    assert {one["name"] for one in document["settings"]} == {*BY_NAME, "clients"}
    assert document["warnings"] == ["HARVESTER_QOUTA is no setting: did you mean HARVESTER_QUOTA?"]


@pytest.mark.parametrize("arguments", [["--quota", "lots"], ["--config", "nosuch.toml"]])
def test_what_is_wrong_is_told_in_a_sentence(tmp_path: Path, arguments: list[str]) -> None:
    """A wrong value ends with 2 and one line."""
    done = harvester("config", "show", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
