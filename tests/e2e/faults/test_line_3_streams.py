"""Standard streams that are full, closed or read no further: the same statuses for every command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.faults.conftest import Commands
from tests.e2e.processes import PROGRAM, surroundings, tenant
from tests.e2e.truth import truth_of

PRINTING = [
    ("accounts",),
    ("sources",),
    ("check",),
    ("run", "ids.txt"),
    ("run", "ids.txt", "--dry-run"),
    ("run", "ids.txt", "-o", "x.ndjson", "--fresh", "--report", "-"),
    ("export", "done.ndjson", "-o", "-"),
    ("unused", "done.ndjson"),
    ("unused", "done.ndjson", "--by", "sourceName"),
    ("report", "done.ndjson", "-o", "-"),
    ("verify", "done.ndjson"),
    ("verify", "done.ndjson", "--json"),
    ("config", "show"),
    ("config", "init", "-"),
    ("completion", "bash"),
    ("help", "resume"),
    ("sandbox",),
]
"""A call of every command that prints something, or can."""

every_command = pytest.mark.parametrize("command", PRINTING, ids=" ".join)


@every_command
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_stdout(commands: Commands, command: tuple[str, ...]) -> None:
    """Status 5, and the last line says that it is stdout."""
    done = commands(*command, stdout="/dev/full")
    assert done.status == 5, done.said
    assert "stdout" in done.said.splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("wrong", [True, False], ids=["some fail", "none fails"])
def test_a_full_disk_behind_stderr(wrong: bool, tmp_path: Path) -> None:
    """Status 5, also in the summary, as log lines are lost; the output is complete."""
    hopeless = ("--hopeless", "3:404") if wrong else ()
    with tenant("--accounts", "30", *hopeless) as there, Path("/dev/full").open("w") as full:
        ids, output = there.list_file(tmp_path), tmp_path / "u.ndjson"
        surrounded: dict[str, Any] = {"stderr": full, "env": surroundings(there)}
        command = [*PROGRAM, "run", str(ids), "--quota", "none"]
        assert subprocess.run([*command, "-o", output], check=False, **surrounded).returncode == 5
        assert output.read_bytes() == truth_of(there)
        assert json.loads(Path(f"{output}.summary.json").read_text())["status"] == 5
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, **surrounded)
        assert (done.returncode, done.stdout) == (5, output.read_bytes())


@every_command
def test_a_closed_stdout(commands: Commands, command: tuple[str, ...]) -> None:
    """Status 5 as well: nothing can be written, and it is not the command that is wrong."""
    done = commands(*command, stdout=None)
    assert done.status == 5, done.said
    assert "stdout" in done.said.splitlines()[-1]


@pytest.mark.parametrize("command", [one for one in PRINTING if one[0] in ("accounts", "run")], ids=" ".join)
def test_stdout_is_tried_before_the_first_request(commands: Commands, command: tuple[str, ...]) -> None:
    """What goes nowhere is not asked for."""
    assert commands(*command, stdout="/dev/full").requests == 0
