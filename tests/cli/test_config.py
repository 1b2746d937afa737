"""Settings can be looked at, and a file of them is written where it will be read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from harvester.settings import BY_NAME
from harvester.settings.template import template
from tests.cli.program import harvester

SECRET = "a-secret-of-some-length"


def test_show_has_value_and_origin_of_each(tmp_path: Path) -> None:
    """Flag, environment, profile, file and default, each named; secrets are not there."""
    (tmp_path / "c.toml").write_text('page_size = 9\n[profile.prod]\nattempts = 7\nclient_id = "abc"\n')
    done = harvester(
        "config", "show", "--config", "c.toml", "--profile", "prod", "--quota", "1/s",
        folder=tmp_path, env={"SAIL_CLIENT_SECRET": SECRET, "HARVESTER_TIMEOUT": "9"},
    )  # fmt: skip  # one option a line would fill the screen
    assert done.returncode == 0, done.stderr
    head, _, *lines = done.stdout.decode().splitlines()
    assert head == "configuration file: c.toml, profile prod"
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert list(rows) == ["setting", *BY_NAME]
    assert rows["page_size"] == ["9", "c.toml:1:", "page_size"]
    assert rows["attempts"] == ["7", "c.toml:3:", "profile.prod.attempts"]
    assert rows["timeout"] == ["9s", "HARVESTER_TIMEOUT"]
    assert rows["quota"] == ["1/1s", "--quota"]
    assert rows["max_outage"] == ["30m", "default"]
    assert rows["clients"] == ["abc", "c.toml"]
    assert SECRET.encode() not in done.stdout + done.stderr


def test_show_as_json(tmp_path: Path) -> None:
    """The same for programs, with the warnings."""
    done = harvester("config", "show", "--json", folder=tmp_path, env={"HARVESTER_QOUTA": "1"})
    document = json.loads(done.stdout)
    assert [one["name"] for one in document["settings"]] == [*BY_NAME]
    assert {"name": "base_url", "value": "", "origin": "nowhere"} in document["settings"]
    assert (document["config"], document["profile"]) == (None, None)
    assert document["warnings"] == ["HARVESTER_QOUTA is not a setting: did you mean HARVESTER_QUOTA?"]


@pytest.mark.parametrize("arguments", [["--quota", "lots"], ["--config", "nosuch.toml"], ["--profile", "p"]])
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, arguments: list[str]) -> None:
    """A wrong value ends with 2 and one line, which names the option."""
    done = harvester("config", "show", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert arguments[0].removeprefix("--").encode() in done.stderr


def test_init_writes_where_commands_read(tmp_path: Path) -> None:
    """By default into this directory, else where it is told to: `config show` finds the user's own, too."""
    users = ".config/account-usage-harvester/config.toml"
    for options, name in ([f"~/{users}"], users), ([], "harvester.toml"):
        assert harvester("config", "init", *options, folder=tmp_path).returncode == 0
        path = tmp_path / name
        assert path.read_text() == template()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.write_text("page_size = 9\n")
        shown = harvester("config", "show", "--json", folder=tmp_path)
        document = json.loads(shown.stdout)
        assert document["config"].endswith(name)
        assert {"name": "page_size", "value": "9", "origin": f"{document['config']}:1: page_size"} in (
            document["settings"]
        )


def test_init_into_a_file_of_its_own(tmp_path: Path) -> None:
    """It says how to name it, and makes the directory."""
    done = harvester("config", "init", "etc/nightly.toml", folder=tmp_path)
    assert b"harvester check --config etc/nightly.toml" in done.stderr
    assert (tmp_path / "etc/nightly.toml").read_text() == template()
    assert harvester("config", "init", "-q", "other.toml", folder=tmp_path).stderr == b""


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """A file, a link, a device that is there is refused and left as it is."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("mine", "link", "fifo", "/dev/null"):
        done = harvester("config", "init", name, folder=tmp_path)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert b"cannot be written (File exists)" in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["mine/x.toml", "/proc/nowhere/x.toml", "/dev/full/x"])
def test_init_where_nothing_can_be_written(name: str, tmp_path: Path) -> None:
    """It is 2, and one sentence."""
    (tmp_path / "mine").write_text("mine")
    done = harvester("config", "init", name, folder=tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_init_to_stdout(name: str, tmp_path: Path) -> None:
    """- and /dev/stdout are stdout, and nothing else is written."""
    done = harvester("config", "init", name, folder=tmp_path)
    assert (done.stdout.decode(), done.stderr) == (template(), b"")
    assert not list(tmp_path.iterdir())
