"""Settled accounts on their way to the ledger: in batches, one transaction each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from harvester.event_loop import wait_for
from harvester.events import AccountSettled, Committed, Observer
from harvester.ledger import Ledger
from harvester.model import AccountOutcome, Harvested, Settled
from harvester.tenant.client import Lane

COMMIT_EVERY: Final = 0.25
"""Seconds between two commits: what a kill can cost, against 8 kB written to the disk for a small one."""
BATCH: Final = 200
"""Accounts after which a commit need not wait any longer: larger ones save hardly anything."""
BACKLOG: Final = 2000
"""Settled accounts in memory (some 2 MB) beyond which requests wait for the disk."""
_FACTS_EVERY: Final = 1.0
"""Seconds between two looks at the limiters' memory while no account is settled."""


@dataclass(slots=True, eq=False, repr=False)
class Recorder:
    """`run` is its task. Everything that was `put` is in the ledger when `run` returns after `finish`."""

    ledger: Ledger
    lanes: Sequence[Lane]
    observer: Observer
    clock: Callable[[], float]
    release_behind_reader: bool
    reader_position: int = -1
    """Everything up to here has been emitted by a live output."""
    _backlog: list[Settled] = field(default_factory=list)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """There is something to store …"""
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)
    """… and it must not wait for the next commit."""
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _finishing: bool = False
    _committed_at: float = -math.inf

    # --- the side of the workers

    def put(self, settled: Settled) -> None:
        """Take an account that is settled; the next commit stores it."""
        self._backlog.append(settled)
        if len(self._backlog) == BATCH:
            self._hurried.set()
        else:
            self._wanted.set()

    @property
    def full(self) -> bool:
        """Whether the disk is so far behind that no more requests should be sent."""
        return len(self._backlog) >= BACKLOG

    async def room(self) -> None:
        """Wait until the disk has caught up."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def save_soon(self) -> None:
        """Store the limiters' memory at once: a `Retry-After` must outlive a kill."""
        self._wanted.set()
        self._hurried.set()

    def finish(self) -> None:
        """Commit what is left, then let `run` return."""
        self._finishing = True
        self.save_soon()

    # --- the task

    async def run(self) -> None:
        """Commit whenever enough accounts or enough time have come together.

        Raises:
            StopRun: the ledger cannot be written.
        """
        while not self._finishing:
            await self._until_due()
            await self._commit()
        while self._backlog:
            await self._commit()

    async def _until_due(self) -> None:
        """Wait for something to store, then until the last commit is long enough ago."""
        await wait_for(self._wanted, _FACTS_EVERY)
        if (wait := self._committed_at + COMMIT_EVERY - self.clock()) > 0:
            await wait_for(self._hurried, wait)

    async def _commit(self) -> None:
        self._wanted.clear()
        self._hurried.clear()
        batch, self._backlog = self._backlog, []
        began = self._committed_at = self.clock()
        facts = {f"lane:{lane.label}": lane.limiter.memory() for lane in self.lanes}
        release_before = self.reader_position + 1 if self.release_behind_reader else None
        await self.ledger.settle(batch, facts, release_before=release_before)
        self._room.set()
        if batch:
            self._report(batch, self.clock() - began)

    def _report(self, batch: list[Settled], seconds: float) -> None:
        observer = self.observer
        rows = 0
        for settled in batch:
            account_id = settled.account.id
            if isinstance(settled, Harvested):
                rows += settled.rows.rows
                observer(AccountSettled(account_id, settled.outcome, settled.rows.rows))
            else:
                why = settled.reason, settled.detail
                observer(AccountSettled(account_id, AccountOutcome.FAILED, 0, *why))
        observer(Committed(len(batch), rows, seconds))
