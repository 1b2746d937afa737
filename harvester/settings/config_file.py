"""The configuration file: where it is, flat TOML, its clients, and the profiles laid over it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harvester.errors import SettingError
from harvester.settings.documents import (
    CLIENT_KEYS,
    ClientTable,
    Document,
    client_tables,
    named_path,
    read_document,
)
from harvester.settings.settings import BY_NAME

LOCAL_CONFIG = Path("harvester.toml")
"""In the working directory: read if no other is named."""

Named = tuple[str, str]
"""What a person wrote, and what named it: a flag, a variable, a keyword."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file says: each setting's raw value with its place, and its clients."""

    path: Path | None = None
    values: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    clients: list[ClientTable] = field(default_factory=list)
    profile: str | None = None
    warning: str | None = None


def home_directory(environ: Mapping[str, str]) -> Path | None:
    """The home directory; None for a user without one, as in containers."""
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111  # Path raises where there is none
    return None if home == "~" else Path(home)


def user_config(environ: Mapping[str, str]) -> Path | None:
    """``$XDG_CONFIG_HOME/account-usage-harvester/config.toml``; None without a home directory."""
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():  # a relative one is to be ignored, says the specification
        home = home_directory(environ)
        if home is None:
            return None
        base = home / ".config"
    return base / "account-usage-harvester" / "config.toml"


def find_config(named: Named | None, profile: Named | None, environ: Mapping[str, str]) -> ConfigFile:
    """The first there is: the one named, HARVESTER_CONFIG, ./harvester.toml, or the user's own.

    `profile` is the part of it to lay over the rest, else HARVESTER_PROFILE.

    Raises:
        SettingError: the file cannot be read, has a key that does not exist, or lacks the profile.
    """
    named = named or _variable("HARVESTER_CONFIG", environ)
    profile = profile or _variable("HARVESTER_PROFILE", environ)
    if named is not None:
        return _read(named_path(*named), named[1], profile)
    warning = None
    if os.path.exists(LOCAL_CONFIG):  # noqa: PTH110  # unlike Path.exists, false where it may not be looked at
        warning = _foreign(LOCAL_CONFIG)
        if warning is None:
            return _read(LOCAL_CONFIG, str(LOCAL_CONFIG), profile)
    users = user_config(environ)
    if users is not None and os.path.exists(users):  # noqa: PTH110  # as above
        return _read(users, str(users), profile, warning)
    if profile is not None:
        problem = f"{profile[0]!r} is in no configuration file"
        raise SettingError(profile[1], problem, "name the configuration with --config")
    return ConfigFile(warning=warning)


def _variable(name: str, environ: Mapping[str, str]) -> Named | None:
    value = environ.get(name, "").strip()
    return (value, name) if value else None


def _read(path: Path, setting: str, profile: Named | None, warning: str | None = None) -> ConfigFile:
    """The file, with the profile's settings in place of those at the top.

    A profile that names a client has only its own clients. `setting` is what named the file.
    """
    document = read_document(path, setting)
    profiles = document.content.pop("profile", {})
    document.check_keys(document.content, (*BY_NAME, *CLIENT_KEYS, "profile"))
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        hint = "write [profile.NAME] above the settings of one"
        raise SettingError(document.place("profile"), "is not a table of profiles", hint)
    for name, settings in profiles.items():
        document.check_keys(settings, (*BY_NAME, *CLIENT_KEYS), "profile", name)
    layers: list[tuple[dict[str, Any], tuple[str, ...]]] = [(document.content, ())]
    if profile is not None:
        layers.append((_chosen(profiles, profile, path), ("profile", profile[0])))
    values: dict[str, tuple[object, str]] = {}
    clients: list[ClientTable] = []
    for table, where in layers:
        for key, value in table.items():
            if key in BY_NAME and key != "clients":
                values[key] = value, document.place(*where, key)
        clients = _clients(table, document, where) or clients
    return ConfigFile(path, values, clients, profile and profile[0], warning)


def _foreign(path: Path) -> str | None:
    """Why a file that nobody named is not read: somebody else may have put it there to redirect secrets."""
    try:
        status = path.stat()
    except OSError:
        return None  # reading it gives the reason
    if status.st_uid in (0, os.geteuid()) and not status.st_mode & stat.S_IWOTH:
        return None
    return f"./{path} is not read, as another user may write to it: name it with --config to use it"


def _chosen(profiles: Mapping[str, dict[str, Any]], profile: Named, path: Path) -> dict[str, Any]:
    name, named_by = profile
    if name in profiles:
        return profiles[name]
    near = get_close_matches(name, profiles, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(profiles) or 'none'}"
    raise SettingError(named_by, f"{path} has no profile {name!r}", hint)


def _clients(table: Mapping[str, object], document: Document, where: tuple[str, ...]) -> list[ClientTable]:
    own = {key: table[key] for key in CLIENT_KEYS if key in table}
    if "clients" not in table:
        return [ClientTable(own, document, where)] if own else []
    if own:
        first = document.place(*where, next(iter(own)))
        raise SettingError(first, "contradicts [[clients]]", "move it into one of the clients")
    return client_tables(table["clients"], document, *where, "clients")
