"""Settings out of all their layers: flag, environment, file, the ecosystem's places, default."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harvester.errors import SettingFault
from harvester.settings.client import Client
from harvester.settings.config_file import ConfigFile, read_config
from harvester.settings.credentials import Access, find_access
from harvester.settings.field import Field
from harvester.settings.model import Settings
from harvester.settings.parse import BadValue
from harvester.settings.table import BY_NAME, FIELDS

log = logging.getLogger("harvester.settings")

_PREFIX = "HARVESTER_"
_LONGEST_SHOWN = 80
_Raw = tuple[object, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each came from (``default`` too), and what the operator should hear of."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    config: Path | None = None
    profile: str | None = None


def flag_of(field: Field) -> str:
    """How the command line calls a setting."""
    return field.flag or {"inputs": "INPUT", "verbosity": "-v"}.get(field.name, field.name)


def load(
    flags: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    home: Path,
    cwd: Path,
    config: Path | None = None,
    profile: str | None = None,
    needs_tenant: bool = True,
    called: Callable[[Field], str] = flag_of,
) -> Loaded:
    """Put the layers together: the first that has a setting decides.

    Args:
        flags: text or ready values by setting; None and an empty tuple are not given. ``clients`` is a file.
        environ: ``HARVESTER_<SETTING>`` and the official tools' ``SAIL_*``; empty variables are not set.
        home: where the official CLI's folder is.
        cwd: where the official SDK's file is.
        config: the TOML file, else HARVESTER_CONFIG.
        profile: the part of it to lay over the rest, else HARVESTER_PROFILE.
        needs_tenant: whether a missing address or missing credentials are a fault.
        called: how messages call a setting that `flags` gave.

    Raises:
        SettingFault: a value can't be taken; it says which, where it stands, and what to write instead.
    """
    profile = profile or environ.get("HARVESTER_PROFILE") or None
    file = _config_file(config, profile, environ)
    chosen = {field.name: _first(field, flags, environ, file, called) for field in FIELDS}
    values = {name: _parsed(BY_NAME[name], *raw) for name, raw in chosen.items() if raw}
    sources = {name: raw[1] if raw else "default" for name, raw in chosen.items()}
    access = _access(flags, values, sources, environ, file, home=home, cwd=cwd)
    if needs_tenant:
        access.require()
    values |= {"base_url": access.base_url, "clients": access.clients}
    sources |= {"base_url": access.base_url_from, "clients": access.clients_from}
    warnings = (*access.warnings, *_unknown_variables(environ))
    return Loaded(_settled(values, sources), MappingProxyType(sources), warnings, file.path, profile)


def load_settings(
    config: str | Path | None = None, *, profile: str | None = None, **overrides: Any
) -> Settings:
    """Settings as the command line would find them, for scripts: `overrides` stand in for its flags.

    They may be text (``quota="600/1m"``) or ready values (``quota=Quota(600, 60.0)``); ``clients`` is a
    file's path, or a tuple of `Client`. Warnings are logged.

    Raises:
        SettingFault: as `load`.
        TypeError: there is no such setting.
    """
    unknown = overrides.keys() - BY_NAME.keys() - {"clients"}
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    loaded = load(
        overrides,
        environ=os.environ,
        home=Path.home(),
        cwd=Path.cwd(),
        config=None if config is None else Path(config),
        profile=profile,
        called=lambda field: field.name,
    )
    for warning in loaded.warnings:
        log.warning("%s", warning)
    return loaded.settings


def _config_file(config: Path | None, profile: str | None, environ: Mapping[str, str]) -> ConfigFile:
    named = environ.get("HARVESTER_CONFIG", "").strip()
    if config is not None:
        return read_config(config, "--config", profile)
    if named:
        return read_config(Path(named).expanduser(), "HARVESTER_CONFIG", profile)
    if profile is not None:
        raise SettingFault("profile", f"{profile!r} is in no file", "name the configuration by --config")
    return ConfigFile()


def _first(
    field: Field,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: ConfigFile,
    called: Callable[[Field], str],
) -> _Raw | None:
    """The raw value of the first layer that has one, and where that was."""
    if (given := flags.get(field.name)) is not None and given != ():
        return given, called(field)
    for variable in (field.variable, "SAIL_BASE_URL") if field.name == "base_url" else (field.variable,):
        if (written := environ.get(variable, "")).strip():
            return _split(field, written), variable
    return file.values.get(field.name)


def _split(field: Field, written: str) -> object:
    """Several inputs in one variable are separated as in PATH."""
    return [one for one in written.split(os.pathsep) if one] if field.name == "inputs" else written


def _parsed(field: Field, value: object, where: str) -> Any:
    try:
        return field.parse(value)
    except BadValue as bad:
        shown = "" if bad.secret else f"{str(value)[:_LONGEST_SHOWN]!r} "
        raise SettingFault(where, shown + bad.problem, bad.mend) from None


def _access(
    flags: Mapping[str, Any],
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    environ: Mapping[str, str],
    file: ConfigFile,
    *,
    home: Path,
    cwd: Path,
) -> Access:
    base_url = (values["base_url"], sources["base_url"]) if "base_url" in values else None
    given = flags.get("clients")
    if isinstance(given, (tuple, list)) and all(isinstance(one, Client) for one in given):
        access = Access(clients=tuple(given), clients_from="clients")
        access.base_url, access.base_url_from = base_url or ("", "nowhere")
        return access
    clients_file = (Path(given).expanduser(), "--clients") if given else None
    if not clients_file and (named := environ.get("HARVESTER_CLIENTS", "").strip()):
        clients_file = (Path(named).expanduser(), "HARVESTER_CLIENTS")
    return find_access(clients_file, base_url, environ, file, home=home, cwd=cwd)


def _settled(values: Mapping[str, Any], sources: Mapping[str, str]) -> Settings:
    """The settings; what contradicts another is called by where it came from."""
    try:
        return Settings(**values)
    except SettingFault as fault:
        where = sources.get(fault.setting, fault.setting)
        if where == "default":
            where = flag_of(BY_NAME[fault.setting])
        raise SettingFault(where, fault.problem.removeprefix(f"{fault.setting}: "), fault.mend) from None


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """HARVESTER_* variables that mean nothing: others may own them, so they are told and not refused."""
    known = {field.variable for field in FIELDS} | {
        f"{_PREFIX}{one}" for one in ("CONFIG", "PROFILE", "CLIENTS")
    }
    warnings = []
    for name in sorted(one for one in environ if one.startswith(_PREFIX) and one not in known):
        near = get_close_matches(name, known, n=1)
        warnings.append(f"{name} is no setting" + (f": did you mean {near[0]}?" if near else ""))
    return warnings


def explain(loaded: Loaded) -> list[tuple[str, str, str]]:
    """Every setting with its value and source, secrets masked, for people to look at."""
    shown = {field.name: field.show(getattr(loaded.settings, field.name)) for field in FIELDS}
    shown["clients"] = ", ".join(client.label for client in loaded.settings.clients) or "none"
    return [(name, value, loaded.sources.get(name, "default")) for name, value in shown.items()]
