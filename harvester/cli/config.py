"""`harvester config`: what the settings are and where each comes from, and a file to start from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from harvester.cli.help import Command, Group
from harvester.cli.options import PATH, SettingsCommand, loaded, setting_options
from harvester.errors import OutputError
from harvester.report.text import aligned
from harvester.settings import SECTIONS
from harvester.settings.config_file import LOCAL_CONFIG, user_config
from harvester.settings.template import template

_MODE = 0o600
_STDOUT = ("-", "/dev/stdout")


@click.group(cls=Group)
def command() -> None:
    """Show the settings and where each comes from, or write a configuration file to start from.

    Commands read the file that --config or HARVESTER_CONFIG names; otherwise ./harvester.toml; otherwise
    $XDG_CONFIG_HOME/account-usage-harvester/config.toml (XDG_CONFIG_HOME is ~/.config if not set).

    Examples:
      harvester config init
      harvester config show
    """


@command.command("show", cls=SettingsCommand, params=setting_options(*SECTIONS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(*, as_json: bool, **options: Any) -> None:
    """Show every setting with its value and where it comes from.

    The options are those of `harvester run`; the values are those that such a run would have.
    Precedence: flag, environment, file, default. Secrets are not shown.

    Examples:
      harvester config show
      harvester config show --config nightly.toml --profile prod
      harvester config show --quota 500/10s --json | jq '.settings[] | select(.origin != "default")'
    """
    found = loaded(options, needs_tenant=False)
    config, rows = found.config and str(found.config), list(found.explain())
    if as_json:
        document = {
            "config": config,
            "profile": found.profile,
            "settings": [{"name": name, "value": value, "origin": origin} for name, value, origin in rows],
            "warnings": found.warnings,
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    profile = f", profile {found.profile}" if found.profile else ""
    click.echo(f"configuration file: {config or 'none'}{profile}\n")
    shown = [(name, value or "not set", origin) for name, value, origin in rows]
    click.echo("\n".join(aligned([("setting", "value", "from"), *shown])))
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)


@command.command("init", cls=Command)
@click.argument("file", default=str(LOCAL_CONFIG), metavar="[FILE]", type=PATH)
@click.option("-q", "--quiet", is_flag=True, help="Print no message.")
def init(*, file: str, quiet: bool) -> None:
    """Write a configuration with every setting, its default and what it means, all commented out.

    FILE is ./harvester.toml by default, which commands started in this directory read; - is stdout. A
    file that exists is not overwritten. Only its owner can read it, as it may come to hold secrets.

    Examples:
      harvester config init
      harvester config init ~/.config/account-usage-harvester/config.toml
      harvester config init nightly.toml
    """
    if file in _STDOUT:
        click.echo(template(), nl=False)
        return
    path = Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(template())
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror})"
        raise OutputError(problem, "name another file, or remove what is there") from None
    if not quiet:
        named = "" if path in (LOCAL_CONFIG, user_config(os.environ)) else f" --config {path}"
        click.echo(f"{path} written. Edit it, then try: harvester check{named}", err=True)
