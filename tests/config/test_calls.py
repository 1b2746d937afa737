"""Every call of the program anywhere in config/ is one that it understands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_help import COMMANDS
from tests.config.machine import CONFIG

FILES = sorted(path for path in CONFIG.rglob("*") if path.is_file() and path.name != "harvester.toml")
_CALL = re.compile(r"(?:^|[\s/`\"])harvester (" + "|".join(COMMANDS) + r")\b([^|&'`#}\n]*)", re.MULTILINE)
_LISTED = re.compile(r'harvester\(("[a-z]+"[^)]*)\)')
"""How the DAG writes a call."""


def calls_in(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command that is called, with its options."""
    for name, given in _CALL.findall(text.replace("\\\n", " ")):
        yield name, [word.split("=")[0] for word in given.split() if re.match(r"--?\w", word)]
    for given in _LISTED.findall(text):
        name, *words = re.findall(r'"([^"]+)"', given)
        yield name, [word for word in words if word.startswith("-")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONFIG).as_posix())
def test_each_call_is_understood(path: Path) -> None:
    """Commands and options exist; nothing that was removed is left."""
    for name, flags in calls_in(path.read_text()):
        known = {flag for param in COMMANDS[name].params for flag in param.opts}
        assert set(flags) <= known, name


def test_the_leading_example_is_a_run_that_lists() -> None:
    """Every schedule harvests the tenant's own accounts in one run, which can be resumed as such."""
    schedules = [
        "airflow_dag.py",
        "cron/harvester",
        "github-actions.yml",
        "kubernetes-cronjob.yaml",
        "meltano/tap-account-usages",
        "systemd/harvester.service",
    ]
    for schedule in schedules:
        calls = [flags for name, flags in calls_in((CONFIG / schedule).read_text()) if name == "run"]
        assert any("--list" in flags for flags in calls), schedule
    assert sum("--fail-above" in (CONFIG / schedule).read_text() for schedule in schedules) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONFIG).as_posix())
def test_a_pipe_fails_with_its_first_command(path: Path) -> None:
    """Whoever shows a pipe out of the program shows `set -o pipefail`, too."""
    text = path.read_text()
    piped = re.search(r"\bharvester (?:run|accounts|export)[^|`\n]*(?<!\|)\|(?!\|)", text)
    assert not piped or "pipefail" in text
