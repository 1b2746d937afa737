"""Clients as files list them: tables in TOML, objects in JSON, each with a secret or the place of one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harvester.errors import SettingFault
from harvester.model import Quota
from harvester.settings import parse
from harvester.settings.client import Client
from harvester.settings.secret_files import exposed, read_secret, read_text

CLIENT_KEYS = (
    "client_id",
    "client_secret",
    "client_secret_env",
    "client_secret_file",
    "access_token",
    "access_token_env",
    "access_token_file",
)
"""What says who asks: these may also stand at the top level of a configuration, for its one client."""

_ALL_KEYS = (*CLIENT_KEYS, "name", "quota")


@dataclass(frozen=True, slots=True)
class ClientTable:
    """One client as a file has it. `where` is put before a key in messages; `file` is where it stands."""

    values: Mapping[str, object]
    where: str
    file: Path


def read_clients_file(path: Path, setting: str) -> list[ClientTable]:
    """The clients of ``--clients FILE``: TOML with ``[[clients]]``, or a JSON list of objects.

    Raises:
        SettingFault: the file can't be read, or is no such list.
    """
    content = read_text(path, setting)
    document = read_json(content, path) if path.suffix.lower() == ".json" else read_toml(content, path)
    if isinstance(document, dict):
        check_keys(document, ("clients",), f"{path}: ")
        document = document.get("clients")
    return client_tables(document, f"{path}: clients", path)


def client_tables(found: object, where: str, file: Path) -> list[ClientTable]:
    """A list of tables with known keys.

    Raises:
        SettingFault: it is none, or is empty.
    """
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise SettingFault(where, "is no list of clients", "write one [[clients]] table for each")
    tables = [ClientTable(one, f"{where}[{number}].", file) for number, one in enumerate(found, 1)]
    for table in tables:
        check_keys(table.values, _ALL_KEYS, table.where)
    return tables


def clients_of(
    tables: Sequence[ClientTable], environ: Mapping[str, str]
) -> tuple[tuple[Client, ...], list[str]]:
    """The clients, and warnings about files that too many may read.

    Raises:
        SettingFault: a client without its secret, or a secret that can't be had.
    """
    warnings = [warning for table in tables for file in _secret_files(table) if (warning := exposed(file))]
    return tuple(_client(table, environ) for table in tables), list(dict.fromkeys(warnings))


def _secret_files(table: ClientTable) -> Iterator[Path]:
    """The files that hold this client's secrets."""
    for key in ("client_secret_file", "access_token_file"):
        if key in table.values:
            yield _path(table, key)
    if any(key in table.values for key in ("client_secret", "access_token")):
        yield table.file


def _client(table: ClientTable, environ: Mapping[str, str]) -> Client:
    token_file = _path(table, "access_token_file") if "access_token_file" in table.values else None
    if token_file is not None:
        read_secret(token_file, table.where + "access_token_file")
    try:
        return Client(
            client_id=_text(table, "client_id"),
            client_secret=_secret(table, "client_secret", environ, ("", "_env", "_file")),
            access_token=_secret(table, "access_token", environ, ("", "_env")),
            access_token_file=token_file,
            name=_text(table, "name"),
            quota=_quota(table),
        )
    except SettingFault as fault:
        if fault.setting.startswith("client "):  # its own complaint doesn't know the file
            raise SettingFault(table.where + "client_id", str(fault)) from None
        raise


def _secret(table: ClientTable, key: str, environ: Mapping[str, str], ways: Sequence[str]) -> str:
    """The secret itself, or out of the variable or file that is named; empty where there is none."""
    given = [key + way for way in ways if key + way in table.values]
    if len(given) > 1:
        raise SettingFault(table.where + given[0], f"stands beside {given[1]}", "give one of them")
    if not given:
        return ""
    where = table.where + given[0]
    if given[0].endswith("_file"):
        return read_secret(_path(table, given[0]), where)
    if not given[0].endswith("_env"):
        return _text(table, key)
    variable = _text(table, given[0])
    if not environ.get(variable, "").strip():
        raise SettingFault(where, f"the environment has no {variable}", "set it, or name another")
    return environ[variable].strip()


def _text(table: ClientTable, key: str) -> str:
    if key not in table.values:
        return ""
    try:
        return parse.text(table.values[key])
    except parse.BadValue as bad:
        raise SettingFault(table.where + key, bad.problem, bad.mend) from None


def _path(table: ClientTable, key: str) -> Path:
    return Path(_text(table, key)).expanduser()


def _quota(table: ClientTable) -> Quota | None:
    if "quota" not in table.values:
        return None
    written = table.values["quota"]
    try:
        quota = parse.quota(written)
    except parse.BadValue as bad:
        raise SettingFault(table.where + "quota", f"{written!r} {bad.problem}", bad.mend) from None
    if quota is None:
        raise SettingFault(
            table.where + "quota", "one client alone can't go without", 'say quota = "none" for the run'
        )
    return quota


# -- what all configuration files share


def check_keys(table: Mapping[str, object], known: Sequence[str], where: str) -> None:
    """Refuse a key nobody knows, and name the one that was probably meant.

    Raises:
        SettingFault: there is such a key.
    """
    for key in table:
        if key not in known:
            near = get_close_matches(key.lower().replace("-", "_"), known, n=1)
            mend = f"did you mean {near[0]}?" if near else "config/harvester.toml lists all that exist"
            raise SettingFault(where + key, "there is no such setting", mend)


def read_toml(content: str, path: Path) -> dict[str, Any]:
    """The document.

    Raises:
        SettingFault: it is no TOML; the line is named, nothing of it is shown.
    """
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rstrip(")").partition(" (at ")
        line = place.removeprefix("line ").split(",")[0]
        where = f"{path}:{line}" if line.isdecimal() else str(path)
        raise SettingFault(
            where, f"is no valid TOML ({message})", "mend the line; text needs quotes"
        ) from None


def read_json(content: str, path: Path) -> Any:
    """The document.

    Raises:
        SettingFault: it is no JSON; the line is named, nothing of it is shown.
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise SettingFault(
            f"{path}:{error.lineno}", f"is no valid JSON ({error.msg})", "mend the line"
        ) from None
