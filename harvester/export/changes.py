"""The difference between two harvests of one list, account by account (``--changes``).

A row is identified by its month. One that is not in the earlier harvest is ``new``, one that differs from
it is ``changed``, and one that is only in the earlier harvest is ``gone``, unless this harvest could not
find it: its month has left the API's window, or lies before ``--since``. An account that this harvest has
no answer for has no changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from harvester.export.records import CHANGE, EMPTY, Record, Stamper, join, members, row_of, split
from harvester.ledger import Entry, LedgerReader
from harvester.ledger.state import rows_before

_MONTH: Final = len("2026-10")
_MONTHS_CERTAIN: Final = 12
"""The month under way and the eleven before it are always in the window; the twelfth may come and go."""


@dataclass(slots=True)
class Changes:
    """How many rows are new, changed and gone."""

    new: int = 0
    changed: int = 0
    gone: int = 0


class Comparison:
    """Compares rows of accounts. `earliest` is the first month (``YYYY-MM``) whose rows can be gone."""

    def __init__(self, earliest: str) -> None:
        self._earliest = earliest
        self.changes = Changes()

    def difference(self, before: bytes | None, now: bytes) -> tuple[bytes, int]:
        """The rows that differ, as a blob, and how many they are; each says how in its last property.

        `before` is None where the account was not in the earlier harvest. Rows that are new or changed come
        first, in the order in which they were received, then those that are gone.
        """
        if before == now:
            return EMPTY, 0
        rows = list(self._compared(split(before or EMPTY), split(now)))
        return join(rows), len(rows)

    def _compared(self, before: list[bytes], now: list[bytes]) -> Iterable[bytes]:
        was, is_ = [members(row) for row in before], [members(row) for row in now]
        months_before, months_now = Counter(map(_month, was)), Counter(map(_month, is_))
        left = list(was)
        for row in is_:
            if row in left:
                left.remove(row)
                continue
            month = _month(row)
            if month and months_before[month] == months_now[month] == 1:
                left = [one for one in left if _month(one) != month]
                self.changes.changed += 1
                yield _marked(row, "changed")
            else:
                self.changes.new += 1
                yield _marked(row, "new")
        for row in left:
            if _month(row) >= self._earliest:
                self.changes.gone += 1
                yield _marked(row, "gone")


def changed_records(
    comparison: Comparison, earlier: LedgerReader | None, own: Collection[str], stamper: Stamper
) -> Callable[[Sequence[Entry]], list[Record]]:
    """What makes the records of accounts: one for each whose rows differ from the `earlier` ones.

    `own` has the IDs of the harvests compared, whose state may have moved already.
    """

    def made(entries: Sequence[Entry]) -> list[Record]:
        before = {} if earlier is None else rows_before(earlier, [entry.id for entry in entries], own)
        found = []
        for entry in entries:
            if entry.rows is None:
                continue
            blob, rows = comparison.difference(before.get(entry.id), entry.rows)
            if rows:
                found.append(stamper.record(entry, blob, rows))
        return found

    return made


def earliest_month(begun: float, since: str | None) -> str:
    """The first month that a harvest begun at this Unix time is certain to find, ``YYYY-MM``."""
    moment = datetime.fromtimestamp(begun, UTC)
    months = moment.year * 12 + moment.month - 1 - (_MONTHS_CERTAIN - 1)
    first = f"{months // 12:04}-{months % 12 + 1:02}"
    return max(first, since or first)


def _month(row: dict[str, bytes]) -> str:
    """The month of a row; nothing where it has none, and so cannot be identified."""
    date = row.get("date", b"")
    return str(orjson.loads(date))[:_MONTH] if date.startswith(b'"') else ""


def _marked(row: dict[str, bytes], kind: str) -> bytes:
    own = {name: value for name, value in row.items() if name != CHANGE}
    return row_of(own | {CHANGE: orjson.dumps(kind)})
