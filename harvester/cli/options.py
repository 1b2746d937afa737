"""The options that commands share, made from the table of settings.

An option takes plain text and is passed on only if it was given: what it means, and what is wrong with
it, is decided in one place for flags, environment and file alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
from click.shell_completion import CompletionItem

from harvester.cli.help import Command, GroupedOption
from harvester.errors import ClosedPipe, SettingError, StopRun
from harvester.report.event_log import say_error
from harvester.report.github import tell_error
from harvester.report.log import LOGGER, Lines, logging_to
from harvester.report.redaction import Redactor
from harvester.settings import BY_NAME, SECTIONS, TABLE, Loaded, load
from harvester.settings.load import as_written
from harvester.settings.parse import BadValue, path_text
from harvester.settings.setting import TEXTS, Setting
from harvester.settings.settings import Settings, secrets_of

_CONFIGURATION = "Configuration"
_LOADED = "harvester.loaded"
_MOST_VERBOSE = 2

_OWN = {"config", "profile", "verbose", "quiet", "dry_run"}
"""Options that are not settings: where settings come from, and shorthands."""


class Parsed(click.ParamType[Any]):
    """A value read by one of our own parsers; what they refuse is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except SettingError as error:
            # click names the option itself.
            self.fail(f"{error}.".removeprefix(f"{error.setting}: "), param, ctx)
        except BadValue as bad:
            self.fail(f"{value!r} {bad.problem}: {bad.hint}.", param, ctx)


PATH = Parsed("path", path_text)
"""A path that is no setting: not blank, and `~` is the home directory."""


class SettingsCommand(Command):
    """A command with options of the table; its errors call a setting as it was written."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SettingError as error:
            found: Loaded | None = ctx.meta.get(_LOADED)
            raise (error if found is None else as_written(error, found.origins)) from None


def loaded(options: dict[str, Any], *, needs_tenant: bool = True, **fixed: Any) -> Loaded:
    """The settings of a command from its options, the environment and the files.

    `fixed` are settings that the command itself decides.

    Raises:
        SettingError: a value is not accepted, or the tenant or its credentials are missing.
        click.UsageError: ``-v`` and ``-q`` together.
    """
    given = settings_given(options) | fixed
    config, profile = options.get("config"), options.get("profile")
    found = load(
        {name: (value, BY_NAME[name].called(value)) for name, value in given.items()},
        environ=os.environ,
        config=(config, "--config") if config else None,
        profile=(profile, "--profile") if profile else None,
        needs_tenant=needs_tenant,
    )
    click.get_current_context().meta[_LOADED] = found
    return found


def settings_given(options: dict[str, Any]) -> dict[str, Any]:
    """Those options that are settings and were given, with ``-v`` and ``-q`` as verbosity."""
    given = {name: value for name, value in options.items() if name not in _OWN and value not in (None, ())}
    if options.get("quiet") and options.get("verbose"):
        raise click.UsageError("-v and -q contradict each other: give one of them.")
    if options.get("quiet") or options.get("verbose"):
        given["verbosity"] = -1 if options.get("quiet") else min(options["verbose"], _MOST_VERBOSE)
    return given


# --- the options


def _complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


INPUTS = click.Argument(["inputs"], nargs=-1, metavar="[INPUT]...", shell_complete=_complete_files)
DRY_RUN = GroupedOption(
    ["--dry-run"],
    is_flag=True,
    common=10,
    help="Show the plan (accounts, requests, time at the quota) and send nothing.",
)
_CONFIG = GroupedOption(
    ["--config"],
    group=_CONFIGURATION,
    common=5,
    metavar="FILE",
    shell_complete=_complete_files,
    help="Settings in TOML.  [default: ./harvester.toml, else the user's; see `harvester config`]",
)
_PROFILE = GroupedOption(
    ["--profile"],
    group=_CONFIGURATION,
    metavar="NAME",
    help="Apply [profile.NAME] of the configuration on top of the rest.",
)
_VERBOSE = GroupedOption(
    ["-v", "--verbose"], group=SECTIONS["display"], count=True, help="Log each retry; twice: each request."
)
_QUIET = GroupedOption(
    ["-q", "--quiet"], group=SECTIONS["display"], is_flag=True, help="Log warnings and errors only."
)


def setting_options(*wanted: str, **details: Mapping[str, Any]) -> list[click.Parameter]:
    """Options of the table, by section or by name, and those that every command has.

    `details` are the names of more options, with the fields that differ for this command in particular.
    """
    chosen = [one for one in TABLE if one.flag and {one.section, one.name} & {*wanted, *details}]
    made = (_option(replace(one, **details.get(one.name, {}))) for one in chosen)
    return [_CONFIG, _PROFILE, *made, _VERBOSE, _QUIET]


def _option(one: Setting) -> GroupedOption:
    described: dict[str, Any] = {"group": SECTIONS[one.section], "common": one.common, "help": _help(one)}
    if one.switch:
        return GroupedOption([one.name, f"{one.flag}/{one.negative}"], default=None, **described)
    return GroupedOption(
        [one.name, *filter(None, [one.short]), one.flag],
        metavar=one.kind.metavar,
        type=str,
        multiple=one.kind is TEXTS,
        shell_complete=_completion(one),
        **described,
    )


def _help(one: Setting) -> str:
    if one.switch:
        return f"{one.help}  [default: {one.flag}]" if one.default else one.help
    shown = one.show(one.default)
    return one.help if one.default == () and not one.unset else f"{one.help}  [default: {shown}]"


def _completion(one: Setting) -> Callable[..., list[CompletionItem]] | None:
    """What a shell offers: the words of a choice, or files."""
    if one.kind.metavar in ("FILE", "DEST", "LEDGER", "last|LEDGER"):
        return _complete_files

    def words(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in one.kind.choices if word.startswith(incomplete)]

    return words if one.kind.choices else None


# --- the log


@contextmanager
def log_shown(settings: Settings, warnings: Sequence[str] = ()) -> Iterator[Lines]:
    """Within it, the log goes to stderr, secrets masked; it begins with `warnings`.

    Where it is JSON, the error that ends the command becomes a line of it.
    """
    redact = Redactor(secrets_of(settings))
    with logging_to(log_format=settings.log_format, verbosity=settings.verbosity, redact=redact) as lines:
        for warning in warnings:
            LOGGER.warning("%s", warning)
        try:
            yield lines
        except ClosedPipe:
            raise
        except StopRun as stop:
            if settings.log_format == "text":
                raise
            say_error(stop)
            tell_error(redact(str(stop)), stop.exit_status, os.environ)
            raise SystemExit(stop.exit_status) from None
