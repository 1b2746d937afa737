"""Clients as files list them: tables in TOML, objects in JSON, each with a secret or the place of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harvester.next.credentials import Credentials
from harvester.next.errors import SettingError
from harvester.next.model import Quota
from harvester.next.settings import parse
from harvester.next.settings.documents import Document, Key, check_keys, read_document
from harvester.next.settings.parse import BadValue
from harvester.next.settings.secret_files import exposed, read_secret

CLIENT_KEYS = (
    "client_id",
    "client_secret",
    "client_secret_env",
    "client_secret_file",
    "access_token",
    "access_token_env",
    "access_token_file",
)
"""What says who asks: these may also be at the top level of a configuration, for its one client."""

_ALL_KEYS = (*CLIENT_KEYS, "name", "quota")


@dataclass(frozen=True, slots=True)
class ClientTable:
    """One client as a file has it. `key` is where the table is in the document."""

    values: Mapping[str, object]
    document: Document
    key: Key = ()

    def place(self, name: str) -> str:
        """How messages call one of its values."""
        return self.document.place(*self.key, name)

    def text(self, name: str) -> str:
        """A text, empty if it is not given."""
        if name not in self.values:
            return ""
        try:
            return parse.text(self.values[name])
        except BadValue as bad:
            raise SettingError(self.place(name), bad.problem, bad.hint) from None

    def path(self, name: str) -> Path | None:
        """A path, None if it is not given."""
        try:
            return parse.path(self.values[name]) if name in self.values else None
        except BadValue as bad:
            raise SettingError(self.place(name), bad.problem, bad.hint) from None

    def quota(self) -> Quota | None:
        """Its own quota, None if it has none."""
        written = self.values.get("quota")
        try:
            return None if written is None else parse.quota(written)
        except BadValue as bad:
            hint = 'to disable the limit, set quota = "none" for the run' if written == "none" else bad.hint
            raise SettingError(self.place("quota"), f"{written!r} {bad.problem}", hint) from None


def read_clients_file(path: Path, setting: str) -> list[ClientTable]:
    """The clients of ``--clients FILE``: TOML with ``[[clients]]``, or a JSON list of objects.

    Raises:
        SettingError: the file cannot be read, or is not such a list.
    """
    document = read_document(path, setting)
    if not isinstance(document.content, dict):
        return client_tables(document.content, document)
    check_keys(document.content, ("clients",), document)
    return client_tables(document.content.get("clients"), document, "clients")


def client_tables(found: object, document: Document, *key: str | int) -> list[ClientTable]:
    """A list of tables with known keys.

    Raises:
        SettingError: it is not one, or is empty.
    """
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        where = document.place(*key)
        raise SettingError(where, "is not a list of clients", "write one [[clients]] table for each")
    for index, one in enumerate(found):
        check_keys(one, _ALL_KEYS, document, *key, index)
    return [ClientTable(one, document, (*key, index)) for index, one in enumerate(found)]


def credentials_of(
    tables: Sequence[ClientTable], environ: Mapping[str, str]
) -> tuple[tuple[Credentials, ...], list[str]]:
    """The clients, and warnings about files that too many people may read.

    Raises:
        SettingError: a client without its secret, or a secret that cannot be read.
    """
    warnings = [warning for table in tables for file in _secret_files(table) if (warning := exposed(file))]
    return tuple(_credentials(table, environ) for table in tables), list(dict.fromkeys(warnings))


def _secret_files(table: ClientTable) -> Iterator[Path]:
    """The files that hold this client's secrets."""
    for name in ("client_secret_file", "access_token_file"):
        if (path := table.path(name)) is not None:
            yield path
    if "client_secret" in table.values or "access_token" in table.values:
        yield table.document.path


def _credentials(table: ClientTable, environ: Mapping[str, str]) -> Credentials:
    token_file = table.path("access_token_file")
    if token_file is not None:
        read_secret(token_file, table.place("access_token_file"))
    try:
        return Credentials(
            client_id=table.text("client_id"),
            client_secret=_secret(table, "client_secret", environ),
            access_token="" if token_file else _secret(table, "access_token", environ),
            access_token_file=token_file,
            name=table.text("name"),
            quota=table.quota(),
        )
    except SettingError as error:
        if error.setting.startswith("client "):  # its own complaint does not know the file
            problem = error.problem.replace(": ", " ", 1)
            raise SettingError(table.place("client_id"), problem, error.hint) from None
        raise


def _secret(table: ClientTable, name: str, environ: Mapping[str, str]) -> str:
    """The secret itself, or that of the variable or file that is named; empty if there is none."""
    given = [name + way for way in ("", "_env", "_file") if name + way in table.values]
    if len(given) > 1:
        raise SettingError(table.place(given[0]), f"contradicts {given[1]}", "give one of them")
    if not given:
        return ""
    where = table.place(given[0])
    if given[0].endswith("_file") and (path := table.path(given[0])) is not None:
        return read_secret(path, where)
    if not given[0].endswith("_env"):
        return table.text(name)
    variable = table.text(given[0])
    if not environ.get(variable, "").strip():
        raise SettingError(where, f"{variable} is not set in the environment", "set it, or name another")
    return environ[variable].strip()
