"""Settings from all their layers: flag, environment, file, the ecosystem's places, default."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

from harvester.credentials import Credentials
from harvester.errors import SettingError, did_you_mean
from harvester.model import Quota, Shard
from harvester.settings.access import NOWHERE, Access, find_access
from harvester.settings.config_file import Named, find_config
from harvester.settings.destination import Compression, Format
from harvester.settings.parse import BadValue
from harvester.settings.settings import (
    BY_NAME,
    TABLE,
    InputFormat,
    LogFormat,
    PartitionBy,
    Progress,
    Settings,
    Shape,
    Sorters,
    SourceStatus,
)

_log = logging.getLogger("harvester.settings")

_PREFIX = "HARVESTER_"
_WHICH_ACCOUNTS = {"inputs", "account", "list"}
"""Together they say which accounts: the first layer that has one of them decides for all."""

Layer: TypeAlias = Mapping[str, tuple[Any, str]]
"""Raw values by setting, each with how messages call it: a flag, a variable, a line of a file."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each came from (``default`` too), and what a person should know about them.

    `config` is the file that was read, if any, and `profile` the part of it laid over the rest.
    """

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    config: Path | None = None
    profile: str | None = None

    def explain(self) -> Iterator[tuple[str, str, str]]:
        """Every setting with its value and origin, for people to look at; secrets are not among them.

        The value is empty if the setting is needed and found nowhere.
        """
        for one in TABLE:
            origin = self.origins[one.name]
            value = "" if origin == NOWHERE else one.show(getattr(self.settings, one.name))
            yield one.name, value, origin


def load(
    given: Layer,
    *,
    environ: Mapping[str, str],
    config: Named | None = None,
    profile: Named | None = None,
    needs_tenant: bool = True,
) -> Loaded:
    """Put the layers together: the first that has a setting decides.

    Args:
        given: what comes before all else, such as flags: text or ready values. ``clients`` may be a file.
        environ: ``HARVESTER_<SETTING>`` and the official tools' ``SAIL_*``; empty variables are not set.
        config: the TOML file; see `find_config` for where it is looked for otherwise.
        profile: the part of it to lay over the rest, else HARVESTER_PROFILE.
        needs_tenant: whether a missing address or missing credentials are an error.

    Raises:
        SettingError: a value is not accepted; it says which, where it is, and what to write instead.
    """
    file = find_config(config, profile, environ)
    chosen = _first_of(given, dict(_environment(environ)), file.values)
    clients, clients_from = chosen.pop("clients", (None, ""))
    if clients and not isinstance(clients, (str, Path)):  # ready values, checked with the other settings
        access = Access(clients, "clients", *_base_url(chosen) or ("", NOWHERE))
    else:
        named = (str(clients), clients_from) if clients else None
        access = find_access(named, _base_url(chosen), environ, file)
    chosen |= {
        "base_url": (access.base_url, access.base_url_from),
        "clients": (access.clients, access.clients_from),
    }
    origins = dict.fromkeys(BY_NAME, "default") | {name: origin for name, (_, origin) in chosen.items()}
    try:
        settings = Settings(**{name: value for name, (value, _) in chosen.items()})
    except SettingError as error:
        raise as_written(error, origins) from None
    if needs_tenant:
        access.require(file.warning)
    warnings = [*filter(None, [file.warning]), *access.warnings, *_unknown_variables(environ)]
    return Loaded(settings, origins, tuple(warnings), file.path, file.profile)


AnyPath: TypeAlias = str | Path


class Options(TypedDict, total=False):
    """Keywords of `load_settings`, for type checkers; see `Settings` for what they mean.

    A keyword that is not given leaves the setting to the environment, the file and the default. None
    is a value: ``quota=None`` disables the limit.
    """

    config: AnyPath | None
    profile: str | None
    inputs: AnyPath | Sequence[str]
    list: bool
    account: str | Sequence[str]
    filters: str | None
    with_usage: bool
    add: str | Sequence[str]
    input_format: InputFormat
    id_field: str | None
    keep: str | Sequence[str]
    shard: Shard | str | None
    split_quota: bool
    base_url: str
    api_version: str | Sequence[str]
    clients: AnyPath | Sequence[Credentials]
    ca_bundle: AnyPath | None
    timeout: float | str
    max_body_bytes: int | str
    since: str | None
    skip_unreported: bool
    source_status: SourceStatus
    page_size: int
    sorters: Sorters
    count: bool
    output: AnyPath
    format: Format | None
    shape: Shape
    compress: Compression | None
    part_rows: int | None
    partition_by: PartitionBy | None
    columns: str | Sequence[str]
    changes: AnyPath | None
    failures: AnyPath | None
    file_mode: int | str
    fresh: bool
    replace: bool
    retry_failed: bool
    ledger: AnyPath | None
    keep_ledger: bool
    quota: Quota | str | None
    burst: int | None
    concurrency: int | None
    attempts: int
    max_outage: float | str
    deadline: float | str | None
    max_failures: int | None
    stop_grace: float | str
    progress: Progress
    log_format: LogFormat
    verbosity: int
    summary: AnyPath | None
    report: AnyPath | None
    metrics: AnyPath | None


def load_settings(**options: Unpack[Options]) -> Settings:
    """Settings as the command line would find them, for scripts: keywords take the place of its flags.

    They may be text (``quota="600/1m"``) or ready values (``quota=Quota(600, 60.0)``); ``clients`` is the
    path of a file, or a sequence of `Credentials`; ``config`` and ``profile`` name a file and a part of
    it. Warnings are logged.

    Raises:
        SettingError: as `load`.
        TypeError: there is no such setting.
    """
    given: dict[str, tuple[Any, str]] = {name: (value, name) for name, value in options.items()}
    config, _ = given.pop("config", (None, ""))
    profile, _ = given.pop("profile", (None, ""))
    loaded = load(
        given,
        environ=os.environ,
        config=(str(config), "config") if config else None,
        profile=(profile, "profile") if profile else None,
    )
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    return loaded.settings


def _environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[Any, str]]]:
    for one in TABLE:
        for variable in (one.variable, "SAIL_BASE_URL") if one.name == "base_url" else (one.variable,):
            if written := environ.get(variable, "").strip():
                parts = [part for part in written.split(one.separator) if part] if one.separator else written
                yield one.name, (parts, variable)
                break


def _first_of(*layers: Layer) -> dict[str, tuple[Any, str]]:
    """Each setting of the first layer that has it."""
    chosen: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        decided = _WHICH_ACCOUNTS if _WHICH_ACCOUNTS & chosen.keys() else chosen.keys()
        chosen |= {name: raw for name, raw in layer.items() if name not in decided | chosen.keys()}
    return chosen


def _base_url(chosen: Layer) -> tuple[str, str] | None:
    """The address, checked at once: secrets are looked for by it."""
    if "base_url" not in chosen:
        return None
    value, origin = chosen["base_url"]
    try:
        return BY_NAME["base_url"].read(value), origin
    except BadValue as bad:
        raise SettingError(origin, bad.problem, bad.hint) from None


def as_written(error: SettingError, origins: Mapping[str, str]) -> SettingError:
    """The same error, with the setting called as whoever set it called it: flag, variable or line."""
    origin = origins.get(error.setting)
    if origin is None:
        return error
    if origin in ("default", NOWHERE):
        origin = BY_NAME[error.setting].flag or error.setting
    return SettingError(origin, error.problem.removeprefix(f"{error.setting}: "), error.hint)


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """HARVESTER_* variables that mean nothing: others may own them, so they are a warning, not an error."""
    known = {*(one.variable for one in TABLE), "HARVESTER_CONFIG", "HARVESTER_PROFILE"}
    for name in sorted(one for one in environ if one.startswith(_PREFIX) and one not in known):
        yield f"{name} is not a setting: {did_you_mean(name, known, 'it has no effect')}"
