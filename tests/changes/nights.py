"""Nightly harvests of a tenant whose rows change from night to night, played by hand."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from harvester.model import Account, Failure, Harvested, Settled
from harvester.settings.model import Settings
from harvester.sink.disk import Disk
from tests.sink.stage import Line, Play, lines, play

Answer = Callable[[Account], Settled]


def rows_at(night: int, account_id: str) -> list[Line]:
    """The rows of a night: most stay; the latest month grows, the oldest leaves, accounts come and go."""
    dice = zlib.crc32(account_id.encode())
    if dice % 5 == night % 5 or dice % 7 == 0:
        return []
    newest = 6 + (night + dice) // 3 % 2
    grown = [{"date": f"2026-{newest:02}-01", "count": night + 1}]
    return grown + [
        {"date": f"2026-{month:02}-01", "count": month} for month in range(newest - 1, newest - 4, -1)
    ]


def fails_at(night: int, account_id: str) -> bool:
    """One in eleven is given up, others each night."""
    return (zlib.crc32(account_id.encode()) + night) % 11 == 0


def answer_of(night: int) -> Answer:
    """How the tenant answers in a night."""

    def answer(account: Account) -> Settled:
        if fails_at(night, account.id):
            return Failure(account, 404, "not_found", "no such object", None, 1, "2026-11-01T00:00:00Z")
        return Harvested(account, rows_at(night, account.id))

    return answer


class Mirror:
    """What a reader of all outputs so far knows, and what the next one must hold."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Line] = {}

    def expected(self, night: int, ids: Sequence[str]) -> list[Line]:
        """Exactly the difference of that night."""
        found = []
        for account_id in ids:
            if fails_at(night, account_id):
                continue
            now = {
                (account_id, row["date"]): {"accountId": account_id, **row}
                for row in rows_at(night, account_id)
            }
            was = {key: row for key, row in self.rows.items() if key[0] == account_id}
            found += [
                row | {"change": "changed" if key in was else "new"}
                for key, row in now.items()
                if was.get(key) != row
            ]
            found += [row | {"change": "gone"} for key, row in was.items() if key not in now]
        return found

    def read(self, told: Sequence[Line]) -> None:
        """Take an output in, as a MERGE does."""
        for line in told:
            row = dict(line)
            kind, key = row.pop("change"), (row["accountId"], row["date"])
            if kind == "gone":
                del self.rows[key]
            else:
                assert (key in self.rows) == (kind == "changed")
                self.rows[key] = row


def night_of(
    night: int,
    ids: Sequence[str],
    settings: Settings,
    *,
    stop_after: int | None = None,
    seed: int = 1,
    disk: Disk | None = None,
) -> Play:
    """One run of the program."""
    script = Play(ids, stop_after, random.Random(seed), answer=answer_of(night))
    play(settings, script, disk)
    return script


def told(output: Path) -> list[bytes]:
    """The lines of an output in an order of their own."""
    return sorted(orjson.dumps(line, option=orjson.OPT_SORT_KEYS) for line in lines(output))


def sorted_lines(expected: Sequence[Any]) -> list[bytes]:
    """The same of lines as they should be."""
    return sorted(orjson.dumps(line, option=orjson.OPT_SORT_KEYS) for line in expected)
