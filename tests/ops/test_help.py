"""Each command's help is a page to work from: what it does, every option, examples that it understands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from harvester.cli import harvester


def all_commands(group: click.Group = harvester, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, groups too."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield " ".join((*names, name)), command
        if isinstance(command, click.Group):
            yield from all_commands(command, *names, name)


COMMANDS = dict(all_commands())


def shown(command: click.Command, name: str = "x") -> str:
    """Its help, on a wide terminal."""
    context = click.Context(command, info_name=name, terminal_width=200, max_content_width=200)
    return command.get_help(context)


def examples(name: str) -> list[str]:
    """The lines under `Examples:` that call the program."""
    _, _, block = shown(COMMANDS[name]).partition("Examples:")
    return re.findall(r"harvester .*", block.partition("\n\n")[0])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_are_understood(name: str) -> None:
    """Each command shows itself at work, with options that exist."""
    calls = examples(name)
    assert any(call.startswith(f"harvester {name}") for call in calls)
    for called, given in (one for call in calls for one in re.findall(r"harvester ([a-z]+)([^|]*)", call)):
        words = f"{called} {given.split()[0]}" if given.split() else called
        command = COMMANDS.get(words) or COMMANDS[called]
        flags = set(re.findall(r"(?<=\s)--[a-z-]+", given))
        assert flags <= {flag for param in command.params for flag in param.opts}, given


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_each_option_is_for(name: str) -> None:
    """No option is left to guess, and sentences end as sentences do."""
    command = COMMANDS[name]
    assert command.help
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"{name} {param.opts[0]}"


def test_the_list_of_commands_is_whole() -> None:
    """`harvester --help` has a line for each, and the exit statuses."""
    text = shown(harvester, "harvester")
    for name in COMMANDS:
        if " " not in name:
            assert re.search(rf"^  {name}  +\S", text, flags=re.MULTILINE)
    for status in ("0", "2", "3", "4", "5", "130/143"):
        assert re.search(rf"^ +{status} +\S", text, flags=re.MULTILINE)
