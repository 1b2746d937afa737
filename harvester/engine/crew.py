"""The requests of one client: one dispatcher at a time, as many in flight as quota and latency want.

A crew is a set of lanes. A lane takes the baton, which makes it the client's dispatcher: it waits until
the tenant is there, takes work, waits for a token and then for the permit. Then it passes the baton on and
sends. So permits are taken by one dispatcher, in order, and a lane that sends holds nobody up. When no
lane waits for the baton, one more is added, up to the limit: Little's law, without a calculation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from harvester.engine.access import Access
from harvester.engine.agenda import Agenda
from harvester.engine.outage import Outage
from harvester.engine.work import Work
from harvester.errors import AccessDenied, Fault, GiveUp, Throttled, TokenRejected, TryAgain
from harvester.events import Observer, RequestEnded
from harvester.model import Reason, UsageRow
from harvester.tenant.client import TenantClient
from harvester.tenant.token import Token


class Crew:
    """Drives one client until the agenda is empty or the client is out."""

    def __init__(
        self,
        client: TenantClient,
        agenda: Agenda,
        outage: Outage,
        rulings: Rulings,
        observer: Observer,
        *,
        attempts: int,
    ) -> None:
        self.client = client
        self.access = Access(client.label, attempts)
        self._agenda = agenda
        self._outage = outage
        self._rulings = rulings
        self._observer = observer
        self._clock = asyncio.get_running_loop().time
        self._baton = asyncio.Lock()
        self._lanes: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._sending: dict[asyncio.Task[None], float] = {}
        self._hire: Callable[[], None] | None = None
        self.out: AccessDenied | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin with one lane; the others follow by need."""

        def hire() -> None:
            lane = tasks.create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

        self._hire = hire
        hire()

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered."""
        return len(self._sending)

    @property
    def lanes(self) -> frozenset[asyncio.Task[None]]:
        """The tasks of the crew that are not done."""
        return frozenset(self._lanes)

    def rest(self) -> None:
        """Cancel the lanes that are not sending."""
        for lane in self._lanes - self._sending.keys():
            lane.cancel()

    def leave(self) -> None:
        """Cancel all lanes."""
        for lane in self._lanes:
            lane.cancel()

    async def _lane(self) -> None:
        lane = asyncio.current_task()
        assert lane is not None  # noqa: S101  # for the type checker: a coroutine of a task group is in a task
        while True:
            self._waiting += 1
            try:
                async with self._baton:
                    order = await self._dispatch()
                    if order is None:
                        return
                    sent_at = order[2]
                    self._sending[lane] = sent_at
            finally:
                self._waiting -= 1
            if not self._waiting:
                self._reinforce(sent_at)
            await self._send(lane, *order)

    def _reinforce(self, now: float) -> None:
        oldest = next(iter(self._sending.values()), now)
        if self._hire is not None and len(self._lanes) < self.client.limit.now(
            self.client.throttle.rate, now - oldest
        ):
            self._hire()

    async def _dispatch(self) -> tuple[Work, Token, float] | None:
        """The next work with a token and a permit; None when there's no more for this client.

        Work is taken last, so that a client that has to pause holds no account back from the others.
        """
        while self.out is None and await self._agenda.until_work():
            if not self._outage.over:
                await self._outage.until_over()
            try:
                token = self.client.tokens.ready() or await self.client.tokens.current()
            except AccessDenied as denied:
                self._rulings.dismiss(self, denied)
                return None
            sent_at = await self.client.throttle.permit()
            # All that was seen before the wait for the permit may have changed in it.
            fresh = self.client.tokens.ready() if token is not self.client.tokens.ready() else token
            if fresh is not None and self.out is None and self._outage.over:
                work = self._agenda.take()
                if work is not None:
                    return work, fresh, sent_at
            self.client.throttle.released(sent_at)
        return None

    async def _send(self, lane: asyncio.Task[None], work: Work, token: Token, sent_at: float) -> None:
        """Send one request, tell what became of it, and see to the consequences."""
        size = 0
        answer: list[UsageRow] | TryAgain | GiveUp
        try:
            answer, size = await self.client.usages.page(work.account.id, work.pages.offset, token.headers)
        except (TryAgain, GiveUp) as refusal:
            answer = refusal
        finally:
            del self._sending[lane]
        seconds = self._clock() - sent_at
        self.client.limit.observe(seconds)
        status, reason = _outcome(answer)
        self._observer(RequestEnded(self.client.label, status, reason, seconds, size))
        if status is None:
            self.client.throttle.released(sent_at)
        elif not isinstance(answer, Throttled):
            self.client.throttle.accepted(sent_at)
        await self._consequence(work, token, sent_at, answer)

    async def _consequence(
        self, work: Work, token: Token, sent_at: float, answer: list[UsageRow] | TryAgain | GiveUp
    ) -> None:
        if type(answer) is list:
            await self._had(work, answer, sent_at)
        elif isinstance(answer, Throttled):
            self.client.throttle.rejected(sent_at, answer.retry_after)
            self._agenda.again(work)
            await self._rulings.throttled(sent_at)
        elif isinstance(answer, TokenRejected):
            await self._rejected(work, token, answer, sent_at)
        elif isinstance(answer, GiveUp):
            await self._refused(work, answer, sent_at)
        elif isinstance(answer, Fault):
            self._rulings.faulted(work, answer)

    async def _had(self, work: Work, page: list[UsageRow], sent_at: float) -> None:
        try:
            work.pages.add(page)
        except Fault as fault:
            self._rulings.faulted(work, fault)
            return
        work.progressed()
        if self.access.unsettled:
            await self._rulings.acquit(self)
        if work.pages.whole:
            await self._rulings.harvested(work, sent_at)
            return
        await self._outage.alive(sent_at)
        self._agenda.again(work)

    async def _refused(self, work: Work, refusal: GiveUp, sent_at: float) -> None:
        await self._outage.alive(sent_at)
        work.last = refusal
        work.attempts += 1
        if refusal.status != 403:  # noqa: PLR2004  # any other refusal was made to a client that has the right
            await self._rulings.acquit(self)
            await self._rulings.fail(work)
        elif self.access.is_own(refusal):
            await self._rulings.fail(work)
        else:
            self._suspect(work)

    async def _rejected(self, work: Work, token: Token, rejected: TokenRejected, sent_at: float) -> None:
        await self._outage.alive(sent_at)
        self.client.tokens.reject(token)
        work.last = rejected
        work.rejections += 1
        if work.rejections < self.access.rejections:
            self._agenda.again(work)
        else:
            work.rejections = 0
            self._suspect(work)

    def _suspect(self, work: Work) -> None:
        if self.access.suspect(work):
            self._rulings.doubt(self)
        else:
            self._rulings.idle()


class Rulings(Protocol):
    """What the crew asks the engine to decide: see `engine.Engine`, which is the only one."""

    async def harvested(self, work: Work, sent_at: float) -> None:
        """All rows of `work` are had."""
        ...

    async def fail(self, work: Work) -> None:
        """`work` is given up, for the reason in `work.last`."""
        ...

    def faulted(self, work: Work, fault: Fault) -> None:
        """A request of `work` met a fault that may pass."""
        ...

    async def throttled(self, sent_at: float) -> None:
        """A client was told 429."""
        ...

    async def acquit(self, crew: Crew) -> None:
        """The crew's client was given a good answer: it has the right."""
        ...

    def doubt(self, crew: Crew) -> None:
        """Many accounts in a row were denied to the crew's client."""
        ...

    def dismiss(self, crew: Crew, denied: AccessDenied) -> None:
        """The crew's client may not harvest: its accounts go to the others."""
        ...

    def idle(self) -> None:
        """An account began to wait for a verdict: perhaps nothing else moves any more."""
        ...


def _outcome(answer: list[UsageRow] | TryAgain | GiveUp) -> tuple[int | None, str | None]:
    """Status and reason of an answer, as events carry them."""
    if type(answer) is list:
        return 200, None
    if isinstance(answer, (Fault, GiveUp)):
        return answer.status, answer.reason
    return (429, Reason.THROTTLED) if isinstance(answer, Throttled) else (401, Reason.UNAUTHORIZED)
