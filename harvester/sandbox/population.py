"""The tenant's sources and accounts and their usage: computed from (seed, number), never stored.

A million accounts cost no memory. Every account has a number; numbers are in the order of the IDs, so
that a listing sorted by ID needs no sorting. `ids` hands them out shuffled, as another list would be.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b, shake_128
from typing import Any

from harvester.sandbox.options import SandboxOptions

FULL_COVERAGE = 13
"""Months that a source with full coverage has usage for: this one and the twelve before."""
LATE_COVERAGE = 3
"""Months that the source has usage for whose activity data source was set up last."""

_KINDS = (
    ("Salesforce", "Salesforce", False),
    ("GitHub", "Web Services", False),
    ("Entra ID", "Azure Active Directory", False),
    ("Workday", "Workday", True),
    ("Slack", "Slack", False),
    ("Active Directory", "Active Directory - Direct", False),
    ("Okta", "Okta", False),
    ("SAP S/4HANA", "SAP - Direct", False),
)
_HALF = 2**64
_ID_LENGTH = 32
_HALF_LENGTH = 16

# The first byte of an account's dice says what kind it is: 30 % never used, 15 % abandoned, 15 % sporadic.
_UNUSED = 77
_ABANDONED = 115
_SPORADIC = 154
# In 256ths, too: accounts created within the last 45 days; the others are up to 2,000 days old.
_NEW = 18
_NEW_DAYS = 45
_OLD_DAYS = 2000
_DISABLED = 20


@dataclass(frozen=True, slots=True)
class Source:
    """A source. `months` is how many months back its usage reaches; 0: it reports none."""

    index: int
    id: str
    name: str
    connector: str
    authoritative: bool
    months: int

    @property
    def reports(self) -> bool:
        """Whether an activity data source is set up for it."""
        return self.months > 0

    @property
    def status(self) -> str:
        """The answer of ``…/status``."""
        return "COMPLETE" if self.reports else "INCOMPLETE"

    def summaries(self, months: list[str]) -> list[dict[str, Any]]:
        """The rows of ``…/source-usages/{id}/summaries``, latest first; `months` are first days."""
        dice = blake2b(self.id.encode(), digest_size=FULL_COVERAGE).digest()
        return [
            {"date": month, "count": round(2 + chance / 16, 2)}
            for month, chance in zip(months[: self.months], dice, strict=False)
        ]


class Population:
    """The accounts of a sandbox, in a fixed order, with the truth about each."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self.today = options.today
        self.sources = _sources(options)
        self._size = options.accounts
        self._hopeless = min(options.accounts, options.hopeless)
        self._key = b"%d" % options.seed
        self._stride = _HALF // max(1, self._size)
        self._step = _coprime(self._size)
        self._months = _months_back(options.today, max(FULL_COVERAGE, options.rows or 0))
        self._deleted: set[int] = set()

    def __len__(self) -> int:
        return self._size - len(self._deleted)

    @property
    def ids(self) -> Iterator[str]:
        """All account IDs in the population's order, which is not alphabetical."""
        for place in range(self._size):
            number = (place * self._step + self._size // 3) % self._size
            if number not in self._deleted:
                yield self.id_of(number)

    def id_of(self, number: int) -> str:
        """The ID of the account with this number: 32 hex digits."""
        dice = self.dice(number)
        head = number * self._stride + int.from_bytes(dice[:8]) % self._stride
        return f"{head:016x}{dice[8:16].hex()}"

    def find(self, account_id: str) -> int | None:
        """The number of an account, None if no account has this ID (any more)."""
        if len(account_id) != _ID_LENGTH:
            return None
        try:
            number = int(account_id[:_HALF_LENGTH], 16) // self._stride
        except ValueError:
            return None
        known = number < self._size and number not in self._deleted and self.id_of(number) == account_id
        return number if known else None

    def rows(self, account_id: str) -> list[dict[str, Any]]:
        """The account's usage rows, latest month first (``-date``); none for an unknown account."""
        number = self.find(account_id)
        if number is None:
            return []
        if self._options.rows is not None:
            return self._every_month(number, self._options.rows)
        return self._usual(number) if self.source_of(number).reports else []

    def source_of(self, number: int) -> Source:
        """The source that the account with this number belongs to."""
        return self.sources[int.from_bytes(self.dice(number)[36:38]) % len(self.sources)]

    def created_of(self, number: int) -> date:
        """The day on which the account with this number was created."""
        dice = self.dice(number)
        chance = int.from_bytes(dice[44:46])
        if dice[38] < _NEW:
            return self.today - timedelta(days=chance % _NEW_DAYS)
        return self.today - timedelta(days=_NEW_DAYS + 1 + chance % (_OLD_DAYS - _NEW_DAYS))

    def is_disabled(self, number: int) -> bool:
        """Whether the account with this number is disabled."""
        return self.dice(number)[50] < _DISABLED

    def hopeless(self, account_id: str) -> int | None:
        """The status that this account is always answered with, None if it is answered well.

        An unknown account is a 404 unless `SandboxOptions.unknown` has it answered without rows.
        """
        number = self.find(account_id)
        if number is None:
            return None if self._options.unknown == 200 else 404  # noqa: PLR2004  # HTTP's number
        if not _in_share(number, self._hopeless, self._size):
            return None
        statuses = self._options.hopeless_statuses
        return statuses[number * self._hopeless // self._size % len(statuses)]

    @property
    def months(self) -> list[str]:
        """The first days of the months that usage reaches back to, latest first."""
        return [month for month, _ in self._months]

    def in_order(self) -> Sequence[int]:
        """The numbers of all accounts in the order of their IDs."""
        if not self._deleted:
            return range(self._size)
        return [number for number in range(self._size) if number not in self._deleted]

    def delete(self, account_id: str) -> None:
        """Delete an account.

        Raises:
            KeyError: no account has this ID.
        """
        if (number := self.find(account_id)) is None:
            raise KeyError(account_id)
        self._deleted.add(number)

    def dice(self, number: int) -> bytes:
        """64 bytes of chance that belong to the account with this number; equal seeds give equal ones."""
        return _dice(self._key, number)

    def _usual(self, number: int) -> list[dict[str, Any]]:
        dice = self.dice(number)
        kind = dice[16]
        if kind < _UNUSED:
            return []
        born = self.created_of(number)
        existed = (self.today.year - born.year) * 12 + self.today.month - born.month + 1
        first, last = 0, min(12 + dice[17] % 2, existed, self.source_of(number).months)
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


@lru_cache(maxsize=64)  # the answer to one request asks for them several times
def _dice(key: bytes, number: int) -> bytes:
    return blake2b(number.to_bytes(8), key=key, digest_size=64).digest()


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


def _sources(options: SandboxOptions) -> list[Source]:
    """The sources of a tenant; those that report no usage are spread evenly among them.

    The last one that does report has late coverage, unless it is the only one.
    """
    silent = 0 if options.rows is not None else round(options.sources * options.without_usage)
    months = [0 if _in_share(at, silent, options.sources) else FULL_COVERAGE for at in range(options.sources)]
    reporting = [at for at, reach in enumerate(months) if reach]
    if len(reporting) > 1 and options.rows is None:
        months[reporting[-1]] = LATE_COVERAGE
    return [_source(at, options.seed, reach) for at, reach in enumerate(months)]


def _in_share(at: int, wanted: int, total: int) -> bool:
    """Whether the place `at` of `total` is one of `wanted` evenly spread ones."""
    return (at + 1) * wanted // total > at * wanted // total


def _source(index: int, seed: int, months: int) -> Source:
    kind, connector, authoritative = _KINDS[index % len(_KINDS)]
    name = kind if index < len(_KINDS) else f"{kind} {index // len(_KINDS) + 1}"
    return Source(index, numbered_id(seed, "source", index), name, connector, authoritative, months)


def numbered_id(seed: int, kind: str, number: int) -> str:
    """The ID of a source or identity: 32 hex digits."""
    return blake2b(f"{kind} {number}".encode(), key=b"%d" % seed, digest_size=16).hexdigest()
