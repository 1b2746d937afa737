"""What a format writes of an account: its rows as received, and what ``--columns`` adds to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from harvester.export.blob import without
from harvester.ledger import Entry

COLUMNS: Final = ("harvestedAt", "tenant", "apiVersion", "runId")
"""All that ``--columns`` can add, in the order in which outputs have them."""
CHANGE: Final = "change"
"""The property by which ``--changes`` says ``new``, ``changed`` or ``gone``."""


class Stamp(NamedTuple):
    """What is added to each row of an account; as it is stored with it, a repeated export adds the same."""

    settled_at: str
    """When the account was settled, RFC 3339 in UTC, to the second."""
    values: Mapping[str, str]
    """The columns asked for."""
    json: bytes
    """The same as JSON members with a comma before each, or nothing."""


class Record(NamedTuple):
    """One account that was answered. `blob` holds its `rows` rows (see `harvester.export.blob`)."""

    account_id: str
    blob: bytes
    rows: int
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Content:
    """What the rows of an output have, known before the first of them.

    `columns` are those of ``--columns``; `changes` is whether each row has a `change`. `properties` has the
    kind of every property beyond a plain `date` and `count`, as the ledger has recorded them; it is complete
    once every account is settled. `run_id` names the harvest.
    """

    columns: tuple[str, ...] = ()
    changes: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""

    @property
    def added(self) -> tuple[str, ...]:
        """The columns behind `count` that harvester adds, in their order."""
        return (CHANGE, *self.columns) if self.changes else self.columns


class Stamper:
    """Makes stamps. Accounts settled in the same second by the same run share one."""

    def __init__(self, columns: Iterable[str], tenant: str) -> None:
        wanted = frozenset(columns)
        self._columns: tuple[str, ...] = tuple(name for name in COLUMNS if name in wanted)
        self._tenant = tenant
        self._marks = [orjson.dumps(name) for name in self._columns]
        self._key: tuple[int, str | None, str | None] | None = None
        self._stamp = Stamp("", {}, b"")

    def records(self, entries: Sequence[Entry]) -> list[Record]:
        """The records of accounts: one for each that was answered."""
        return [
            self.record(entry, entry.rows, entry.row_count) for entry in entries if entry.rows is not None
        ]

    def record(self, entry: Entry, blob: bytes, rows: int) -> Record:
        """The record of an account with these rows."""
        stamp = self.stamp(entry.settled_at or 0, entry.api_version, entry.run_id)
        return Record(entry.id, self.cleared(blob), rows, stamp)

    def stamp(self, settled_at: float, api_version: str | None, run_id: str | None) -> Stamp:
        """The stamp of an account that was settled at this Unix time."""
        key = (int(settled_at), api_version, run_id)
        if key != self._key:
            self._key = key
            self._stamp = self._made(*key)
        return self._stamp

    def cleared(self, blob: bytes) -> bytes:
        """The rows without properties of the tenant's own that have the name of a column asked for."""
        if any(mark in blob for mark in self._marks):
            return without(blob, self._columns)
        return blob

    def _made(self, second: int, api_version: str | None, run_id: str | None) -> Stamp:
        moment = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
        known: dict[str, str] = {
            "harvestedAt": moment,
            "tenant": self._tenant,
            "apiVersion": api_version or "",
            "runId": run_id or "",
        }
        values = {name: known[name] for name in self._columns}
        return Stamp(moment, values, b"," + orjson.dumps(values)[1:-1] if values else b"")


def in_parts(those: Iterable[Record], most: int, written: int) -> Iterator[tuple[list[Record], bool]]:
    """Records in groups that belong to one part, each with whether that part ends behind it.

    A part ends behind the account with which it has `most` rows or more: no account is split, and where the
    seams are depends on the content alone. `written` is how many rows the part under way has.
    """
    group: list[Record] = []
    for record in those:
        group.append(record)
        written += record.rows
        if written >= most:
            yield group, True
            group, written = [], 0
    if group:
        yield group, False
