"""Before a client is dismissed for its denials, a witness is heard: an account that was had before.

A run that goes on where another stopped may be left with nothing but accounts that are forbidden for their
own sake. Denials alone would look like a client without the right, run after run, and the harvest would never
end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from harvester.engine.access import REJECTIONS
from harvester.engine.crew import Crew
from harvester.engine.outage import Outage
from harvester.errors import AccessDenied, Fault, GiveUp, Throttled, TokenRejected

_REST = 0.5
"""Seconds between two tries to hear a witness over a fault."""


class Judge(Protocol):
    """Who acts on what was found (`engine.Engine`)."""

    async def acquit(self, crew: Crew) -> None:
        """The crew's client has the right: its suspects were denied for their own sake."""
        ...

    def dismiss(self, crew: Crew, denied: AccessDenied) -> None:
        """The crew's client may not harvest."""
        ...


class Hearing:
    """`sit` is its task. `witness` is an account that this run or an earlier one had rows of, if any."""

    def __init__(self, outage: Outage, judge: Judge, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.witness: str | None = None
        self._outage = outage
        self._judge = judge
        self._sleep = sleep
        self._called: asyncio.Queue[Crew] = asyncio.Queue()
        self._waiting: set[Crew] = set()

    def call(self, crew: Crew) -> None:
        """All that `crew` was told are denials: find out whether its client has the right at all."""
        if self.witness is None:
            self._judge.dismiss(crew, crew.access.verdict())
        elif crew not in self._waiting:
            self._waiting.add(crew)
            self._called.put_nowait(crew)

    async def sit(self, had_before: Callable[[], Awaitable[str | None]]) -> None:
        """Hear one case after the other. A task of its own. `had_before` finds an earlier run's witness."""
        earlier = await had_before()
        self.witness = self.witness or earlier
        while True:
            crew = await self._called.get()
            if await self._has_the_right(crew):
                await self._judge.acquit(crew)
            else:
                self._judge.dismiss(crew, crew.access.verdict())
            self._waiting.discard(crew)

    async def _has_the_right(self, crew: Crew) -> bool:
        rejections = 0
        while crew.out is None and rejections < REJECTIONS:
            await self._outage.until_over()
            try:
                return await self._asked(crew)
            except AccessDenied:
                return False
            except TokenRejected:
                rejections += 1
            except Fault as fault:
                self._outage.strike(None, fault)
                await self._sleep(_REST)
            except Throttled:
                pass  # the gate keeps the next try waiting
        return False

    async def _asked(self, crew: Crew) -> bool:
        """Ask for the witness once: whether the answer shows the right."""
        assert self.witness is not None  # noqa: S101  # for the type checker: nobody is called without one
        client = crew.client
        token = client.tokens.ready() or await client.tokens.current()
        sent_at = await client.throttle.permit()
        try:
            await client.usages.page(self.witness, 0, token.headers)
        except Throttled as busy:
            client.throttle.rejected(sent_at, busy.retry_after)
            raise
        except TokenRejected:
            client.throttle.accepted(sent_at)
            client.tokens.reject(token)
            raise
        except GiveUp as refusal:
            client.throttle.accepted(sent_at)
            return refusal.status != 403  # noqa: PLR2004  # any other is made to one that has the right
        except BaseException:
            client.throttle.released(sent_at)
            raise
        client.throttle.accepted(sent_at)
        return True
