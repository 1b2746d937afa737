"""`harvester config`: what the settings are and where each came from, and a file to begin with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from harvester.cli.columns import columns
from harvester.cli.options import SettingsCommand, loaded, setting_options
from harvester.errors import OutputFault
from harvester.settings.load import Loaded, explain
from harvester.settings.table import SECTIONS
from harvester.settings.template import template

_SHOW_EXAMPLES = """\b
Examples:
  harvester config show
  harvester config show --config harvester.toml --profile prod
  harvester config show --quota 500/10s --json | jq '.settings[] | select(.source != "default")'"""

_INIT_EXAMPLES = """\b
Examples:
  harvester config init
  harvester config init ~/.config/harvester.toml

Then take out the # in front of what you want to change, and name the file with --config or
HARVESTER_CONFIG."""

_MODE = 0o600


_EXAMPLES = """\b
Examples:
  harvester config init
  harvester config show --config harvester.toml"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Show the settings and where each came from, or write a file of them to begin with."""


@command.command("show", cls=SettingsCommand, epilog=_SHOW_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@setting_options(*SECTIONS)
def show(*, as_json: bool, **options: Any) -> None:
    """Show every setting with its value and the place it came from.

    The options are those of `harvester run`: the values shown are those that such a run would have. A
    flag decides over the environment, that over the file, that over the default. Secrets are not shown.
    """
    found = loaded(options, needs_tenant=False)
    if as_json:
        click.echo(json.dumps(_document(found), ensure_ascii=False, indent=2))
        return
    rows = [(name, value or "not set", source) for name, value, source in explain(found)]
    for line in columns([("setting", "value", "from"), *rows]):
        click.echo(line)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)


def _document(found: Loaded) -> dict[str, Any]:
    return {
        "config": None if found.config is None else str(found.config),
        "profile": found.profile,
        "settings": [
            {"name": name, "value": value, "source": source} for name, value, source in explain(found)
        ],
        "warnings": list(found.warnings),
    }


@command.command("init", short_help="Write a file with every setting to begin with.", epilog=_INIT_EXAMPLES)
@click.argument("path", default="harvester.toml", type=click.Path(path_type=Path), metavar="[FILE]")
def init(path: Path) -> None:
    """Write a configuration with every setting, its default and what it means, all commented out.

    FILE is harvester.toml unless given; one that exists is never overwritten. Only its owner may read
    it, for secrets may come to stand in it.
    """
    path = path.expanduser()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise OutputFault(f"{path} is there already", "name another file, or remove it first") from None
    except OSError as error:
        raise OutputFault(f"{path}: can't be written ({error.strerror})", "name another file") from error
    click.echo(f"{path} is written. Edit it, then try: harvester check --config {path}")
