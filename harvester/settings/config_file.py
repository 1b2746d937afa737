"""Configuration files: where they are, TOML with the line of each mistake, its clients, and its profiles.

Whatever is wrong with a file is a SettingError that says where, and shows no secret.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from harvester.credentials import Credentials
from harvester.errors import SettingError, did_you_mean
from harvester.settings import parse
from harvester.settings.parse import BadValue
from harvester.settings.settings import BY_NAME

T = TypeVar("T")
Key = tuple[str | int, ...]
"""Where a value is in a document: ``("clients", 0, "quota")``."""
Named = tuple[str, str]
"""What a person wrote, and what named it: a flag, a variable, a keyword."""

LOCAL_CONFIG = Path("harvester.toml")
"""In the working directory: read if no other is named."""
_SECRETS: Final = ("client_secret", "access_token")
_WAYS: Final = ("", "_env", "_file")
CLIENT_KEYS: Final = ("client_id", *(secret + way for secret in _SECRETS for way in _WAYS))
"""What says who asks: these may also be at the top level of a configuration, for its one client."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"\s*([\w\"'-]+)\s*=")


# --- where it is


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file says: each setting's raw value with its place, and its clients."""

    path: Path | None = None
    values: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    clients: Sequence[ClientTable] = ()
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
    """
    named = named or _variable("HARVESTER_CONFIG", environ)
    profile = profile or _variable("HARVESTER_PROFILE", environ)
    if named is not None:
        return _read(named_path(*named), named[1], profile)
    warning = None
    for path in (LOCAL_CONFIG, user_config(environ)):
        if path is None or not os.path.exists(path):  # noqa: PTH110  # false where it may not be looked at
            continue
        if path != LOCAL_CONFIG or not _is_foreign(path):
            return _read(path, str(path), profile, warning)
        warning = f"./{path} is not read, as another user may write to it: name it with --config to use it"
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


def _is_foreign(path: Path) -> bool:
    """Whether somebody else may have put the file there, to redirect secrets."""
    status = path.stat()
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & stat.S_IWOTH)


def _chosen(profiles: Mapping[str, dict[str, Any]], profile: Named, path: Path) -> dict[str, Any]:
    name, named_by = profile
    if name in profiles:
        return profiles[name]
    hint = did_you_mean(name, profiles, f"it has {', '.join(profiles) or 'none'}")
    raise SettingError(named_by, f"{path} has no profile {name!r}", hint)


def _clients(table: Mapping[str, object], document: Document, where: tuple[str, ...]) -> list[ClientTable]:
    own = {key: table[key] for key in CLIENT_KEYS if key in table}
    if "clients" not in table:
        return [document.client(own, *where)] if own else []
    if own:
        first = document.place(*where, next(iter(own)))
        raise SettingError(first, "contradicts [[clients]]", "move it into one of the clients")
    return document.clients(table["clients"], *where, "clients")


# --- what is in it


def named_path(written: str, setting: str) -> Path:
    """The path that `setting` names; SettingError if it is blank, or in no known home directory."""
    try:
        return parse.path(written)
    except BadValue as bad:
        raise SettingError(setting, f"{written!r} {bad.problem}", bad.hint) from None


def read_text(path: Path, setting: str) -> str:
    """A small file's text, with or without a byte order mark. `setting` is what named the file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingError(setting, f"{path} cannot be read ({reason})", "check the path") from None


def read_secret(path: Path, setting: str, warnings: list[str]) -> str:
    """The one secret in a file, without blanks and newlines around it."""
    secret = read_text(path, setting).strip()
    if not secret or not secret.isprintable():
        problem = f"{path} is empty, or holds more than one secret"
        raise SettingError(setting, problem, "write the secret into it, and nothing else")
    warn_if_exposed(path, warnings)
    return secret


def warn_if_exposed(path: Path, warnings: list[str]) -> None:
    """Add a warning if everybody on this machine may read the file; a group may, for service accounts."""
    warning = f"{path} holds a secret and everybody on this machine may read it: chmod o-r {path}"
    if path.stat().st_mode & stat.S_IROTH and warning not in warnings:
        warnings.append(warning)


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file: its content, and the lines of its keys as far as they are known."""

    path: Path
    content: dict[str, Any]
    lines: Mapping[Key, int] = field(default_factory=dict)

    def place(self, *key: str | int) -> str:
        """How messages name a key: ``harvester.toml:12: profile.prod.quota``; a missing one by its table."""
        line = self.lines.get(key) or self.lines.get(key[:-1])
        where = str(self.path) if line is None else f"{self.path}:{line}"
        dotted = "".join(f"[{one + 1}]" if isinstance(one, int) else f".{one}" for one in key)
        return f"{where}: {dotted.lstrip('.')}" if key else where

    def check_keys(self, table: Iterable[str], known: Iterable[str], *where: str | int) -> None:
        """Refuse a key that does not exist, and name the one that was probably meant."""
        names = list(known)
        for key in table:
            if key not in names:
                meant = key.lower().replace("-", "_")
                hint = did_you_mean(meant, names, "see `harvester config init` for all of them")
                raise SettingError(self.place(*where, key), "there is no such setting", hint)

    def clients(self, found: object, *key: str | int) -> list[ClientTable]:
        """The clients that are at `key`: a list of tables with known keys; SettingError if it is not one."""
        if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
            hint = "write one [[clients]] table for each"
            raise SettingError(self.place(*key), "is not a list of clients", hint)
        for index, one in enumerate(found):
            self.check_keys(one, (*CLIENT_KEYS, "name", "quota"), *key, index)
        return [self.client(one, *key, index) for index, one in enumerate(found)]

    def client(self, values: Mapping[str, object], *key: str | int) -> ClientTable:
        """The client in the table at `key`."""
        return ClientTable(
            values, {name: self.place(*key, name) for name in (*values, "client_id")}, self.path
        )


def read_document(path: Path, setting: str) -> Document:
    """A TOML file. `setting` is what named it; an error names the line, and shows nothing of its content."""
    text = read_text(path, setting)
    try:
        return Document(path, tomllib.loads(text), _key_lines(text))
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rstrip(")").partition(" (at ")
        line = place.removeprefix("line ").split(",")[0]
        where = f"{path}:{line}" if line.isdecimal() else str(path)
        hint = "fix the line; text needs quotes"
        raise SettingError(where, f"is not valid TOML ({message})", hint) from None
    except RecursionError:
        raise SettingError(str(path), "is nested too deeply", "is it the right file?") from None


def _key_lines(text: str) -> dict[Key, int]:
    """The line of each key of a valid document: enough for the plain files that configurations are.

    What looks like a key inside a text of several lines may be taken for one: a message then names a wrong
    line of the right file.
    """
    lines: dict[Key, int] = {}
    arrays: dict[str, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            name = header[2]
            table = tuple(part.strip("\"'") for part in name.split("."))
            if header[1] == "[[":
                arrays[name] = arrays.get(name, -1) + 1
                table = (*table, arrays[name])
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, assignment[1].strip("\"'")), number)
    return lines


@dataclass(frozen=True, slots=True)
class ClientTable:
    """One client as somebody wrote it, by the keys of a configuration file; `path` is the file it is in.

    `places` says how messages call each value, and how they call the client: as ``client_id``.
    """

    values: Mapping[str, object]
    places: Mapping[str, str]
    path: Path | None = None

    def credentials(self, environ: Mapping[str, str], warnings: list[str]) -> Credentials:
        """The client, with its secret from wherever it is."""
        token_file = self._get("access_token_file", parse.path, None)
        if token_file is not None:  # which is read again whenever it changes
            read_secret(token_file, self._place("access_token_file"), warnings)
        given = {
            "client_id": self._get("client_id", parse.text, ""),
            "client_secret": self._secret("client_secret", environ, warnings),
            "access_token": "" if token_file else self._secret("access_token", environ, warnings),
            "name": self._get("name", parse.text, ""),
        }
        quota = self._get("quota", parse.quota, None)
        try:
            return Credentials(**given, access_token_file=token_file, quota=quota)
        except SettingError as error:  # it does not know the file
            problem = error.problem.replace(": ", " ", 1)
            raise SettingError(self._place("client_id"), problem, error.hint) from None

    def _secret(self, name: str, environ: Mapping[str, str], warnings: list[str]) -> str:
        """The secret itself, or that of the variable or file that is named; empty if there is none."""
        given = [name + way for way in _WAYS if name + way in self.values]
        if len(given) > 1:
            raise SettingError(self._place(given[0]), f"contradicts {given[1]}", "give one of them")
        if (path := self._get(f"{name}_file", parse.path, None)) is not None:
            return read_secret(path, self._place(given[0]), warnings)
        if variable := self._get(f"{name}_env", parse.text, ""):
            if secret := environ.get(variable, "").strip():
                return secret
            problem = f"{variable} is not set in the environment"
            raise SettingError(self._place(given[0]), problem, "set it, or name another")
        if given and self.path is not None:
            warn_if_exposed(self.path, warnings)
        return self._get(name, parse.text, "")

    def _get(self, name: str, parser: Callable[[object], T], default: T) -> T:
        try:
            return parser(self.values[name]) if name in self.values else default
        except BadValue as bad:
            raise SettingError(self._place(name), bad.problem, bad.hint) from None

    def _place(self, name: str) -> str:
        return self.places.get(name, self.places["client_id"])


def read_clients(named: Named) -> list[ClientTable]:
    """The clients of the file that ``--clients`` names, which has nothing else in it."""
    document = read_document(named_path(*named), named[1])
    document.check_keys(document.content, ("clients",))
    return document.clients(document.content.get("clients"), "clients")
