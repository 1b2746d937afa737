"""Which account is next: the list, accounts to be requested again, and those that wait for something.

Every account that is begun and not settled is in exactly one place: in flight, to be requested again at
once, later or behind others, held with its client, or exhausted by the circuit breaker.
The list itself stays in the ledger; a page of it is kept here. Pure: the clock is passed in.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from itertools import count
from typing import Final, TypeAlias

from harvester.engine.circuit_breaker import CircuitBreaker
from harvester.engine.policy import OTHERS_ANSWERED
from harvester.engine.standing import MOST_MISSING, ClientStanding, LaneStanding, Standings
from harvester.engine.work import Kind, Work
from harvester.model import Account
from harvester.tenant.paging import Pages
from harvester.tenant.usages import UsageQuery

PAGE: Final = 1000
"""Accounts read from the ledger at once: some 100 kB."""
_LOW: Final = PAGE // 2
"""When to read the next page: half of one lasts longer than the query."""
MOST_BEGUN: Final = 5000
"""Accounts begun and not settled. Beyond it retries have piled up, and no new ones are begun."""

Source: TypeAlias = Callable[[], Work]
"""Hands out the work that was found."""


class Stall(Enum):
    """Why nothing moves, and nothing will by itself."""

    NO_LANE = auto()
    """All lanes were dropped."""
    LANES = auto()
    """There is work, but no lane that may take it can send: no token, or a pause."""
    EXHAUSTED = auto()
    """Accounts without attempts left wait for a sign of life."""
    DENIED = auto()
    """Accounts that were denied wait for a decision about their client."""
    READER = auto()
    """The reader of a live output is slow: waited for without bound, since the tenant has no part in it."""
    LOST = auto()
    """An account is begun and nowhere to be found: a bug."""


@dataclass(slots=True, eq=False, repr=False)
class Scheduler:
    """Hands out work, takes it back, and knows when everything is settled or nothing moves any more."""

    standings: Standings
    breaker: CircuitBreaker
    query: UsageQuery
    ahead: int | None
    """How many positions the reader of a live output may be behind."""
    reader_position: int = -1
    """It has emitted everything up to here."""
    closed: bool = False
    """Whether nothing more is handed out."""
    held: dict[ClientStanding, list[Work]] = field(default_factory=dict)
    known_good: str | None = None
    """An account answered with rows, in this run or an earlier one: whoever has the right gets it."""
    answered_account: str | None = None
    """An account answered without rows, or refused, in this run or an earlier one: a tenant that is
    alive does so again."""
    others_answered: int = 0
    """Accounts answered, be it with a refusal, but not with 429 or a fault."""
    in_flight: int = 0
    begun: int = 0
    """Accounts begun and not settled."""
    started: int = 0
    list_ended: bool = False
    _fresh: deque[Account] = field(default_factory=deque)
    _again: deque[Work] = field(default_factory=deque)
    _throttled: deque[Work] = field(default_factory=deque)
    _checks: dict[ClientStanding, Work] = field(default_factory=dict)
    _due: list[tuple[float, int, Work]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)
    _comparing: bool = False
    _probes: int = 0

    # --- the list

    @property
    def wants_page(self) -> bool:
        """Whether the next page of the list should be read."""
        return not self.list_ended and len(self._fresh) <= _LOW

    def add_page(self, accounts: Sequence[Account]) -> None:
        """Take the next page of the list; an empty one is its end."""
        self._fresh.extend(accounts)
        self.list_ended = not accounts

    @property
    def finished(self) -> bool:
        """Whether every account on the list is settled."""
        return self.list_ended and not self._fresh and not self.begun

    # --- taking

    def has_work(self, lane: LaneStanding, now: float) -> bool:
        """Whether there is work for the lane."""
        return self._source(lane, now) is not None

    def take(self, lane: LaneStanding, now: float) -> Work | None:
        """The next work for the lane, if there is any; it is in flight from now on."""
        source = self._source(lane, now)
        if source is None:
            return None
        self.in_flight += 1
        lane.in_flight += 1
        return source()

    def _source(self, lane: LaneStanding, now: float) -> Source | None:
        """Where the lane's next work comes from."""
        if self.closed:
            return None
        if not self.breaker.lets_through(lane.index):
            return self._probe_source(lane) if self.breaker.probe_due(lane.index, now) else None
        if self._checks and self._check_for(lane):
            return partial(self._checks.pop, lane.client)
        return None if lane.client.on_trial else self._account_source(lane)

    def _account_source(self, lane: LaneStanding) -> Source | None:
        if self._again and (work := _first(self._again, lane)) is not None:
            return partial(_taken, self._again, work)
        throttled = _first(self._throttled, lane) if self._throttled else None
        if throttled is not None and self._is_ready(throttled):
            return partial(_taken, self._throttled, throttled)
        if self._may_begin(lane):
            return self._begin
        return None if throttled is None else self._leftover_source(lane, throttled)

    def _may_begin(self, lane: LaneStanding) -> bool:
        if not self._fresh or self.begun >= MOST_BEGUN or lane.version.missing >= MOST_MISSING:
            return False
        return self.ahead is None or not self._reader_is_behind()

    def _reader_is_behind(self) -> bool:
        """Whether the next account of the list must wait for the reader of a live output."""
        if self.ahead is None or not self._fresh:
            return False
        return self._fresh[0].position > self.reader_position + self.ahead

    def _begin(self) -> Work:
        work = Work(self._fresh.popleft(), Pages(self.query), ordinal=self.started)
        self.started += 1
        self.begun += 1
        return work

    def _check_for(self, lane: LaneStanding) -> bool:
        work = self._checks.get(lane.client)
        return work is not None and not work.avoid & lane.bit

    # --- accounts that were throttled

    def _is_ready(self, work: Work) -> bool:
        """Whether its turn has come: enough others were answered since its last 429."""
        return self.others_answered - (work.throttled_at or 0) >= OTHERS_ANSWERED

    def _leftover_source(self, lane: LaneStanding, work: Work) -> Source | None:
        """Only throttled accounts are left: one that was answered takes the part of the others.

        A lane that is not proven leaves both to those that are: what it is told says nothing of them.
        """
        if self._comparing or (not lane.proven and any(one.proven for one in self.standings.live)):
            return None
        other = self.known_good or self.answered_account
        if work.compared or other is None:
            return partial(_taken, self._throttled, work)
        return partial(self._compare, work, other)

    def _compare(self, work: Work, other: str) -> Work:
        work.compared = self._comparing = True
        return self._request_only(Kind.COMPARISON, other)

    def compared(self, *, answered: bool) -> None:
        """Another account was requested while some are throttled; its answer counts for ten."""
        self._comparing = False
        if answered:
            self.others_answered += OTHERS_ANSWERED

    # --- probes and checks

    def _request_only(self, kind: Kind, account_id: str) -> Work:
        """A request whose answer is not stored."""
        return Work(Account(-1, account_id), Pages(self.query), kind)

    def _probe_source(self, lane: LaneStanding) -> Source | None:
        circuit = self.breaker.deciding(lane.index)
        source = self._probe_candidate(lane)

        def probe(source: Source) -> Work:
            circuit.probe = source()
            return circuit.probe

        return None if source is None else partial(probe, source)

    def _probe_candidate(self, lane: LaneStanding) -> Source | None:
        """What to probe with: an account that was answered before says most; one that has faulted, least."""
        if self.known_good is not None:
            return partial(self._request_only, Kind.PROBE, self.known_good)
        if self._may_begin(lane):
            return self._begin
        for works in (self._again, self._throttled):
            if (work := _first(works, lane)) is not None:
                return partial(_taken, works, work)
        exhausted = [work.account.id for _, work in self.breaker.exhausted()]
        return partial(self._probe_exhausted, exhausted) if exhausted else None

    def _probe_exhausted(self, exhausted: Sequence[str]) -> Work:
        self._probes += 1
        known = self.answered_account or exhausted[self._probes % len(exhausted)]
        return self._request_only(Kind.PROBE, known)

    def check(self, client: ClientStanding, *, avoid: int = 0) -> None:
        """Request the known-good account on a lane of `client`, before anything else."""
        assert self.known_good is not None  # noqa: S101  # for the type checker: the policy has looked
        work = self._request_only(Kind.CHECK, self.known_good)
        work.client, work.avoid = client, avoid
        client.checking = True
        self._checks[client] = work

    # --- what was in flight

    def landed(self, lane: LaneStanding) -> None:
        """A request of the lane ended."""
        self.in_flight -= 1
        lane.in_flight -= 1

    def answered(self, work: Work) -> None:
        """Count an account that was answered: once."""
        if not work.counted:
            work.counted = True
            self.others_answered += 1

    def again(self, work: Work) -> None:
        """Request `work` as soon as possible, on a lane that may."""
        if work.client is not None:
            self._checks[work.client] = work
            self._readmit(work, work.client)
        else:
            if work.avoid and not self.standings.others(work.avoid):
                work.avoid = 0
            self._again.append(work)

    def later(self, work: Work, due: float) -> None:
        """Request `work` again at the time `due`."""
        heapq.heappush(self._due, (due, next(self._order), work))

    def last(self, work: Work) -> None:
        """Request `work` again once ten others have been answered, or when nothing else is left."""
        work.throttled_at = self.others_answered
        work.compared = False
        self._throttled.append(work)

    def hold(self, client: ClientStanding, work: Work) -> None:
        """Keep `work` until it is decided about `client`."""
        self.held.setdefault(client, []).append(work)

    def release(self, client: ClientStanding) -> list[Work]:
        """The accounts held for `client`, which is decided about; it needs no check any more."""
        client.checking = False
        self._checks.pop(client, None)
        return self.held.pop(client, [])

    def settled(self) -> None:
        """An account that was begun is settled."""
        self.begun -= 1

    # --- time

    @property
    def next_due(self) -> float | None:
        """When the next account is due to be requested again."""
        return self._due[0][0] if self._due else None

    def release_due(self, now: float) -> None:
        """Make what is due available."""
        while self._due and self._due[0][0] <= now:
            self.again(heapq.heappop(self._due)[2])

    # --- what is left

    def lane_dropped(self) -> None:
        """A lane is no longer used: what only it could have taken is left to the lanes that refused it."""
        for work in (*self._again, *self._throttled):
            if not self.standings.others(work.avoid):
                work.avoid = 0
        for client, work in self._checks.items():
            self._readmit(work, client)

    @staticmethod
    def _readmit(work: Work, client: ClientStanding) -> None:
        """Let a check be sent on any lane of its client again, if none is left that it has not tried."""
        if not any(lane.live and not work.avoid & lane.bit for lane in client.lanes):
            work.avoid = 0

    def stalled(self, now: float) -> Stall | None:
        """Why nothing moves any more; None if something does, or will by itself."""
        if self.in_flight or self.finished or (self.wants_page and not self._fresh):
            return None
        live = self.standings.live
        if not live:
            return Stall.NO_LANE
        able = self.able(now)
        if able:
            return Stall.LANES if all(lane.lane.waiting_for is not None for lane in able) else None
        probed = self.breaker.next_probe(now) is not None and not self.breaker.undecided()
        return None if self._due or probed else self._waiting()

    def able(self, now: float) -> list[LaneStanding]:
        """The lanes in use for which there is work."""
        return [lane for lane in self.standings.live if self._source(lane, now) is not None]

    def _waiting(self) -> Stall:
        if any(True for _ in self.breaker.exhausted()):
            return Stall.EXHAUSTED
        if self.undecided() is not None:
            return Stall.DENIED
        return Stall.READER if self._reader_is_behind() else Stall.LOST

    def undecided(self) -> ClientStanding | None:
        """A client that accounts are held for, or that gets none until it is decided about."""
        on_trial = (lane.client for lane in self.standings.live if lane.client.on_trial)
        return next(iter(self.held), None) or next(on_trial, None)


def _first(works: Iterable[Work], lane: LaneStanding) -> Work | None:
    """The first of the accounts that the lane may request."""
    return next((work for work in works if not work.avoid & lane.bit), None)


def _taken(works: deque[Work], work: Work) -> Work:
    works.remove(work)
    return work
