"""TOML and JSON documents: read with the line of each mistake, and of each key."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harvester.next.errors import SettingError
from harvester.next.settings.secret_files import read_text

Key = tuple[str | int, ...]
"""Where a value is in a document: ``("clients", 0, "quota")``."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"\s*([\w\"'-]+)\s*=")


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file: its content, and the lines of its keys as far as they are known."""

    path: Path
    content: Any
    lines: Mapping[Key, int] = field(default_factory=dict)

    def place(self, *key: str | int) -> str:
        """How messages name a key: ``harvester.toml:12: profile.prod.quota``; a missing one by its table."""
        line = self.lines.get(key) or self.lines.get(key[:-1])
        where = str(self.path) if line is None else f"{self.path}:{line}"
        return f"{where}: {_dotted(key)}" if key else where


def read_document(path: Path, setting: str) -> Document:
    """A TOML file, or JSON if the name says so. `setting` is what named the file.

    Raises:
        SettingError: it cannot be read; the line is named, and nothing of its content is shown.
    """
    return _parsed(read_text(path, setting), path)


def check_keys(table: Iterable[str], known: Iterable[str], document: Document, *where: str | int) -> None:
    """Refuse a key that does not exist, and name the one that was probably meant.

    Raises:
        SettingError: there is such a key.
    """
    names = list(known)
    for key in table:
        if key not in names:
            near = get_close_matches(key.lower().replace("-", "_"), names, n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else "`harvester config init` writes a file with all of them"
            )
            raise SettingError(document.place(*where, key), "there is no such setting", hint)


def _parsed(text: str, path: Path) -> Document:
    try:
        if path.suffix.lower() == ".json":
            return Document(path, json.loads(text))
        return Document(path, tomllib.loads(text), _key_lines(text))
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        raise SettingError(where, f"is not valid JSON ({error.msg})", "fix the line") from None
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


def _dotted(key: Key) -> str:
    """``clients[1].quota``; members are counted from 1, as people do."""
    return "".join(f"[{one + 1}]" if isinstance(one, int) else f".{one}" for one in key).lstrip(".")
