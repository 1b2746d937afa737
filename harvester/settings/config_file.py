"""The configuration file: flat TOML, its clients, and the profiles laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from harvester.errors import SettingFault
from harvester.settings.client_tables import CLIENT_KEYS, ClientTable, check_keys, client_tables, read_toml
from harvester.settings.secret_files import read_text
from harvester.settings.table import BY_NAME

_KEYS = (*BY_NAME, "clients", *CLIENT_KEYS)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file says: each setting's raw value with the place it stands at, and its clients."""

    path: Path | None = None
    values: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    clients: list[ClientTable] = field(default_factory=list)


def read_config(path: Path, setting: str, profile: str | None) -> ConfigFile:
    """The file, with the profile's settings in place of those at the top.

    A profile that names a client has its own clients only. `setting` is what named the file.

    Raises:
        SettingFault: the file can't be read, or has a key that doesn't exist, or no such profile.
    """
    document = read_toml(read_text(path, setting), path)
    profiles = document.pop("profile", {})
    check_keys(document, (*_KEYS, "profile"), f"{path}: ")
    layers = [(document, f"{path}: ")]
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        mend = "write [profile.NAME] above the settings of one"
        raise SettingFault(f"{path}: profile", "is no table of profiles", mend)
    for name, settings in profiles.items():
        check_keys(settings, _KEYS, f"{path}: profile.{name}.")
    if profile is not None:
        layers.append((_chosen(profiles, profile, path), f"{path}: profile.{profile}."))
    values: dict[str, tuple[object, str]] = {}
    clients: list[ClientTable] = []
    for table, where in layers:
        values |= {key: (table[key], where + key) for key in table if key in BY_NAME}
        clients = _clients(table, where, path) or clients
    return ConfigFile(path, values, clients)


def _chosen(profiles: Mapping[str, dict[str, object]], name: str, path: Path) -> dict[str, object]:
    if name in profiles:
        return profiles[name]
    near = get_close_matches(name, profiles, n=1)
    mend = f"did you mean {near[0]}?" if near else f"it has {', '.join(profiles) or 'none'}"
    raise SettingFault("profile", f"{path} has no profile {name!r}", mend)


def _clients(table: Mapping[str, object], where: str, path: Path) -> list[ClientTable]:
    own = {key: table[key] for key in CLIENT_KEYS if key in table}
    if "clients" not in table:
        return [ClientTable(own, where, path)] if own else []
    if own:
        raise SettingFault(
            where + next(iter(own)), "stands beside [[clients]]", "put it into one of the clients"
        )
    return client_tables(table["clients"], where + "clients", path)
