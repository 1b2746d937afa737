"""The tenant's accounts and their usage: computed from (seed, number) when asked for, never stored.

A million accounts cost no memory until one is added or deleted; then the order of the listing is
kept as a list of numbers.

Every account has a number. The first `accounts` numbers are in the order of their IDs, so that a
listing sorted by ID needs no sorting; `ids` hands them out shuffled, as a list from elsewhere would be.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from hashlib import blake2b, shake_128
from typing import Any

import orjson

from harvester.next.sandbox.options import SandboxOptions
from harvester.next.sandbox.sources import Source, make_sources

LARGE_ROWS = 620
YEAR_AND_MONTH = 13
_HALF = 2**64
_ID_LENGTH = 32
_HALF_LENGTH = 16
_BIG = (
    b'{"date":"%b","count":%d,"score":0.1000000000000000055511151231257827%d,"serial":18446744073709551616%d}'
)

# The first byte of an account's dice says what kind it is: 30 % never used, 15 % abandoned, 15 % sporadic.
_UNUSED = 77
_ABANDONED = 115
_SPORADIC = 154
# In 256ths, too: accounts created within the last 45 days; the others are up to 2,000 days old.
_NEW = 18
_NEW_DAYS = 45
_OLD_DAYS = 2000


class Population:
    """The accounts of a sandbox, in a fixed order, with the truth about each."""

    def __init__(self, options: SandboxOptions) -> None:
        self.today = options.today
        self.sources = make_sources(options)
        self._size = options.accounts
        self._hopeless = options.hopeless_accounts
        self._statuses = options.hopeless_statuses
        self._unknown = None if options.unknown == 200 else options.unknown  # noqa: PLR2004  # HTTP's number
        self._rows = options.rows
        self._large = round(options.large * 2**16)
        self._big_numbers = round(options.faults.big_numbers * 2**16)
        self._contradictions = round(options.faults.contradictions * 2**16)
        self._key = b"%d" % options.seed
        self._stride = _HALF // max(1, self._size)
        self._step = _coprime(self._size)
        deepest = max(YEAR_AND_MONTH, self._rows or 0, LARGE_ROWS if self._large else 0)
        self._months = _months_back(options.today, deepest)
        self._added: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._sorted: list[int] | None = None

    def __len__(self) -> int:
        return self._size + len(self._added) - len(self._deleted)

    @property
    def ids(self) -> Iterator[str]:
        """All account IDs in the population's order, which is not alphabetical; added ones come last."""
        for place in range(self._size):
            account_id = self.id_of((place * self._step + self._size // 3) % self._size)
            if account_id not in self._deleted:
                yield account_id
        yield from (account_id for account_id in self._added if account_id not in self._deleted)

    def id_of(self, number: int) -> str:
        """The ID of the account with this number: 32 hex digits."""
        dice = self.dice(number)
        tail = dice[8:16].hex()
        if number >= self._size:
            return dice[:8].hex() + tail
        head = number * self._stride + int.from_bytes(dice[:8]) % self._stride
        return f"{head:016x}{tail}"

    def find(self, account_id: str) -> int | None:
        """The number of an account, None if no account has this ID (any more)."""
        if account_id in self._deleted:
            return None
        if (added := self._added.get(account_id)) is not None:
            return added
        if len(account_id) != _ID_LENGTH:
            return None
        try:
            number = int(account_id[:_HALF_LENGTH], 16) // self._stride
        except ValueError:
            return None
        return number if number < self._size and self.id_of(number) == account_id else None

    def rows(self, account_id: str) -> list[dict[str, Any]]:
        """The account's usage rows, latest month first (``-date``); none for an unknown account."""
        number = self.find(account_id)
        return [] if number is None else self.rows_of(number)

    def rows_of(self, number: int) -> list[dict[str, Any]]:
        """The usage rows of the account with this number, latest month first.

        `encoded_rows_of` has the numbers digit for digit where these are big.
        """
        dice = self.dice(number)
        if self._rows is not None:
            return self._every_month(number, self._rows)
        source = self._source_by(dice)
        if not source.reports and int.from_bytes(dice[32:34]) >= self._contradictions:
            return []
        if int.from_bytes(dice[56:58]) < self._large:
            return self._every_month(number, LARGE_ROWS)
        return self._usual(dice, source)

    def encoded_rows_of(self, number: int) -> list[bytes]:
        """The rows as JSON, each as the tenant sends it."""
        rows = self.rows_of(number)
        if int.from_bytes(self.dice(number)[34:36]) < self._big_numbers:
            return [_BIG % (row["date"].encode(), row["count"], number, number) for row in rows]
        return [orjson.dumps(row) for row in rows]

    def source_of(self, number: int) -> Source:
        """The source that the account with this number belongs to."""
        return self._source_by(self.dice(number))

    def created_of(self, number: int) -> date:
        """The day on which the account with this number was created."""
        return self._created_by(self.dice(number))

    def hopeless(self, account_id: str) -> int | None:
        """The status that this account is always answered with, None if it is answered well.

        An unknown account is a 404 unless `SandboxOptions.unknown` has it answered without rows.
        """
        number = self.find(account_id)
        return self._unknown if number is None else self.hopeless_of(number)

    def hopeless_of(self, number: int) -> int | None:
        """The status that the account with this number is always answered with, None if answered well."""
        if number >= self._size:
            return None
        before = number * self._hopeless // self._size
        if (number + 1) * self._hopeless // self._size == before:
            return None
        return self._statuses[before % len(self._statuses)]

    @property
    def months(self) -> list[str]:
        """The first days of the months that usage reaches back to, latest first."""
        return [month for month, _ in self._months]

    def in_order(self) -> Sequence[int]:
        """The numbers of all accounts in the order of their IDs."""
        return range(self._size) if self._sorted is None else self._sorted

    def add(self) -> str:
        """Add an account, with an ID that falls anywhere in the order; returns the ID."""
        number = self._size + len(self._added)
        account_id = self.id_of(number)
        insort(self._mutable_order(), number, key=self.id_of)
        self._added[account_id] = number
        return account_id

    def delete(self, account_id: str) -> None:
        """Delete an account.

        Raises:
            KeyError: no account has this ID.
        """
        if self.find(account_id) is None:
            raise KeyError(account_id)
        order = self._mutable_order()
        del order[bisect_left(order, account_id, key=self.id_of)]
        self._deleted.add(account_id)

    def dice(self, number: int) -> bytes:
        """64 bytes of chance that belong to the account with this number; equal seeds give equal ones."""
        return blake2b(number.to_bytes(8), key=self._key, digest_size=64).digest()

    def _mutable_order(self) -> list[int]:
        if self._sorted is None:
            self._sorted = list(range(self._size))
        return self._sorted

    def _source_by(self, dice: bytes) -> Source:
        return self.sources[int.from_bytes(dice[36:38]) % len(self.sources)]

    def _created_by(self, dice: bytes) -> date:
        chance = int.from_bytes(dice[44:46])
        if dice[38] < _NEW:
            return self.today - timedelta(days=chance % _NEW_DAYS)
        return self.today - timedelta(days=_NEW_DAYS + 1 + chance % (_OLD_DAYS - _NEW_DAYS))

    def _usual(self, dice: bytes, source: Source) -> list[dict[str, Any]]:
        kind = dice[16]
        if kind < _UNUSED:
            return []
        born = self._created_by(dice)
        existed = (self.today.year - born.year) * 12 + self.today.month - born.month + 1
        first, last = 0, min(12 + dice[17] % 2, existed, source.months or YEAR_AND_MONTH)
        if kind < _ABANDONED:
            first = 2 + dice[18] % 9
        sporadic = _ABANDONED <= kind < _SPORADIC
        rows = []
        for back in range(first, last):
            month, days = self._months[back]
            chance = dice[20 + back % 12]
            if not sporadic:
                rows.append({"date": month, "count": 1 + chance % days})
            elif chance % 3:
                rows.append({"date": month, "count": chance % 5 % (days + 1)})
        return rows

    def _every_month(self, number: int, rows: int) -> list[dict[str, Any]]:
        dice = shake_128(self._key + number.to_bytes(8)).digest(rows)
        return [
            {"date": month, "count": 1 + chance % days}
            for (month, days), chance in zip(self._months, dice, strict=False)
        ]


def _months_back(today: date, months: int) -> list[tuple[str, int]]:
    """First days of `months` months, latest first, each with the days an account can have been active on."""
    found = [(today.replace(day=1).isoformat(), today.day)]
    for back in range(1, months):
        year, month0 = divmod(today.year * 12 + today.month - 1 - back, 12)
        found.append((f"{year:04d}-{month0 + 1:02d}-01", monthrange(year, month0 + 1)[1]))
    return found


def _coprime(size: int) -> int:
    """A stride near the golden section of `size` that visits every place once."""
    step = max(1, int(size * 0.618))
    while math.gcd(step, size) > 1:
        step += 1
    return step
