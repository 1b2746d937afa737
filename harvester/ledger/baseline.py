"""The state of `--changes`: what the last complete harvest found, by account.

It is read while a harvest runs and moved in one transaction once that harvest is whole. All methods block and
belong to the thread that opened it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.ledger.database import Database, Form

_FORM: Final = Form(
    word="state of changes",
    application_id=0x48525643,  # "HRVC"
    version=1,
    schema="""
CREATE TABLE account (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
""",
    journal="DELETE",  # one tidy file: it is written once a harvest, and people copy it
    elsewhere="name another file with --changes",
    mend="remove it: the next harvest then gives every row as new",
)


class Baseline:
    """What an earlier harvest left; nothing where there is no file, and then none is made before `move`."""

    def __init__(self, path: Path, file_mode: int = 0o600) -> None:
        """Raises OutputFault where there is a file that can't be opened, is in use or is no state."""
        self._path = path
        self._file_mode = file_mode
        self._database: Database | None = None
        if path.exists():
            self._database = self._opened()

    @property
    def harvest(self) -> str | None:
        """The run id of the harvest that moved it last; None: none did."""
        found: str | None = self._fact("harvest")
        return found

    @property
    def asked(self) -> dict[str, Any] | None:
        """What that harvest asked for, as it said."""
        found: dict[str, Any] | None = self._fact("asked")
        return found

    def contents(self, ids: Sequence[str]) -> dict[str, str]:
        """What is known of these accounts; nothing of those that had no rows."""
        if self._database is None:
            return {}
        wanted = ", ".join("?" * len(ids))  # not as JSON, in which SQLite ends a text at a NUL
        return dict(self._database.rows(f"SELECT id, content FROM account WHERE id IN ({wanted})", *ids))  # noqa: S608  # question marks

    def move(self, harvest: str, asked: dict[str, Any], contents: Iterable[tuple[str, str]]) -> None:
        """Take over what a whole harvest found: all of it or nothing. An empty content: no rows any more."""
        database = self._database = self._database or self._opened()
        database.begin()
        for account_id, content in contents:
            if content:
                database.run("INSERT OR REPLACE INTO account VALUES (?, ?)", account_id, content)
            else:
                database.run("DELETE FROM account WHERE id = ?", account_id)
        for key, value in {"harvest": harvest, "asked": asked}.items():
            database.run("INSERT OR REPLACE INTO fact VALUES (?, ?)", key, orjson.dumps(value).decode())
        database.commit()

    def close(self) -> None:
        """Let go of the file. May be called again."""
        if self._database is not None:
            self._database.close()

    def _opened(self) -> Database:
        return Database.at(self._path, self._file_mode, _FORM)

    def _fact(self, key: str) -> Any:
        if self._database is None:
            return None
        found = self._database.value("SELECT value FROM fact WHERE key = ?", key)
        return None if found is None else orjson.loads(found)
