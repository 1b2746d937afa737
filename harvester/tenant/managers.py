"""Who the managers of the tenant's identities are, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, Final, NamedTuple, Self

import orjson

from harvester.errors import StoppedEarly
from harvester.events import Warned
from harvester.tenant.client import Lane
from harvester.tenant.listing import IDENTITIES, PAGE_SIZE, NotListed, record_pages
from harvester.tenant.overlap import Record

_TABLE: Final = (
    "CREATE TABLE identity (id TEXT PRIMARY KEY, email TEXT, managerId TEXT, managerName TEXT) WITHOUT ROWID"
)
_ADD: Final = "INSERT OR REPLACE INTO identity VALUES (?, ?, ?, ?)"
# as one parameter, whatever their number
_FIND: Final = """
SELECT person.id, person.managerName, manager.email
FROM identity AS person LEFT JOIN identity AS manager ON manager.id = person.managerId
WHERE person.id IN (SELECT value FROM json_each(?))
"""


class Manager(NamedTuple):
    """Somebody's manager; what is not known is None."""

    name: str | None
    email: str | None


NOBODY: Final = Manager(None, None)


class Managers:
    """The managers of all identities, in a temporary database on disk; `close` it."""

    def __init__(self) -> None:
        with _faults():
            self._database = sqlite3.connect(
                "", isolation_level=None
            )  # without a name: a file that is unlinked
            self._database.execute(_TABLE)

    @classmethod
    async def read(cls, lanes: Sequence[Lane]) -> Self:
        """Read the public identities, each page once, through the first of `lanes` that may.

        Where none may, nobody's manager is known, which is one warning.

        Raises:
            StopRun: as `listing.list_pages`, for what would end any other request, too.
        """
        managers = cls()
        try:
            async with aclosing(record_pages(lanes, IDENTITIES, page_size=PAGE_SIZE)) as pages:
                async for page in pages:
                    managers._add(page)
        except NotListed as refused:
            problem = f"managers are not known: {refused.error.problem}"
            lanes[0].tenant.observer(Warned("managers_unknown", problem, refused.error.hint))
        except BaseException:
            managers.close()
            raise
        return managers

    def of(self, identity_ids: Sequence[str]) -> Mapping[str, Manager]:
        """The managers of these identities, by identity; those that are not known are left out."""
        with _faults():
            found = self._database.execute(_FIND, (orjson.dumps(identity_ids).decode(),)).fetchall()
        return {identity: Manager(name, email) for identity, name, email in found}

    def close(self) -> None:
        """Remove the database."""
        self._database.close()

    def _add(self, page: Sequence[Record]) -> None:
        with _faults():
            self._database.execute("BEGIN")
            self._database.executemany(_ADD, map(_row, page))
            self._database.execute("COMMIT")


def _row(identity: Record) -> tuple[str, str | None, str | None, str | None]:
    manager = identity.get("manager")
    if not isinstance(manager, dict):
        manager = {}
    return identity["id"], _text(identity, "email"), _text(manager, "id"), _text(manager, "name")


def _text(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return value if isinstance(value, str) and value else None


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        problem = f"the identities cannot be kept in a temporary file ({error})"
        raise StoppedEarly(problem, "make room in the directory that TMPDIR names") from error
