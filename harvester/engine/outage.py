"""A tenant that is away: noticed, waited out with one probe at a time, and charged to no account.

Faults are provisional. Those that come in an unbroken run, since the tenant last showed life, are kept
as strikes; when they point to the tenant as a whole, feeding stops and a probe decides. If the tenant is
away, every strike is taken back. An account whose last attempt is used up is condemned, not failed, until
the tenant has shown life after that: only then was it the account's own fault.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from harvester.engine.work import Work
from harvester.errors import Fault, StoppedEarly
from harvester.events import Observer, OutageBegan, OutageEnded, OutageProbed

SUSPICION = 9
"""How many different accounts must fault in a row, with no sign of life between, before a probe is sent."""
_UNCONNECTED_WEIGHT = 3
"""A refused connection says more than a bad answer: three of them are enough."""
_FIRST_PROBE = 0.5
_LONGEST_INTERVAL = 15.0
_GROWTH = 1.6

Probe = Callable[[], Awaitable[Fault | None]]
"""Sends one request; None when the tenant answered it like one that is alive."""


class Outage:
    """The tenant's pulse. `watch()` is its task; dispatchers wait at `until_over()`."""

    def __init__(
        self,
        probe: Probe,
        observer: Observer,
        *,
        max_outage: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        rng: random.Random,
        refund: Callable[[Work], None],
        fail: Callable[[Work], Awaitable[None]],
        idle: Callable[[], None],
    ) -> None:
        """`refund` puts a condemned account back on the agenda, `fail` makes its failure final.

        `idle` looks whether nothing moves any more but what waits for a verdict.
        """
        self._probe = probe
        self._observer = observer
        self._max_outage = max_outage
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._refund = refund
        self._fail = fail
        self._idle = idle
        self._strikes: dict[Work, int] = {}
        self._unconnected = 0
        self.condemned: dict[Work, float] = {}
        self._suspected = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()
        self.away = False

    @property
    def over(self) -> bool:
        """Whether requests may be sent."""
        return self._over.is_set()

    async def until_over(self) -> None:
        """Wait until the tenant is believed to be there."""
        await self._over.wait()

    @property
    def struck(self) -> list[str]:
        """IDs of the accounts that faulted since the tenant last showed life."""
        return [work.account.id for work in self._strikes]

    @property
    def troubled(self) -> bool:
        """Whether a sign of life would change anything."""
        return bool(self._strikes or self._unconnected or self.condemned)

    def strike(self, work: Work | None, fault: Fault) -> None:
        """A request faulted: `work` is charged one attempt, until further notice. None: for a token."""
        if self.away:
            return
        if work is not None:
            work.attempts += 1
            self._strikes[work] = self._strikes.get(work, 0) + 1
        if not fault.connected:
            self._unconnected += 1
        if len(self._strikes) + self._unconnected * _UNCONNECTED_WEIGHT >= SUSPICION:
            self.suspect()

    def condemn(self, work: Work) -> None:
        """`work` has no attempt left; what comes next decides whose fault that was."""
        self.condemned[work] = self._clock()

    async def alive(self, sent_at: float) -> None:
        """The tenant answered a request sent at `sent_at`, be it with a refusal."""
        if self._strikes or self._unconnected:
            self._strikes.clear()
            self._unconnected = 0
        if self.condemned:
            await self._sentence(sent_at)

    async def _sentence(self, alive_at: float) -> None:
        for work in [w for w, at in self.condemned.items() if at <= alive_at]:
            del self.condemned[work]
            await self._fail(work)

    def suspect(self) -> None:
        """Stop feeding and ask the tenant."""
        if self._over.is_set():
            self._over.clear()
            self._suspected.set()

    async def watch(self) -> None:
        """Probe whenever there is a suspicion. A task of its own.

        Raises:
            StoppedEarly: the tenant was away for longer than `max_outage`.
        """
        while True:
            await self._suspected.wait()
            await self._wait_out()
            self._suspected.clear()
            self._over.set()
            # What was condemned while the probe was on its way waits for another one.
            self._idle()

    async def _wait_out(self) -> None:
        began = self._clock()
        interval = _FIRST_PROBE
        failed_probes = 0
        while True:
            sent_at = self._clock()
            fault = await self._probe()
            if fault is None:
                break
            failed_probes += 1
            if not self.away and (failed_probes > 1 or not fault.connected):
                self._declare(fault)
            self._give_up_after(began, fault)
            pause = interval * self._rng.uniform(0.75, 1.25)
            self._observer(OutageProbed(str(fault), pause))
            await self._sleep(pause)
            interval = min(interval * _GROWTH, _LONGEST_INTERVAL)
        if self.away:
            self.away = False
            self._observer(OutageEnded(self._clock() - began))
        await self.alive(sent_at)

    def _declare(self, fault: Fault) -> None:
        self.away = True
        self._observer(OutageBegan(str(fault)))
        for work, charged in self._strikes.items():
            work.attempts -= charged
        self._strikes.clear()
        self._unconnected = 0
        for work in self.condemned:
            self._refund(work)
        self.condemned.clear()

    def _give_up_after(self, began: float, fault: Fault) -> None:
        away_for = self._clock() - began
        if away_for >= self._max_outage:
            raise StoppedEarly(
                f"the tenant has been away for {away_for:.0f} s ({fault})",
                "run the same command again when it is back: it goes on from here",
            )
