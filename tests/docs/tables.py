"""The tables of the manual that come from the code: `python -m tests.docs.tables` writes them anew.

So does it with config/harvester.toml, which is what `harvester config init` writes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from harvester.cli import harvester as program
from harvester.events import (
    ClientDropped,
    LanePaused,
    OutageBegan,
    OutageEnded,
    RateChanged,
    TokenRenewed,
    Warned,
)
from harvester.model import Counts, Quota, Reason
from harvester.report.metrics import MetricsFile
from harvester.report.reasons import meaning
from harvester.settings import TABLE
from harvester.settings.template import template
from tests.docs.manual import DOCS, ROOT
from tests.docs.reference import tables as settings_tables
from tests.report.samples import Run

_EVERYWHERE = {"-h", "--help", "--config", "--profile", "-v", "-q"}
"""Options that the page explains once, above the tables."""
_HEAD = "| option | meaning |\n| --- | --- |"


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


def options_of(command: click.Command) -> list[click.Option]:
    """The options of a command that help shows."""
    return [one for one in command.params if isinstance(one, click.Option) and not one.hidden]


# --- options


def command_tables() -> str:
    """One section for each command: what it is for, its own options, and the settings it takes."""
    return "\n\n".join(_command(name, command) for name, command in commands())


def _command(name: str, command: click.Command) -> str:
    settings = {one.flag: one.help for one in TABLE if one.flag}
    own: list[click.Option] = []
    shared: list[click.Option] = []
    for option in options_of(command):
        if _EVERYWHERE & set(option.opts):
            continue
        known = settings.get(option.opts[-1])
        (shared if known and (option.help or "").startswith(known) else own).append(option)
    parts = [f"### harvester {name}", _usage(name, command), _sentence(command)]
    if own:
        parts.append("\n".join([_HEAD, *(f"| {_names(one)} | {_meaning(one)} |" for one in own)]))
    if shared and len(shared) > len(settings) // 2:
        parts.append("And all [settings](#settings).")
    elif shared:
        parts.append(f"And these [settings](#settings): {_listed(one.opts[-1] for one in shared)}.")
    return "\n\n".join(parts)


def _usage(name: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command))
    return f"`harvester {name} {' '.join(pieces)}`"


def _sentence(command: click.Command) -> str:
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def _names(option: click.Option) -> str:
    return f"`{_record(option)[0]}`".replace("|", "\\|").replace(" RANGE", "")


def _meaning(option: click.Option) -> str:
    text = re.sub(r";? ?-?[\d.]+<=?x(<=?[\d.]+)?|;? ?x>=?[\d.]+", "", " ".join(_record(option)[1].split()))
    text = text.removesuffix(" []")
    return re.sub(r"\s*\[default: (.*)\]$", r" Default: \1.", text).strip().replace("|", "\\|")


def _record(option: click.Option) -> tuple[str, str]:
    record = option.get_help_record(click.Context(program))
    assert record is not None
    return record


def _listed(flags: Iterable[str]) -> str:
    return ", ".join(f"`{flag}`" for flag in flags)


def setting_tables() -> str:
    """Every setting, by section."""
    return "\n\n".join("\n".join([f"### {title}", "", *lines]) for title, lines in settings_tables())


# --- metrics, reasons


def metrics_table() -> str:
    """Every metric, with its type, labels and meaning."""
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for name, kind, text, samples in _full_run().families():
        labels = dict.fromkeys(label for _, labels, _ in samples for label in labels)
        assert samples, f"{name} has no sample here"
        lines.append(f"| `{name}` | {kind} | {' '.join(f'`{label}`' for label in labels)} | {text} |")
    return "\n".join(lines)


def _full_run() -> MetricsFile:
    """A run in which everything happened."""
    run = Run()
    run.listed(3)
    for reason in (None, "server_error", None):
        run.clock.now += 10
        run.request(reason=reason)
    run.retry()
    run.account(0, reason="not_found")
    for event in (
        RateChanged("a", 1.0),
        LanePaused("a", 429, 1.0, asked=True),
        ClientDropped("a", "401"),
        TokenRenewed("a", 749.0),
        Warned("code", "problem", "hint"),
        OutageBegan("no answer"),
        OutageEnded(1.0),
    ):
        run.tally.observe(event)
    about = dict.fromkeys(("version", "tenant", "api_version", "output", "shard"), "")
    metrics = MetricsFile(Path("nightly.prom"), run.tally, {"a": Quota(100, 10.0)}, lambda: 0, about)
    metrics.run_ended(0, Counts(3, 1, 1, 0, 1, 0))
    return metrics


def reasons_table() -> str:
    """Every reason for which an account can fail."""
    lines = ["| reason | meaning | what to do |", "| --- | --- | --- |"]
    for reason in Reason:
        found = meaning(reason)
        hint = found.hint if not found.hint_for_all else f"{found.hint}; if all fail: {found.hint_for_all}"
        lines.append(f"| `{reason}` | {found.words} | {hint} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "commands": command_tables,
    "settings": setting_tables,
    "metrics": metrics_table,
    "reasons": reasons_table,
}


def written(text: str) -> str:
    """The page with its tables as the code has them now."""
    for name, table in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name} -->")
        if begin:
            _, end, after = rest.partition(f"<!-- /{name} -->")
            assert end, f"<!-- /{name} --> is missing"
            text = f"{before}{begin}\n\n{table()}\n\n{end}{after}"
    return text


CONFIGURATION = ROOT / "config" / "harvester.toml"

if __name__ == "__main__":
    CONFIGURATION.write_text(template(), encoding="utf-8")
    for page in DOCS.glob("*.md"):
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
