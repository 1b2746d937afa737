"""What is made durable together, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harvester.model import OutputFile
from harvester.sink.part import Entry


@dataclass(slots=True)
class Batch:
    """Accounts that are to be made durable together."""

    entries: list[Entry] = field(default_factory=list)
    bytes: int = 0
    activity: dict[str, Any] | None = None
    """What is known of all accounts once these are durable: see `harvester.sink.activity`."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one commit made durable. `finished` are parts that got their final names."""

    harvested: int = 0
    empty: int = 0
    failed: int = 0
    rows: int = 0
    bytes: int = 0
    finished: tuple[OutputFile, ...] = ()

    @property
    def accounts(self) -> int:
        """Accounts in all."""
        return self.harvested + self.empty + self.failed
