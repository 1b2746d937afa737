"""The options that commands share, made from the table of settings, in groups that help shows with titles.

An option takes plain text and is passed on only when it was given: what it means, and what is wrong with
it, is said in one place for flags, environment and file alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from harvester.settings.field import Field
from harvester.settings.load import Loaded, load
from harvester.settings.table import FIELDS, SECTIONS
from harvester.settings.values import default_of

_Command = TypeVar("_Command", bound=Callable[..., Any])

_WHERE_SETTINGS_ARE = (
    ("--clients", "FILE", "Client ids that share the list, each with its own quota; TOML or JSON."),
    ("--config", "FILE", "Settings in TOML; config/harvester.toml documents them all."),
    ("--profile", "NAME", "Part of the configuration to lay over the rest: [profile.NAME]."),
)
_MOST_VERBOSE = 2
_OWN = {"config", "profile", "verbose", "quiet", "dry_run"}
"""Options that are no settings: where settings come from, and shorthands."""


class SectionedOption(click.Option):
    """An option that knows the group in which help shows it."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SettingsCommand(click.Command):
    """A command whose help has its options in titled groups, in the table's order."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups, then what belongs to none."""
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in (*SECTIONS.values(), "Other")}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                rows[SECTIONS.get(getattr(param, "section", ""), "Other")].append(record)
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def setting_options(*sections: str) -> Callable[[_Command], _Command]:
    """Add the options of these sections of the table, and with the tenant those that say where settings are.

    A decorator for the function under ``@click.command(cls=SettingsCommand)``; it then takes ``**options``.
    """
    options = [option for section in sections for option in _section_options(section)]

    def add(function: _Command) -> _Command:
        for option in reversed(options):
            function = click.option(*option[0], cls=SectionedOption, **option[1])(function)
        return function

    return add


def inputs_argument(function: _Command) -> _Command:
    """Add ``[INPUT]...``."""
    return click.argument("inputs", nargs=-1, metavar="[INPUT]...", shell_complete=_complete_files)(function)


def dry_run_option(function: _Command) -> _Command:
    """Add ``--dry-run``."""
    return click.option(
        "--dry-run",
        is_flag=True,
        cls=SectionedOption,
        section="list",
        help="Tell the plan (accounts, requests, time at the quota) and send nothing.",
    )(function)


def loaded(options: dict[str, Any], *, needs_tenant: bool = True) -> Loaded:
    """The settings of a command from its options, the environment and the files.

    Raises:
        SettingFault: a value can't be taken, or the tenant or its credentials are missing.
        UsageError: ``-v`` and ``-q`` together.
    """
    config = options.get("config")
    return load(
        settings_given(options),
        environ=os.environ,
        home=Path("~").expanduser(),
        cwd=Path.cwd(),
        config=Path(config).expanduser() if config else None,
        profile=options.get("profile"),
        needs_tenant=needs_tenant,
    )


def settings_given(options: dict[str, Any]) -> dict[str, Any]:
    """Those options that are settings and were given, with ``-v`` and ``-q`` as verbosity."""
    given = {name: value for name, value in options.items() if name not in _OWN and value not in (None, ())}
    if options.get("quiet") and options.get("verbose"):
        raise click.UsageError("-v and -q contradict each other: give one of them.")
    if options.get("quiet") or options.get("verbose"):
        given["verbosity"] = -1 if options.get("quiet") else min(options["verbose"], _MOST_VERBOSE)
    return given


def _section_options(section: str) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Names and attributes of the options of one section."""
    options = [_option(field) for field in FIELDS if field.section == section and field.flag]
    if section == "tenant":
        options[2:2] = [_own(*one, section) for one in _WHERE_SETTINGS_ARE]
    if section == "seeing":
        verbose = {"count": True, "section": section, "help": "Log each retry; twice: each request."}
        quiet = {"is_flag": True, "section": section, "help": "Log warnings and errors only."}
        options += [(("-v", "--verbose"), verbose), (("-q", "--quiet"), quiet)]
    return options


def _option(field: Field) -> tuple[tuple[str, ...], dict[str, Any]]:
    attributes: dict[str, Any] = {"section": field.section, "default": None, "help": _help(field)}
    if field.off:
        return (field.name, f"{field.flag}/{field.off}"), attributes
    names = (field.name, *((field.short,) if field.short else ()), field.flag)
    return names, attributes | {
        "metavar": field.kind.metavar,
        "type": str,
        "shell_complete": _completion(field),
    }


def _own(flag: str, metavar: str, text: str, section: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    attributes: dict[str, Any] = {"metavar": metavar, "default": None, "section": section, "help": text}
    return (flag,), attributes | ({"shell_complete": _complete_files} if metavar == "FILE" else {})


def _help(field: Field) -> str:
    default = default_of(field.name)
    if field.off:
        return f"{field.help}  [default: {field.flag if default else field.off}]"
    return f"{field.help}  [default: {field.show(None if default == '' else default)}]"


def _completion(field: Field) -> Callable[..., list[CompletionItem]] | None:
    """What a shell offers: the words of a choice, or files."""
    if field.kind.metavar in ("FILE", "DEST"):
        return _complete_files

    def words(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(one) for one in field.kind.choices if one.startswith(incomplete)]

    return words if field.kind.choices else None


def _complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]
