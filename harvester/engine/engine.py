"""The engine: accounts to clients, results to the sink, until everything is settled or the run is stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Protocol

from harvester.engine.agenda import Agenda, Shelf
from harvester.engine.crew import Crew
from harvester.engine.hearing import Hearing
from harvester.engine.outage import SUSPICION, Outage
from harvester.engine.work import Work, failure_of
from harvester.errors import AccessDenied, Fault, GiveUp, StoppedEarly, StopRun, Throttled, TryAgain
from harvester.events import AccountSettled, ClientDropped, Observer, RetryScheduled, Stopping
from harvester.model import Account, Harvested, Reason, Settled
from harvester.settings.model import Settings
from harvester.tenant.answers import refusal
from harvester.tenant.backoff import delay
from harvester.tenant.client import TenantClient
from harvester.tenant.exchange import ANONYMOUS
from harvester.tenant.paging import Pages
from harvester.tenant.transport import Transport


class Store(Shelf, Protocol):
    """Where results go (`sink.Writer` is one). `put` waits when the sink is slower than the tenant."""

    async def put(self, settled: Settled, ticket: int) -> None:
        """Take an account that is finished, with its place among those begun."""
        ...

    async def had_before(self) -> str | None:
        """An account that an earlier run had rows of, if this one goes on from it."""
        ...


class Engine:
    """One run over one list.

    To be made inside the running loop. `run` takes the tasks that live as long as the run: reading the
    list, writing the rows.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        store: Store,
        observer: Observer,
        *,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._store = store
        self._observer = observer
        self._rng = rng
        self._clock = asyncio.get_running_loop().time
        self._transport = transport
        self.agenda = Agenda(store, self._begin)
        self.outage = Outage(
            self._probe,
            observer,
            max_outage=settings.max_outage,
            clock=self._clock,
            sleep=asyncio.sleep,
            rng=rng,
            refund=self.agenda.again,
            fail=self.fail,
            idle=self.idle,
        )
        self.crews = [
            Crew(
                TenantClient(client, transport, settings, observer, rest=self._rest, rng=rng),
                self.agenda,
                self.outage,
                self,
                observer,
                attempts=settings.attempts,
            )
            for client in settings.clients
        ]
        self._deadline = None if settings.deadline is None else self._clock() + settings.deadline
        self._failed = 0
        self.hearing = Hearing(self.outage, self, asyncio.sleep)
        self._probes = 0
        self._stopped: StopRun | None = None
        self._over = asyncio.Event()

    # --- the run

    async def run(self, services: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Harvest until everything is settled.

        Raises:
            StopRun: why it ended before that.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [tasks.create_task(service) for service in (*services, *self._services())]
                for crew in self.crews:
                    crew.start(tasks)
                await self._until_over(tasks)
                await self._drain()
                for task in background:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise first_stop(group) from group
        if self._stopped is not None:
            raise self._stopped

    def _services(self) -> list[Coroutine[Any, Any, None]]:
        keepers = [crew.client.tokens.keep() for crew in self.crews]
        return [
            self._feed(),
            self.outage.watch(),
            self.hearing.sit(self._store.had_before),
            self._keep_deadline(),
            *keepers,
        ]

    async def _feed(self) -> None:
        await self.agenda.refill()
        self.idle()

    async def _until_over(self, tasks: asyncio.TaskGroup) -> None:
        """Until stopped, or until the last lane found that nothing is left to do."""
        over = tasks.create_task(self._over.wait())
        while not over.done() and (lanes := self._lanes()):
            await asyncio.wait({over, *lanes}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()

    def _lanes(self) -> set[asyncio.Task[None]]:
        return set().union(*(crew.lanes for crew in self.crews))

    async def _drain(self) -> None:
        """Let what is in flight finish for a while, then leave it."""
        self.agenda.close()
        for crew in self.crews:
            crew.rest()
        if lanes := self._lanes():
            await asyncio.wait(lanes, timeout=self._settings.stop_grace)
        for crew in self.crews:
            crew.leave()

    def stop(self, why: StopRun) -> None:
        """Begin no more, let what is in flight finish, then raise `why` from `run`."""
        if self._stopped is None:
            self._stopped = why
            self._observer(Stopping(why.problem))
            self._over.set()

    async def _keep_deadline(self) -> None:
        if self._deadline is None:
            return
        await asyncio.sleep(self._deadline - self._clock())
        self.stop(_past_deadline("the deadline has come"))

    # --- rulings on accounts

    def _begin(self, account: Account, ticket: int) -> Work:
        return Work(account, ticket, Pages(self._settings.page_size, self._settings.since))

    async def harvested(self, work: Work, sent_at: float) -> None:
        """All rows of `work` are had."""
        self.hearing.witness = work.account.id
        rows = work.pages.rows
        await self._store.put(Harvested(work.account, rows), work.ticket)
        self._settled(AccountSettled(work.account.id, len(rows), None))
        if self.outage.troubled:
            await self.outage.alive(sent_at)

    async def fail(self, work: Work) -> None:
        """`work` is given up, for the reason in `work.last`."""
        failure = failure_of(work)
        await self._store.put(failure, work.ticket)
        self._failed += 1
        self._settled(AccountSettled(work.account.id, 0, failure.reason, failure.detail))
        limit = self._settings.max_failures
        if limit is not None and self._failed >= limit and not self.agenda.finished:
            self.stop(
                StoppedEarly(
                    f"{self._failed} accounts have failed, as many as --max-failures allows",
                    "look at the failures file, mend the cause, and run the same command again",
                )
            )

    def _settled(self, event: AccountSettled) -> None:
        self.agenda.settled()
        self._observer(event)
        if self.outage.condemned or any(crew.access.suspects for crew in self.crews):
            self.idle()

    def faulted(self, work: Work, fault: Fault) -> None:
        """A request of `work` met a fault that may pass: try again later, or hold it for the verdict."""
        work.last = fault
        if fault.reason == Reason.WRONG_SHAPE:
            work.pages = Pages(self._settings.page_size, self._settings.since)
        self.outage.strike(work, fault)
        if work.attempts >= self._settings.attempts:
            self.outage.condemn(work)
            self.idle()
            return
        pause = delay(max(work.attempts, 1), self._rng)
        self._observer(RetryScheduled(work.account.id, fault.reason, work.attempts, pause, fault.problem))
        self.agenda.later(work, pause)

    def idle(self) -> None:
        """When nothing moves but accounts that wait for a verdict, bring the verdict about."""
        suspects = sum(len(crew.access.suspects) for crew in self.crews)
        if not self.agenda.idle_but(suspects + len(self.outage.condemned)):
            return
        if self.outage.condemned:
            self.outage.suspect()
            return
        for crew in self.crews:
            if crew.access.suspects:
                self.hearing.call(crew)

    # --- rulings on clients

    def doubt(self, crew: Crew) -> None:
        """Many accounts in a row were denied to the crew's client."""
        self.hearing.call(crew)

    async def acquit(self, crew: Crew) -> None:
        """The crew's client has the right: what was denied to it are failures of those accounts."""
        for cleared in crew.access.proven():
            await self.fail(cleared)

    def dismiss(self, crew: Crew, denied: AccessDenied) -> None:
        """The crew's client may not harvest: its accounts go to the others; without others, the run ends."""
        if crew.out is not None:
            return
        crew.out = denied
        for work in crew.access.suspects:
            self.agenda.again(work)
        crew.access.suspects = []
        if all(other.out is not None for other in self.crews):
            self.stop(denied)
            return
        self._observer(ClientDropped(crew.client.label, str(denied)))

    async def throttled(self, sent_at: float) -> None:
        """A client was told 429, which is a sign of life. A pause past the deadline ends the run."""
        await self.outage.alive(sent_at)
        if self._deadline is None:
            return
        free_at = min(crew.client.throttle.paused_until for crew in self.crews if crew.out is None)
        if free_at > self._deadline:
            self.stop(_past_deadline("the tenant's Retry-After reaches past the deadline"))

    async def _rest(self, tries: int, fault: Fault | Throttled) -> None:
        """Between two tries for a token."""
        if isinstance(fault, Fault):
            self.outage.strike(None, fault)
        await asyncio.sleep(delay(tries, self._rng))

    # --- probing

    async def _probe(self) -> Fault | None:
        """One request that tells whether the tenant is there; its rows, if any, are not used."""
        crew = next((crew for crew in self.crews if crew.out is None), self.crews[0])
        throttle = crew.client.throttle
        try:
            sent_at = await throttle.permit()
            try:
                await self._ask(crew)
                throttle.accepted(sent_at)
            except Throttled as busy:
                throttle.rejected(sent_at, busy.retry_after)
            except BaseException:
                throttle.released(sent_at)
                raise
        except Fault as fault:
            return fault
        except (TryAgain, GiveUp, AccessDenied):
            return None
        return None

    async def _ask(self, crew: Crew) -> None:
        target = self._target()
        if target is None:
            answer = await self._transport.get("/oauth/info", "", ANONYMOUS)
            if answer.status >= 500:  # noqa: PLR2004  # any lower one is a sign of life
                raise refusal(answer)
            return
        token = crew.client.tokens.ready()
        if token is None:
            raise Fault(Reason.CONNECT, "no token can be had")
        await crew.client.usages.page(target, 0, token.headers)

    def _target(self) -> str | None:
        """An account that was harvested before tells most; else others than those that faulted, in turn."""
        if self.hearing.witness is not None:
            return self.hearing.witness
        self._probes += 1
        others = [*self.agenda.untried(), *self.outage.struck]
        if len(others) < SUSPICION:
            return None
        return others[self._probes % len(others)]


def first_stop(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to end with: the first that stops a run on purpose, else the first of all."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, StopRun)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _leaves(inner)
        else:
            yield inner


def _past_deadline(problem: str) -> StoppedEarly:
    return StoppedEarly(problem, "run the same command again: it goes on from here")
