"""Gives work to the lanes, and carries out what the policy decides about each outcome.

Every method is one synchronous step, and leaves everything consistent. What ends the run is left in
`stopping`, for the engine to see to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import assert_never

from harvester.engine import policy
from harvester.engine.access import Access
from harvester.engine.circuit_breaker import CircuitBreaker, ProbeFailed
from harvester.engine.policy import Again, Decision, Exhaust, Fail, Hold, Last, OtherLane, Retry, Stop
from harvester.engine.recorder import Recorder
from harvester.engine.scheduler import Scheduler, Stall
from harvester.engine.standing import LaneStanding, Standings
from harvester.engine.work import Kind, Work, failure_of
from harvester.errors import InternalError, StopRun
from harvester.events import Observer, OutageBegan, OutageEnded, OutageProbed, RetryScheduled, Warned
from harvester.model import (
    AccountOutcome,
    Answered,
    Fault,
    Harvested,
    NotSent,
    Outcome,
    Refused,
    Throttled,
    TokenRejected,
)
from harvester.tenant.paging import Contradiction, Pages, Progress
from harvester.tenant.request import Request, Unanswered
from harvester.tenant.usages import Page, UsageQuery, usage_request


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Conductor:
    """Between the workers, who send, and scheduler and recorder, who keep."""

    standings: Standings
    scheduler: Scheduler
    breaker: CircuitBreaker
    access: Access
    recorder: Recorder
    attempts: int
    max_failures: int | None
    check_list: bool
    """Whether it may still turn out that the list is not one of account IDs: none was answered."""
    query: UsageQuery
    observer: Observer
    clock: Callable[[], float]
    wall: Callable[[], float]
    rng: Random
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the engine should look: nothing is in flight, something is due earlier, the run ends."""
    work_arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when workers that found no work should look again."""
    page_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the next page of the list should be read."""
    stopping: StopRun | None = None
    """Why the run ends, if it does."""
    failing_since: float | None = None
    """Since when there has been trouble, and no useful answer."""
    last_trouble: Fault | Throttled | None = None
    _failed: int = 0
    _missing: int = 0
    _warned: bool = False

    # --- around a request

    def has_work(self, lane: LaneStanding) -> bool:
        """Whether there is anything for the lane to send."""
        return self.scheduler.has_work(lane, self.clock())

    def take(self, lane: LaneStanding) -> Work | None:
        """The next work for the lane, if there is any."""
        work = self.scheduler.take(lane, self.clock())
        if self.scheduler.wants_page:
            self.page_wanted.set()
        return work

    def request(self, work: Work, lane: LaneStanding) -> Request[Page]:
        """The next request of `work` on `lane`."""
        return usage_request(
            work.account.id,
            work.pages.offset,
            api_version=lane.lane.api_version,
            query=self.query,
            purpose="usage" if work.kind is Kind.ACCOUNT else "probe",
        )

    def handle(self, lane: LaneStanding, work: Work, outcome: Outcome[Page]) -> None:
        """See to the consequences of a request that ended."""
        self.scheduler.landed(lane)
        if isinstance(outcome, Answered):
            self._answered(lane, work, outcome)
        elif not isinstance(outcome, NotSent):
            probing = not self.breaker.lets_through(lane.index)
            outcome = policy.weighed(outcome, lane, probing=probing)
            if isinstance(outcome, (Fault, Throttled)):
                self._unanswered(lane, work, outcome)
            else:
                self._refused(lane, work, outcome)
        if work.kind is Kind.COMPARISON:
            self.scheduler.compared(answered=isinstance(outcome, (Answered, Refused)))
        if not lane.proven and lane.live:
            self.access.judge(lane)
        self.look()

    def canceled(self, lane: LaneStanding, work: Work) -> None:
        """The request of `work` was canceled, since the run ends."""
        self.scheduler.landed(lane)
        self.breaker.told_nothing(work)

    def look(self) -> None:
        """Something may have changed: wake workers that wait for work, and the engine if need be."""
        self.work_arrived.set()
        if not self.scheduler.in_flight:
            self.changed.set()

    # --- answers

    def _answered(self, lane: LaneStanding, work: Work, outcome: Answered[Page]) -> None:
        self._alive(lane, work, outcome.sent_at)
        if not lane.proven or work.missing_on:
            self._fail_all(self.access.answered(lane, work))
        if work.kind is not Kind.ACCOUNT:
            return
        self.check_list = False
        result = work.pages.add(outcome.value)
        if result is Progress.COMPLETE:
            self._harvested(lane, work)
        elif isinstance(result, Contradiction):
            self._contradicted(lane, work, result)
        else:
            work.progressed()
            self.scheduler.again(work)

    def _alive(self, lane: LaneStanding, work: Work, sent_at: float) -> None:
        """The tenant gave an answer, and not 429."""
        self.failing_since = self.last_trouble = None
        self.scheduler.answered(work)
        breaker = self.breaker
        outage_began = breaker.tenant.suspected_at if breaker.tenant.open else None
        exhausted = breaker.alive(lane.index, sent_at)
        self._fail_all(exhausted.failed)
        for spared in exhausted.spared:
            self.scheduler.again(spared)
        if outage_began is not None and breaker.tenant.closed:
            self.observer(OutageEnded(self.clock() - outage_began))

    def _harvested(self, lane: LaneStanding, work: Work) -> None:
        rows = work.pages.encode()
        account = work.account
        if rows.rows:
            outcome = AccountOutcome.HARVESTED
            self.scheduler.known_good = account.id
            if account.unreported:
                self._warn_of_rows(account.id)
        else:
            self.scheduler.answered_account = account.id
            outcome = AccountOutcome.UNREPORTED if account.unreported else AccountOutcome.EMPTY
        self.recorder.put(Harvested(account, outcome, rows, lane.lane.label, self.wall()))
        self._settled(work)

    def _contradicted(self, lane: LaneStanding, work: Work, found: Contradiction) -> None:
        """Pages that contradict each other: the tenant is alive, and the account starts over."""
        fault = Fault(self.clock(), found.reason, found.detail, status=200)
        work.pages = Pages(self.query)
        work.last = fault
        work.attempts += 1
        decision = self._decide(work, fault, lane)
        self._carry_out(lane, work, fault, Fail() if isinstance(decision, Exhaust) else decision)

    def _warn_of_rows(self, account_id: str) -> None:
        if not self._warned:
            self._warned = True
            problem = f"account {account_id} has usage rows, although its source is said to report no usage"
            hint = "its rows are kept; status and rows of the source contradict each other"
            self.observer(Warned("unreported_with_rows", problem, hint))

    # --- refusals and faults

    def _refused(self, lane: LaneStanding, work: Work, outcome: Refused | TokenRejected) -> None:
        if isinstance(outcome, Refused) or not lane.client.proven:
            self._alive(lane, work, outcome.sent_at)  # that a token has expired says nothing
        self._fail_all(self.access.refused(lane, work, outcome))
        if isinstance(outcome, Refused):
            self.scheduler.answered_account = work.account.id
        self._consequence(lane, work, outcome)

    def _unanswered(self, lane: LaneStanding, work: Work, outcome: Fault | Throttled) -> None:
        now = self.clock()
        self.last_trouble = outcome
        self.failing_since = now if self.failing_since is None else self.failing_since
        if isinstance(outcome, Throttled):
            self.breaker.told_nothing(work)
        elif (failed := self.breaker.faulted(lane.index, work, outcome, now)) is not None:
            self._probe_failed(failed, outcome)
        if isinstance(outcome, Throttled) or outcome.retry_after is not None:
            self.recorder.save_soon()  # the pause must outlive a kill
            self.changed.set()  # and may be longer than the run
        self._consequence(lane, work, outcome)

    def _consequence(self, lane: LaneStanding, work: Work, outcome: Unanswered) -> None:
        work.last = outcome
        if work.kind is Kind.ACCOUNT:
            self._carry_out(lane, work, outcome, self._decide(work, outcome, lane))
        elif work.kind is Kind.CHECK:
            self.access.checked(lane, work, outcome)

    def _probe_failed(self, failed: ProbeFailed, fault: Fault) -> None:
        self.changed.set()
        for work in failed.refunded:
            self.scheduler.again(work)
        if failed.lane is None:
            if failed.outage_began:
                self.observer(OutageBegan(fault.detail))
            self.observer(OutageProbed(fault.detail, failed.next_in))
        elif failed.outage_began:
            label = self.standings.lanes[failed.lane].lane.label
            problem = f"{label} fails while others work ({fault.detail})"
            self.observer(Warned("lane_fails", problem, "its accounts go to the others until it works again"))

    def _decide(self, work: Work, outcome: Unanswered, lane: LaneStanding) -> Decision:
        known, others = self.standings, self.scheduler.others_answered
        return policy.decide(
            work, outcome, lane, known, attempts=self.attempts, others_answered=others, rng=self.rng
        )

    # --- decisions

    def _carry_out(self, lane: LaneStanding, work: Work, outcome: Unanswered, decision: Decision) -> None:
        match decision:
            case Again():
                self.scheduler.again(work)
            case Retry(delay):
                self._retry(work, outcome, delay)
            case Last(charged):
                work.attempts += charged
                self.scheduler.last(work)
            case Exhaust():
                self.breaker.exhaust(lane.index, work, self.clock())
            case Hold():
                self.access.hold(lane, work)
            case OtherLane(avoid):
                self._other_lane(lane, work, outcome, avoid)
            case Fail():
                work.attempts += isinstance(outcome, Throttled)
                self._fail(work)
            case Stop(why):
                self.stop(why)
            case _:
                assert_never(decision)

    def _retry(self, work: Work, outcome: Unanswered, delay: float) -> None:
        due = self.clock() + delay
        if self.scheduler.next_due is None or due < self.scheduler.next_due:
            self.changed.set()
        self.scheduler.later(work, due)
        if isinstance(outcome, Fault):
            event = RetryScheduled(work.account.id, outcome.reason, work.attempts, delay, outcome.detail)
            self.observer(event)

    def _other_lane(self, lane: LaneStanding, work: Work, outcome: Unanswered, avoid: int) -> None:
        if isinstance(outcome, Refused) and outcome.status in policy.MISSING:
            work.missing_on += (lane.version,)
            lane.version.missing += 1
        work.avoid = avoid
        self.scheduler.again(work)

    def stop(self, why: StopRun) -> None:
        """Hand out no more work: the run ends. The first reason counts."""
        if self.stopping is None:
            self.stopping = why
        self.scheduler.closed = True
        self.changed.set()

    # --- settled

    def _fail_all(self, works: Iterable[Work]) -> None:
        for work in works:
            self._fail(work)

    def _fail(self, work: Work) -> None:
        failure = failure_of(work, self.wall())
        self.recorder.put(failure)
        self._settled(work)
        self._failed += 1
        limit = self.max_failures
        if limit is not None and self._failed >= limit:
            self.stop(policy.too_many_failures(self._failed))
        elif self.check_list and failure.status in policy.MISSING and work.ordinal < policy.FIRST_ACCOUNTS:
            self._missing += 1
            if self._missing >= policy.FIRST_ACCOUNTS:
                self.stop(policy.wrong_list(work.account.id))

    def _settled(self, work: Work) -> None:
        for version in work.missing_on:
            version.missing -= 1
        self.scheduler.settled()

    # --- when nothing moves

    def resolve(self, stall: Stall) -> None:
        """Get things moving again; what waits for the tenant or for the reader is the engine's matter."""
        match stall:
            case Stall.NO_LANE:
                self.stop(self.access.denied or InternalError("no lane is left, and no client was dropped"))
            case Stall.EXHAUSTED:
                for index in {index for index, _ in self.breaker.exhausted()}:
                    self.breaker.suspect(index, self.clock())
            case Stall.DENIED:
                self.access.decide()
            case Stall.LOST:
                self.stop(InternalError(f"{self.scheduler.begun} accounts are lost between two steps"))
            case Stall.LANES | Stall.READER:
                return
            case _:
                assert_never(stall)
        self.look()
