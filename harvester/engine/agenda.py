"""What is to be done next: accounts to be tried again first, then the list.

The list itself stays in the ledger; a short stretch of it is held here. An account counts as outstanding
from the moment it is handed out until it is settled, wherever it waits meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from harvester.engine.work import Work
from harvester.model import Account

_STRETCH = 1000
"""Accounts read from the ledger at once: one query a thousand, some 100 kB."""
_LOW = 500
"""When to read on: half a stretch lasts longer than any query."""
MAX_OUTSTANDING = 5000
"""Accounts begun and not settled: beyond it retries have piled up, and no new ones are begun."""


class Shelf(Protocol):
    """Where the list is kept, as far as the agenda sees it (`sink.Writer` is one)."""

    async def pending(self, after_seq: int, limit: int) -> list[Account]:
        """The next unfinished accounts behind `after_seq`, in order."""
        ...

    def has_room(self, ticket: int) -> bool:
        """Whether the account with this ticket may be begun yet (`--ordered` bounds how far ahead)."""
        ...


class Agenda:
    """Hands out work, and knows when everything is settled."""

    def __init__(self, shelf: Shelf, begin: Callable[[Account, int], Work]) -> None:
        self._shelf = shelf
        self._begin = begin
        self._again: deque[Work] = deque()
        self._fresh: deque[Account] = deque()
        self._tickets = 0
        self._timers: dict[Work, asyncio.TimerHandle] = {}
        self._stirred = asyncio.Event()
        self._low = asyncio.Event()
        self._list_grew = asyncio.Event()
        self._list_whole = False
        self._exhausted = False
        self._closed = False
        self.outstanding = 0

    # --- the list's side

    def list_grew(self) -> None:
        """Accounts were enrolled and may be begun; nothing is begun before the first call."""
        self._list_grew.set()

    def list_ended(self) -> None:
        """The list is read to its end."""
        self._list_whole = True
        self._list_grew.set()

    async def refill(self) -> None:
        """Keep a stretch of the list at hand, until it is exhausted. A task of its own."""
        after = -1
        await self._list_grew.wait()
        while True:
            whole = self._list_whole
            self._list_grew.clear()
            stretch = await self._shelf.pending(after, _STRETCH)
            if stretch:
                after = stretch[-1].seq
                self._fresh.extend(stretch)
                self._stirred.set()
                await self._until_low()
            elif whole:
                self._exhausted = True
                self._stirred.set()
                return
            else:
                await self._list_grew.wait()

    async def _until_low(self) -> None:
        while len(self._fresh) > _LOW:
            self._low.clear()
            await self._low.wait()

    # --- the dispatchers' side

    async def until_work(self) -> bool:
        """Wait until there is work; False when everything is settled, or no more is to be begun."""
        while not self._closed:
            if self._again or self._may_begin():
                return True
            if self.finished:
                return False
            self._stirred.clear()
            await self._stirred.wait()
        return False

    def take(self) -> Work | None:
        """The next work, if another dispatcher has not been quicker."""
        if self._closed:
            return None
        if self._again:
            return self._again.popleft()
        if not self._may_begin():
            return None
        account = self._fresh.popleft()
        if len(self._fresh) == _LOW:
            self._low.set()
        work = self._begin(account, self._tickets)
        self._tickets += 1
        self.outstanding += 1
        return work

    def _may_begin(self) -> bool:
        return (
            bool(self._fresh) and self.outstanding < MAX_OUTSTANDING and self._shelf.has_room(self._tickets)
        )

    def again(self, work: Work) -> None:
        """`work` wants another request at once: the next page, a new token, a pause it did not cause."""
        self._again.append(work)
        self._stirred.set()

    def later(self, work: Work, delay: float) -> None:
        """`work` wants another request after `delay` seconds; others go on meanwhile."""
        self._timers[work] = asyncio.get_running_loop().call_later(delay, self._due, work)

    def _due(self, work: Work) -> None:
        del self._timers[work]
        self.again(work)

    def settled(self) -> None:
        """One outstanding account is settled."""
        self.outstanding -= 1
        # Only a taker that found nothing waits; it is woken when this may have been the last, or made room.
        self._stirred.set()

    def close(self) -> None:
        """Begin no more, and forget the retries that are not due: the ledger knows them as unfinished."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._stirred.set()

    # --- what is left

    @property
    def finished(self) -> bool:
        """Whether the list is at its end and everything begun is settled."""
        return self._exhausted and not self._fresh and self.outstanding == 0

    def idle_but(self, held: int) -> bool:
        """Whether nothing can move on but `held` accounts that wait for a verdict."""
        return self._exhausted and not self._fresh and 0 < self.outstanding == held

    def untried(self) -> Iterator[str]:
        """IDs that have not been begun, for a probe."""
        return (account.id for account in self._fresh)
