"""The tenant's accounts as `harvester accounts` and `harvester run --list` want them.

What the API's listing says of an account is joined with what two other APIs know: whether its source
reports usage, and who the manager of its identity is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from typing import Any, Final

import orjson

from harvester.errors import StoppedEarly, StopRun
from harvester.events import Warned
from harvester.ledger.records import SourceStatus
from harvester.tenant.client import Lane, Tenant
from harvester.tenant.listing import ACCOUNTS, IDENTITIES, Detail, NotListed, Record, list_pages
from harvester.tenant.source_usage import SourceUsage

ADDED: Final = {"usage": ("usageStatus", "usageSince"), "manager": ("managerName", "managerEmail")}
"""What each addition adds to an account; null where it is not known."""

_NO_SOURCE: Final = SourceStatus("", None, None, None)
_NOBODY: Final = (None, None)
# as one parameter, whatever their number
_FIND: Final = """
SELECT person.id, person.managerName, manager.email
FROM identity AS person LEFT JOIN identity AS manager ON manager.id = person.managerId
WHERE person.id IN (SELECT value FROM json_each(?))
"""


async def account_pages(
    tenant: Tenant,
    usage: SourceUsage,
    *,
    filters: str = "",
    detail: Detail = "SLIM",
    with_usage: bool = False,
    add: Collection[str] = (),
) -> AsyncGenerator[list[Record], None]:
    """The accounts that `filters` selects, in the order of their IDs, page by page.

    `with_usage` leaves out the accounts of sources that report no usage; where that is not known of a
    source, its accounts stay. `usage` is asked about each source once, when its first account comes, and
    only if it is needed. For the addition `manager`, the identities are read first, each page once, through
    the tenant's spare lanes if it has any. Close the iterator if you do not read it to its end.

    Raises:
        StopRun: as `listing.list_pages`.
    """
    asks, lists_managers = with_usage or "usage" in add, "manager" in add
    with closing(_Managers()) as managers:
        if lists_managers:
            await managers.read((*tenant.spare_lanes, *tenant.lanes))
        async with aclosing(list_pages(tenant.lanes, ACCOUNTS, filters=filters, detail=detail)) as pages:
            async for accounts in pages:
                page = accounts
                if asks:
                    page = await _with_usage(accounts, usage, leave_out=with_usage, add="usage" in add)
                if lists_managers:
                    managers.add_to(page)
                if page:
                    yield page
    usage.warn("their accounts are listed all the same")


async def _with_usage(page: list[Record], usage: SourceUsage, *, leave_out: bool, add: bool) -> list[Record]:
    wanted = []
    for account in page:
        source = await _source_of(account, usage)
        if leave_out and source.status == "INCOMPLETE":
            continue
        if add:
            account |= dict(zip(ADDED["usage"], (source.status, source.since), strict=True))
        wanted.append(account)
    return wanted


async def _source_of(account: Record, usage: SourceUsage) -> SourceStatus:
    source_id, name = account.get("sourceId"), account.get("sourceName")
    if not isinstance(source_id, str) or not source_id:
        return _NO_SOURCE
    return await usage.of(source_id, name if isinstance(name, str) else None)


def _identity_of(account: Record) -> str | None:
    identity = account.get("identityId")
    if identity is None and isinstance(account.get("identity"), dict):
        identity = account["identity"].get("id")
    return identity if isinstance(identity, str) else None


class _Managers:
    """The managers of all identities, in a temporary database on disk; `close` it."""

    def __init__(self) -> None:
        with _faults():
            self._database = sqlite3.connect("", isolation_level=None)  # no name: a file that is unlinked
            self._database.execute(
                "CREATE TABLE identity (id TEXT PRIMARY KEY, email TEXT, managerId TEXT, managerName TEXT)"
                " WITHOUT ROWID"
            )

    async def read(self, lanes: Sequence[Lane]) -> None:
        """Read the public identities, each page once, through the first of `lanes` that may.

        Where none may, nobody's manager is known, which is one warning.

        Raises:
            StopRun: as `listing.list_pages`, for what would end any other request, too.
        """
        try:
            async with aclosing(list_pages(lanes, IDENTITIES)) as pages:
                async for page in pages:
                    self._read(page)
        except StopRun as error:
            if not isinstance(error.__cause__, NotListed):
                raise
            problem = f"managers are not known: {error.problem}"
            lanes[0].tenant.observer(Warned("managers_unknown", problem, error.hint))

    def add_to(self, page: Sequence[Record]) -> None:
        """Add to each account the manager of its identity."""
        identities = [_identity_of(account) for account in page]
        wanted = orjson.dumps([identity for identity in identities if identity is not None]).decode()
        with _faults():
            found = self._database.execute(_FIND, (wanted,)).fetchall()
        known = {identity: (name, email) for identity, name, email in found}
        for account, identity in zip(page, identities, strict=True):
            account |= dict(zip(ADDED["manager"], known.get(identity, _NOBODY), strict=True))

    def close(self) -> None:
        """Remove the database."""
        self._database.close()

    def _read(self, page: Sequence[Record]) -> None:
        with _faults():
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO identity VALUES (?, ?, ?, ?)", map(_row, page))
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
