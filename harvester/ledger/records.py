"""What the ledger holds, as plain records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple


class Outcome(IntEnum):
    """How an account ended; the ledger keeps NULL for one that has not."""

    EMPTY = 0
    HARVESTED = 1
    FAILED = 2


class Phase(StrEnum):
    """How far the whole harvest is."""

    HARVEST = "harvest"
    """Accounts are still asked for."""
    COMPLETING = "completing"
    """All are finished and durable; what is left is giving final names, and can be repeated."""


class PartState(IntEnum):
    """The life of a part."""

    OPEN = 0
    """Grows under its working name, and is good up to `PartRecord.size`."""
    CLOSED = 1
    """Is whole and durable under its working name, and may have its final name already."""
    FINISHED = 2
    """Stands under its final name."""


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One file of the output. `size` is in bytes as on disk; `sha256` is known once the part is closed."""

    number: int
    name: str
    state: PartState
    size: int
    rows: int
    accounts: int
    sha256: str = ""


class Enrolled(NamedTuple):
    """What one batch of IDs brought: how many were new to this reading of the list, and how many repeats."""

    distinct: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many accounts, and the digest of their IDs (`IdDigest`)."""

    count: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As the manifest and the summary show it."""
        return {"count": self.count, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Proof:
    """Which accounts a whole harvest holds, provable from the list without keeping it: see `IdDigest`."""

    distinct: Tally
    harvested: Tally
    empty: Tally
    failed: Tally

    def to_json(self) -> dict[str, Any]:
        """As the manifest and the summary show it under the key ``accounts``."""
        return {
            "distinct": self.distinct.to_json(),
            "harvested": self.harvested.to_json(),
            "empty": self.empty.to_json(),
            "failed": self.failed.to_json(),
        }
