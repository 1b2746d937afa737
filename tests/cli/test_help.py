"""Each command's help is a page to work from: what it does, every option, examples that are understood."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harvester.cli import harvester
from harvester.settings import SECTIONS, TABLE
from tests.cli.program import environment


def all_commands(group: click.Group = harvester, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups too."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield " ".join((*names, name)), command
        if isinstance(command, click.Group):
            yield from all_commands(command, *names, name)


COMMANDS = dict(all_commands())
PROMISED = {"run", "unused", "export", "accounts", "sources", "check", "verify", "report", "demo"}
"""Commands that examples may already call."""


def shown(*arguments: str) -> str:
    """What the program prints, on a wide terminal."""
    result = CliRunner().invoke(harvester, arguments, terminal_width=200, max_content_width=200)
    assert result.exit_code == 0, result.output
    return result.output


def examples(name: str) -> list[str]:
    """The lines under `Examples:` that call the program."""
    _, _, block = shown(*name.split(), "--help").partition("Examples:")
    return re.findall(r"harvester .*", block.partition("\n\n")[0])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_two_examples_that_are_understood(name: str) -> None:
    """Each command shows itself at work, with options that exist."""
    calls = examples(name)
    assert len([call for call in calls if call.startswith(f"harvester {name}")]) >= 2
    for called, given in (one for call in calls for one in re.findall(r"harvester ([a-z]+)([^|]*)", call)):
        words = f"{called} {given.split()[0]}" if given.split() else called
        command = COMMANDS.get(words) or COMMANDS.get(called)
        if command is None:
            assert called in PROMISED
            continue
        flags = set(re.findall(r"(?<=\s)--[a-z-]+", given))
        assert flags <= {flag for param in command.params for flag in param.opts}, given


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_each_option_is_for(name: str) -> None:
    """No option is left to guess."""
    assert COMMANDS[name].help
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, f"{name} {param.opts[0]}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_accepts_v_and_q(name: str) -> None:
    """A script can say how much it wants to hear without knowing which command logs."""
    flags = {flag for param in COMMANDS[name].params for flag in param.opts}
    assert {"-v", "--verbose", "-q", "--quiet"} <= flags or isinstance(COMMANDS[name], click.Group)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_short_help_is_short(name: str) -> None:
    """-h has the usage, a sentence, the common options and the examples; it says where the rest is."""
    short, long = shown(*name.split(), "-h"), shown(*name.split(), "--help")
    command = f"harvester {name}".strip()
    assert short.startswith(f"Usage: {command}")
    assert "Examples:" in short
    assert short.rstrip().endswith(f"{command} --help shows everything.")
    assert len(short.splitlines()) <= min(50, len(long.splitlines()) + 2)


def test_the_common_options_come_first() -> None:
    """Of many options, the ones that most people need are at the top, and short help has only those."""
    short, long = shown("config", "show", "-h"), shown("config", "show", "--help")
    titles = re.findall(r"^(\S.*):$", long, flags=re.MULTILINE)
    assert titles[0] == "Common options"
    assert set(titles) >= set(SECTIONS.values())
    flags = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", short, flags=re.MULTILINE)
    assert flags == [
        "--output",
        "--list",
        "--base-url",
        "--api-version",
        "--config",
        "--since",
        "--skip-unreported",
        "--quota",
        "--retry-failed",
    ]
    for one in TABLE:
        assert not one.flag or re.search(rf"^  (-\w, )?{one.flag}\b", long, flags=re.MULTILINE), one.flag


def test_the_list_of_commands_is_complete() -> None:
    """`harvester --help` has a line for each, and the exit statuses; `harvester` alone shows as much."""
    text = shown("--help")
    for name in COMMANDS:
        if " " not in name:
            assert re.search(rf"^  {name}  +\S", text, flags=re.MULTILINE)
    for status in ("0", "1", "2", "3", "4", "5", "130/143", "141"):
        assert re.search(rf"^ +{status} +\S", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["confg"], "There is no command 'confg': did you mean config?"),
        (["completion-bash"], "did you mean completion?"),
        (["xyzzy"], "There is no command 'xyzzy': see harvester --help"),
        (["config", "show", "--outptu", "x"], "--output"),
        (["config", "show", "--client-secret=hunter2"], "No such option"),
        (["--nosuch"], "No such option"),
    ],
)
def test_what_was_probably_meant(arguments: list[str], said: str) -> None:
    """A typo is answered with the word that is like it, and never with what may be a secret."""
    result = CliRunner().invoke(harvester, arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "hunter2" not in result.output


def test_what_sends_nothing_does_not_load_http(tmp_path: Path) -> None:
    """Commands that work from a ledger start fast."""
    names = ", ".join(f"harvester.cli.{name}" for name in ("export", "unused", "verify", "report"))
    line = f"import sys, {names}; print('aiohttp' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", line],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip  # one call
    assert done.stdout == "False\n"


def test_help_imports_no_command(tmp_path: Path) -> None:
    """`harvester --help` costs little more than click: neither commands nor settings are loaded."""
    line = (
        "import sys, contextlib; from harvester import cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['--help'])\n"
        "print(*(name for name in sys.modules if name.startswith('harvester.')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", line],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip  # one call
    own = {"cli", "cli.exit_status", "cli.help", "cli.streams", "errors", "files", "version"}
    assert set(done.stderr.split()) == {f"harvester.{name}" for name in own}
    assert "Commands:" in done.stdout
