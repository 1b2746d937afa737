"""The options of a read, checked in the driver: settings by their names, and the lanes they come to.

Only options count, and SAIL_BASE_URL: no other variable of the driver and no configuration file, so that
the same code reads the same everywhere. No secret is read here: a client is passed on as the names of the
variables or files that hold its secret in the executors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from harvester.credentials import Credentials
from harvester.errors import SettingError, did_you_mean
from harvester.model import Quota
from harvester.settings.access import find_access
from harvester.settings.config_file import ClientTable, ConfigFile, read_clients
from harvester.settings.settings import TABLE, Settings

_SECTIONS: Final = ("connection", "request", "pace", "waiting")
OPTIONS: Final = (
    "ids",
    "input_format",
    "id_field",
    *(one.name for one in TABLE if one.section in _SECTIONS),
)
"""The names of all options. All but `ids` are settings."""

_REFUSED: Final = {
    "shard": ("the list is split by lane already", "leave it out, or give a part of the list"),
    "list": ("the tenant's own list cannot be read in a driver", "give what `harvester accounts` writes"),
    "inputs": ("is called ids here", "give one list as ids"),
    "path": ("is called ids here", "give nothing to load()"),
}
_HELD: Final = ("client_secret", "access_token")
"""Keys of a client that hold a secret itself, in place of a name."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A client on one API version. `client` is None for the one of the executors' environment."""

    client: ClientTable | None
    quota: Quota | None
    api_version: str


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """A read: its list, the settings that were given, and its lanes. Nothing in it is secret."""

    ids: str
    settings: Mapping[str, Any]
    lanes: tuple[Lane, ...]

    def settings_of(self, lane: Lane) -> Settings:
        """The settings of one lane, with its client's secret from this process's environment or files.

        Raises:
            SettingError: there is none.
        """
        if lane.client is None:
            client = _of_environment(self.settings)
        else:
            client = lane.client.credentials(os.environ, [])
        return Settings(**{**self.settings, "api_version": (lane.api_version,), "clients": (client,)})


def read_options(given: Mapping[str, str]) -> ReadOptions:
    """The options as Spark has them: text by name, in lower case.

    Raises:
        SettingError: one is unknown, missing, or not accepted.
    """
    for name in given:
        if name not in OPTIONS:
            raise _unknown(name)
    values: dict[str, Any] = {name: given[name] for name in given if name not in ("ids", "clients")}
    values.setdefault("base_url", os.environ.get("SAIL_BASE_URL", "").strip())
    tables = _clients(given["clients"]) if given.get("clients") else []
    settings = Settings(**values, clients=tuple(map(_without_secret, tables)))
    if not settings.base_url:
        raise SettingError("base_url", "the tenant's address is not set", "give it, or set SAIL_BASE_URL")
    ids = given.get("ids", "").strip()
    if ids in ("", "-"):
        raise SettingError("ids", "there is no list of account IDs", "name a file, or the path of a table")
    quotas = [client.quota or settings.quota for client in settings.clients]
    named: list[ClientTable | None] = [*tables] or [None]
    lanes = tuple(
        Lane(client, quota, version)
        for client, quota in zip(named, quotas or [settings.quota], strict=True)
        for version in settings.api_version
    )
    return ReadOptions(ids, {name: getattr(settings, name) for name in values}, lanes)


def _unknown(name: str) -> SettingError:
    if name in _REFUSED:
        return SettingError(name, *_REFUSED[name])
    if name in (one.name for one in TABLE):
        return SettingError(name, "has no meaning in Spark, which takes the rows itself", "leave it out")
    hint = did_you_mean(name, OPTIONS, f"there are {', '.join(OPTIONS)}")
    return SettingError(name, "there is no such option", hint)


# --- clients, by the names of their secrets


def _clients(written: str) -> list[ClientTable]:
    tables = read_clients((written, "clients"))
    for table in tables:
        for key in _HELD:
            if key in table.values:
                raise SettingError(
                    table.places[key],
                    "is a secret, which must not get into Spark's plan",
                    f"name a variable ({key}_env) or a file ({key}_file) of the executors",
                )
    return tables


def _without_secret(table: ClientTable) -> Credentials:
    """The client as the driver knows it: checked, with a word in place of its secret."""
    as_variables = {f"{key}_file": f"{key}_env" for key in _HELD}
    values = {}
    for key, value in table.values.items():
        variable = as_variables.get(key, key)
        values[key if variable in table.values else variable] = value
    return replace(table, values=values).credentials({str(one): "hidden" for one in values.values()}, [])


def _of_environment(settings: Mapping[str, Any]) -> Credentials:
    access = find_access(None, (settings["base_url"], "base_url"), os.environ, ConfigFile())
    access.require("on a Spark executor, only its own environment and files are looked at")
    return access.clients[0]
