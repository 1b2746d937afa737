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
from datetime import date
from hashlib import blake2b, shake_128
from typing import Any

from harvester.sandbox.options import SandboxOptions

LARGE_ROWS = 620
YEAR_AND_MONTH = 13
_HALF = 2**64
_ID_LENGTH = 32
_HALF_LENGTH = 16

# The first byte of an account's dice says what kind it is: 30 % never used, 15 % abandoned, 15 % sporadic.
_UNUSED = 77
_ABANDONED = 115
_SPORADIC = 154


class Population:
    """The accounts of a sandbox, in a fixed order, with the truth about each."""

    def __init__(self, options: SandboxOptions) -> None:
        self._size = options.accounts
        self._hopeless = options.hopeless_accounts
        self._statuses = options.hopeless_statuses
        self._rows = options.rows
        self._large = round(options.large * 2**16)
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
        """The number of an account, None if there is none (any more) of this ID."""
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
        """The usage rows of the account with this number, latest month first."""
        dice = self.dice(number)
        if self._rows is not None:
            return self._every_month(number, self._rows)
        if int.from_bytes(dice[56:58]) < self._large:
            return self._every_month(number, LARGE_ROWS)
        return self._usual(dice)

    def hopeless(self, account_id: str) -> int | None:
        """The status this account is always answered with, None if it can be had; an unknown one is a 404."""
        number = self.find(account_id)
        return 404 if number is None else self.hopeless_of(number)

    def hopeless_of(self, number: int) -> int | None:
        """The status the account with this number is always answered with, None if it can be had."""
        if number >= self._size:
            return None
        before = number * self._hopeless // self._size
        if (number + 1) * self._hopeless // self._size == before:
            return None
        return self._statuses[before % len(self._statuses)]

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
            KeyError: there is none of this ID.
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

    def _usual(self, dice: bytes) -> list[dict[str, Any]]:
        kind = dice[16]
        if kind < _UNUSED:
            return []
        first, last = 0, 12 + dice[17] % 2
        if kind < _ABANDONED:
            first = 2 + dice[18] % 9
        sporadic = _ABANDONED <= kind < _SPORADIC
        rows = []
        for back in range(first, last):
            month, days = self._months[back]
            chance = dice[20 + back]
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
