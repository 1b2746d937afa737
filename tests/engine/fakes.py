"""A tenant and a ledger in memory, for the engine on a virtual clock.

`World.reply` says how the tenant answers each request; everything else is as the real lanes do it: pause,
permit, token, `take`, request, limiter, outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs

import orjson

from harvester.engine import Engine
from harvester.errors import AccessDenied, StopRun
from harvester.events import AccountSettled, ClientDropped, Event, LaneDropped
from harvester.ledger import Ledger
from harvester.model import (
    Account,
    AccountOutcome,
    Answered,
    Counts,
    Failure,
    Fault,
    Harvested,
    NotSent,
    Outcome,
    Reason,
    Settled,
    Throttled,
    TokenRejected,
)
from harvester.tenant.client import Lane
from harvester.tenant.connection import Response
from harvester.tenant.request import Request
from tests.virtual_loop import VirtualLoop, run

T = TypeVar("T")

ROWS = b'[{"date":"2026-10-01","count":17},{"date":"2026-09-01","count":3}]'


@dataclass(frozen=True)
class Reply:
    """What comes back after `latency` seconds: a response, or a fault of the network."""

    status: int = 200
    body: bytes = ROWS
    latency: float = 0.1
    retry_after: float | None = None
    fault: Reason | None = None
    connected: bool = True
    permanent: bool = False
    content_type: str = "application/json"
    total: int = 2

    def response(self) -> Response:
        headers = {"Content-Type": self.content_type, "X-Total-Count": f"{self.total}"}
        if self.retry_after is not None:
            headers["Retry-After"] = f"{self.retry_after:g}"
        return Response(self.status, headers, self.body)


def rows(count: int, first: int = 0) -> bytes:
    """A page of `count` months, each another one."""
    return orjson.dumps(
        [
            {"date": f"{2026 - i // 12:04}-{12 - i % 12:02}-01", "count": 1}
            for i in range(first, first + count)
        ]
    )


EMPTY = Reply(body=b"[]")
GOOD = Reply()
FORBIDDEN = Reply(403, b'{"messages":[{"text":"no scope"}]}')
MISSING = Reply(404, b"{}")
BAD = Reply(400, b'{"messages":[{"text":"bad id"}]}')
BROKEN = Reply(500, b'{"trackingId":"t1"}')
UNAVAILABLE = Reply(503, b"")
THROTTLED = Reply(429, b"", retry_after=1.0)
REJECTED = Reply(401, b'{"error":"JWT validation failed"}')
SILENT = Reply(fault=Reason.TIMEOUT, latency=30.0)
REFUSED = Reply(fault=Reason.CONNECT, latency=0.001, connected=False)
GARBLED = Reply(body=b"<html>")
REDIRECTED = Reply(302, b"")
PAGE = Reply(404, b"<html>default backend", content_type="text/html; charset=utf-8")
WALL = Reply(403, b"<html>blocked", content_type="Text/HTML")


@dataclass(frozen=True)
class Sent:
    """One request as the tenant saw it."""

    at: float
    lane: str
    account: str
    offset: int
    purpose: str


class FakeLimiter:
    """Paces a lane and keeps its pauses."""

    def __init__(self, *, interval: float, concurrency: int) -> None:
        self.interval = interval
        self.concurrency = concurrency
        self.paused_until = 0.0
        self._next = 0.0
        self._turn = asyncio.Lock()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def permit(self) -> float:
        async with self._turn:
            while (wait := max(self.paused_until, self._next) - self.now()) > 0:  # noqa: ASYNC110  # it may grow
                await asyncio.sleep(wait)
            self._next = self.now() + self.interval
            return self.now()

    def pause(self, seconds: float) -> None:
        self.paused_until = max(self.paused_until, self.now() + seconds)

    def resumes_in(self) -> float:
        return max(0.0, self.paused_until - self.now())

    def in_flight_limit(self) -> int:
        return self.concurrency

    def memory(self) -> dict[str, Any]:
        return {"pausedUntil": self.paused_until}


class FakeClient:
    """A client whose token comes, stays away or is refused, as the world says."""

    def __init__(self, label: str, observer: Callable[[Event], None]) -> None:
        self.label = label
        self.dropped: AccessDenied | None = None
        self.token = True
        self.no_token_because = "the token endpoint answered 503"
        self.works = [False]
        """Whether the present token has been accepted: a list for each token."""
        self.changed = asyncio.Event()
        self._observer = observer

    def drop(self, why: AccessDenied) -> None:
        if self.dropped is None:
            self.dropped = why
            self._observer(ClientDropped(self.label, str(why)))
            self.changed.set()

    def give_token(self) -> None:
        self.token = True
        self.changed.set()


class FakeLane:
    """A lane as the engine sees it, in front of the world."""

    def __init__(self, world: World, client: FakeClient, version: str, limiter: FakeLimiter) -> None:
        self.label = f"{client.label}/{version}"
        self.client = client
        self.api_version = version
        self.limiter = limiter
        self._world = world
        self._dropped = False
        self.in_flight = 0

    @property
    def dropped(self) -> bool:
        return self._dropped or self.client.dropped is not None

    @property
    def permanent_fault(self) -> Fault | None:
        return self._world.permanent_fault

    @property
    def waiting_for(self) -> str | None:
        if self.limiter.resumes_in() > 0:
            return "the tenant's Retry-After (429)"
        return None if self.client.token else f"a token ({self.client.no_token_because})"

    def drop(self, why: str) -> None:
        if not self._dropped:
            self._dropped = True
            self._world.observe(LaneDropped(self.label, why))

    async def send(self, take: Callable[[], Request[T] | None]) -> Outcome[T]:
        while not self.dropped:
            while not self.client.token and not self.dropped:
                self.client.changed.clear()
                await self.client.changed.wait()
            sent_at = await self.limiter.permit()
            if self.dropped or not self.client.token or self.limiter.resumes_in() > 0:
                continue
            request = take()
            if request is None:
                break
            return await self._send(request, sent_at)
        return NotSent()

    async def _send(self, request: Request[T], sent_at: float) -> Outcome[T]:
        account = next(part for part in request.path.split("/") if part.startswith("a-"))
        offset = int(parse_qs(request.query).get("offset", ["0"])[0])
        self._world.sent.append(Sent(sent_at, self.label, account, offset, request.purpose))
        self._world.on_send(account)
        works = self.client.works
        self.in_flight += 1
        try:
            reply = self._world.reply(self, account, offset, sent_at)
            await asyncio.sleep(reply.latency)
        finally:
            self.in_flight -= 1
        return self._outcome(request, reply, sent_at, works)

    def _outcome(self, request: Request[T], reply: Reply, sent_at: float, works: list[bool]) -> Outcome[T]:
        if reply.fault is not None:
            fault = Fault(
                sent_at, reply.fault, "no answer", connected=reply.connected, permanent=reply.permanent
            )
            self._world.permanent_fault = fault if reply.permanent else self._world.permanent_fault
            return fault
        outcome = request.read(reply.response(), sent_at)
        if isinstance(outcome, Throttled):
            self.limiter.pause(1.0 if outcome.retry_after is None else outcome.retry_after)
        elif isinstance(outcome, Fault) and outcome.retry_after is not None:
            self.limiter.pause(outcome.retry_after)
        elif isinstance(outcome, TokenRejected):
            present = works is self.client.works
            outcome = replace(outcome, worked=works[0], stale=not present)
            self.client.works = [False] if present else self.client.works
        elif isinstance(outcome, Answered):
            works[0] = True
        return outcome


class FakeLedger:
    """A list and its outcomes in memory. A query takes `delay` seconds; `broken` makes a transaction fail."""

    def __init__(
        self, accounts: Iterable[Account], *, known_good: str | None = None, answered: str | None = None
    ) -> None:
        self.accounts = {account.position: account for account in accounts}
        self.settled: dict[int, Settled] = {}
        self.facts: dict[str, Any] = {}
        self.delay = 0.01
        self.settle_delay: float | None = None
        self.broken: StopRun | None = None
        self.known = known_good
        self.answered = answered
        self.batches: list[int] = []
        self.released_before: int | None = None
        self.on_settle: Callable[[], None] = lambda: None

    async def next_pending(self, after: int, limit: int) -> list[Account]:
        await asyncio.sleep(self.delay)
        pending = [a for p, a in sorted(self.accounts.items()) if p > after and p not in self.settled]
        return pending[:limit]

    async def settle(
        self,
        batch: Sequence[Settled],
        facts: Mapping[str, Any] | None = None,
        *,
        release_before: int | None = None,
    ) -> None:
        await asyncio.sleep(self.delay if self.settle_delay is None else self.settle_delay)
        if self.broken is not None:
            raise self.broken
        for settled in batch:
            assert settled.account.position in self.accounts
            assert settled.account.position not in self.settled, f"{settled.account} is settled twice"
            self.settled[settled.account.position] = settled
        self.facts.update(facts or {})
        self.batches.append(len(batch))
        self.released_before = release_before
        self.on_settle()

    async def known_good(self) -> str | None:
        await asyncio.sleep(self.delay)
        return self.known

    async def answered_account(self) -> str | None:
        return self.answered

    async def counts(self) -> Counts:
        ends = [
            s.outcome if isinstance(s, Harvested) else AccountOutcome.FAILED for s in self.settled.values()
        ]
        by = [ends.count(outcome) for outcome in AccountOutcome]
        known = int(self.known is not None)
        return Counts(len(self.accounts), by[0] + known, by[1], by[2], by[3], len(self.accounts) - len(ends))

    def prefix(self) -> int:
        """The position up to which everything is settled; -1 if the first account is not."""
        last = -1
        for position in sorted(self.accounts):
            if position not in self.settled:
                break
            last = position
        return last

    def failures(self) -> dict[str, Failure]:
        return {s.account.id: s for s in self.settled.values() if isinstance(s, Failure)}

    def outcomes(self) -> dict[str, AccountOutcome]:
        return {
            s.account.id: s.outcome if isinstance(s, Harvested) else AccountOutcome.FAILED
            for s in self.settled.values()
        }


ReplyTo = Callable[[FakeLane, str, int, float], Reply]


@dataclass
class World:
    """One tenant, one list, one run."""

    reply: ReplyTo
    accounts: int = 20
    clients: int = 1
    versions: tuple[str, ...] = ("v2024",)
    concurrency: int = 8
    interval: float = 0.01
    seed: int = 0
    known_good: str | None = None
    answered_account: str | None = None
    unreported: frozenset[int] = frozenset()
    settled_earlier: dict[int, Settled] = field(default_factory=dict)
    """What the ledger of an earlier run has."""
    sent: list[Sent] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    permanent_fault: Fault | None = None
    began: float = 0.0
    on_send: Callable[[str], None] = lambda _: None

    def observe(self, event: Event) -> None:
        self.events.append(event)

    def make(self, **options: Any) -> None:
        """The parts; to be called inside the loop."""
        self.began = asyncio.get_running_loop().time()
        ids = [Account(i, f"a-{i}", i in self.unreported) for i in range(self.accounts)]
        self.ledger = FakeLedger(ids, known_good=self.known_good, answered=self.answered_account)
        self.ledger.settled.update(self.settled_earlier)
        self.client_list = [FakeClient(f"c{i}", self.observe) for i in range(self.clients)]
        self.lanes = [
            FakeLane(self, client, version, FakeLimiter(interval=self.interval, concurrency=self.concurrency))
            for client in self.client_list
            for version in self.versions
        ]
        clock = asyncio.get_running_loop().time
        self.engine = Engine(
            cast(list[Lane], self.lanes),
            cast(Ledger, self.ledger),
            observer=self.observe,
            clock=clock,
            wall=lambda: 1.8e9 + clock(),
            rng=Random(self.seed),
            **{"ahead": None, **options},
        )

    def now(self) -> float:
        """Seconds since the run began."""
        return asyncio.get_running_loop().time() - self.began

    def requests_for(self, account: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.account == account and sent.purpose == "usage"]

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Result:
    """How a run ended, after `seconds`."""

    stop: StopRun | None
    seconds: float


Script = Callable[[World], Any]


def harvest(world: World, *, script: Script | None = None, limit: float = 20_000.0, **options: Any) -> Result:
    """Run the engine over the world, on a virtual clock. `script` is called once the parts are made.

    Asserts what holds for any run: it ends within `limit` seconds, leaves no task behind, and reports
    each account that is in the ledger, once.
    """

    async def main() -> Result:
        world.make(**options)
        if script is not None:
            script(world)
        before = asyncio.all_tasks()
        async with asyncio.timeout(limit):
            stop = await world.engine.run()
        left = [task for task in asyncio.all_tasks() - before if task.get_name() != "script"]
        assert not left, f"tasks are left behind: {left}"
        assert world.engine.in_flight == 0
        return Result(stop, world.now())

    result: Result = run(main(), VirtualLoop(seed=world.seed))
    settled = [event.account_id for event in world.of(AccountSettled)]
    assert len(settled) == len(set(settled))
    earlier = {s.account.id for s in world.settled_earlier.values()}
    assert set(settled) == set(world.ledger.outcomes()) - earlier
    complete = len(world.ledger.settled) == world.accounts
    assert complete if result.stop is None else not (complete and world.sent), repr(result.stop)
    return result
