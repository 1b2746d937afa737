"""The tables of the README that come from the code: `python -m tests.docs.tables` writes them anew."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from harvester.cli import harvester as program
from tests.docs.pages import errors_page, log_page, metrics_page

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, those of groups included."""
    context = click.Context(program)
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        if isinstance(command, click.Group):
            for inner, inner_command in command.commands.items():
                yield f"{name} {inner}", inner_command
        elif command is not None:
            yield name, command


def options() -> str:
    """One table a command: option, meaning, default. Those shared with `run` are told once."""
    shared = {
        option.opts[-1] for name, command in commands() if name == "run" for option in _options(command)
    }
    parts = []
    for name, command in commands():
        own = [o for o in _options(command) if name == "run" or o.opts[-1] not in shared]
        lines = [f"| `{_names(o)}` | {_cell(o)} |" for o in own]
        head = f"**`harvester {name}`** — {command.get_short_help_str(200)}"
        also = sorted(o.opts[-1] for o in _options(command) if o not in own)
        tail = f"\n\nAnd of `run`: {', '.join(f'`{flag}`' for flag in also)}." if also else ""
        table = "\n\n| option | meaning |\n| --- | --- |\n" + "\n".join(lines) if lines else ""
        parts.append(head + table + tail)
    return "\n\n".join(parts)


def _options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def _names(option: click.Option) -> str:
    value = "" if option.is_flag or option.count else f" {option.make_metavar(click.Context(program))}"
    names = [*sorted(option.opts, key=len), *option.secondary_opts]
    return "`, `".join(names) + value.replace("|", "\\|")


def _cell(option: click.Option) -> str:
    record = option.get_help_record(click.Context(program))
    text = " ".join((record[1] if record else "").split())
    return re.sub(r"\s*\[default: (.*)\]$", r" (\1)", text).replace("|", "\\|").replace("*", "\\*")


def extras() -> str:
    """What each extra brings, by the remarks in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text()
    known = tomllib.loads(text)["project"]["optional-dependencies"]
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    remarks = dict(re.findall(r'^\s*"?([\w-]+)(?:[\[><=~!][^"]*)?",?\s*# (.*)$', section, re.MULTILINE))
    remarks |= dict(re.findall(r'"([\w-]+)[^"]*"[\],]*\s*# (.*)$', section, re.MULTILINE))
    lines = []
    for extra, packages in known.items():
        brought = [re.split(r"[\[><=~!; ]", package)[0] for package in packages]
        why = "; ".join(f"{name}: {remarks[name]}" if name in remarks else name for name in brought)
        lines.append(f"| `{extra}` | {why} |")
    return "| extra | brings |\n| --- | --- |\n" + "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "options": options,
    "extras": extras,
    "metrics": metrics_page,
    "log events": log_page,
    "errors": errors_page,
}


def written(text: str) -> str:
    """The page with its tables as the code has them now."""
    for name, table in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"\n<!-- /{name} -->")
        text = before + begin + table() + end + after
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
