r"""What a format writes of an account: its rows as received, and what ``--columns`` adds to them.

The ledger stores an account's rows as one JSON array with a row a line, ``[{…},\n{…}]`` (see
`model.UsageRows`): a *blob*. Strings hold no bare line end, so ``,\n`` is always the seam between two rows,
and rows are taken apart and put together without changing a byte of a value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from harvester.ledger import Entry

COLUMNS: Final = ("harvestedAt", "tenant", "apiVersion", "runId")
"""All that ``--columns`` can add, in the order in which outputs have them."""
CHANGE: Final = "change"
"""The property by which ``--changes`` says ``new``, ``changed`` or ``gone``."""

SEAM: Final = b",\n"
EMPTY: Final = b"[]"

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]')


class Stamp(NamedTuple):
    """What is added to each row of an account; as it is stored with it, a repeated export adds the same."""

    settled_at: str
    """When the account was settled, RFC 3339 in UTC, to the second."""
    values: Mapping[str, str]
    """The columns asked for."""
    json: bytes
    """The same as JSON members with a comma before each, or nothing."""


class Record(NamedTuple):
    """One account that was answered. `blob` holds its `rows` rows (see `split`)."""

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

    def __init__(self, columns: Sequence[str], tenant: str) -> None:
        self._columns = columns
        self._tenant = tenant
        self._marks = [orjson.dumps(name) for name in self._columns]
        self._key: tuple[int, str | None, str | None] | None = None
        self._stamp = Stamp("", {}, b"")

    def records(self, entries: Sequence[Entry]) -> list[Record]:
        """The records of accounts: one for each that was answered."""
        return [self.record(entry, entry.rows) for entry in entries if entry.rows is not None]

    def record(self, entry: Entry, blob: bytes, rows: int | None = None) -> Record:
        """The record of an account with the rows in `blob`: as many as it has, or `rows`.

        Properties of the tenant's own that have the name of a column asked for are left out.
        """
        key = (int(entry.settled_at or 0), entry.api_version, entry.run_id)
        if key != self._key:
            self._key = key
            self._stamp = self._made(*key)
        if self._marks and any(mark in blob for mark in self._marks):
            blob = without(blob, self._columns)
        # not `_make`: there are many thousands of records
        return tuple.__new__(Record, (entry.id, blob, entry.row_count if rows is None else rows, self._stamp))

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


# --- blobs


def split(blob: bytes) -> list[bytes]:
    """The rows, each a JSON object."""
    return blob[1:-1].split(SEAM) if len(blob) > len(EMPTY) else []


def join(rows: Iterable[bytes]) -> bytes:
    """The opposite of `split`."""
    return b"[" + SEAM.join(rows) + b"]"


def members(row: bytes) -> dict[str, bytes]:
    """The properties of a row: each name, and its value as JSON, as it was received."""
    found: dict[str, bytes] = {}
    depth, begin, name = 0, 1, ""
    for token in _TOKEN.finditer(row):
        mark = token.group()
        if mark in (b"}", b"]"):
            depth -= 1
        at_end = (depth == 1 and mark == b",") or depth == 0
        if at_end and begin < token.start():
            found[name] = row[begin : token.start()]
        if mark in (b"{", b"["):
            depth += 1
        elif depth == 1 and mark == b":":
            name = orjson.loads(row[begin : token.start()])
        if depth == 1 and mark in (b":", b","):
            begin = token.end()
    return found


def row_of(properties: dict[str, bytes]) -> bytes:
    """The opposite of `members`."""
    return b"{" + b",".join([orjson.dumps(name) + b":" + value for name, value in properties.items()]) + b"}"


def without(blob: bytes, names: Collection[str]) -> bytes:
    """The rows without the properties of these names."""
    return join(
        row_of({name: value for name, value in members(row).items() if name not in names})
        for row in split(blob)
    )
