"""Accounts handed to a caller as they finish, instead of being written: the sink of the Python API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from harvester.model import Account, Harvested, Settled
from harvester.sink.order import Reorder
from harvester.sink.roster import Roster

_AHEAD = 256
"""Accounts that wait for the caller: enough to keep the requests going, and about 100 kB."""


class Stream:
    """Takes settled accounts in and gives them out to one caller; while that one is slow, so is fetching."""

    def __init__(self, roster: Roster, *, ordered: bool) -> None:
        self._roster = roster
        self._reorder: Reorder[Settled] | None = Reorder() if ordered else None
        self._ready: asyncio.Queue[Settled | None] = asyncio.Queue(_AHEAD)
        self._ended = False

    async def enroll(self, ids: Sequence[str]) -> None:
        """Take the next IDs of the list in, repeats and all."""
        await self._roster.enroll(ids)

    async def list_ended(self) -> None:
        """The list was read to its end."""
        await self._roster.list_ended()

    async def pending(self, after_seq: int, limit: int) -> list[Account]:
        """The next accounts behind `after_seq`, in the order of the list."""
        return await self._roster.pending(after_seq, limit)

    async def had_before(self) -> str | None:
        """None: nothing is kept of an earlier run."""
        return None

    def has_room(self, ticket: int) -> bool:
        """Whether the account with this ticket may be begun (`ordered` bounds how far ahead)."""
        return self._reorder is None or self._reorder.has_room(ticket)

    async def put(self, settled: Settled, ticket: int) -> None:
        """Take a finished account; waits while the caller is behind."""
        if self._reorder is None:
            await self._ready.put(settled)
            return
        size = len(settled.rows) if isinstance(settled, Harvested) else 1
        for due in self._reorder.take(ticket, settled, size):
            await self._ready.put(due)

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        if self._ready.empty():
            self._ready.put_nowait(None)

    async def accounts(self) -> AsyncIterator[Settled]:
        """Every account as it is finished, until `end` was called and all are given out."""
        while not (self._ended and self._ready.empty()):
            settled = await self._ready.get()
            if settled is not None:
                yield settled
