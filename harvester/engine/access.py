"""Which clients, lanes and API versions may be used: what answers prove, what denials mean, what is dropped.

Carries out the policy's verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import assert_never

from harvester.engine import policy
from harvester.engine.circuit_breaker import CircuitBreaker
from harvester.engine.policy import Verdict
from harvester.engine.scheduler import Scheduler
from harvester.engine.standing import ClientStanding, LaneStanding, Standings, VersionStanding
from harvester.engine.work import Kind, Work
from harvester.errors import AccessDenied
from harvester.model import Fault, Refused, Throttled, TokenRejected
from harvester.tenant.request import Unanswered
from harvester.waiting import delay


@dataclass(slots=True, eq=False, repr=False)
class Access:
    """The standing of all clients and lanes, and the accounts held for those that are undecided."""

    standings: Standings
    scheduler: Scheduler
    breaker: CircuitBreaker
    attempts: int
    clock: Callable[[], float]
    rng: Random
    denied: AccessDenied | None = None
    """Why the client that was dropped last is not used any more."""
    _gone: set[ClientStanding] = field(default_factory=set)

    # --- what answers prove

    def answered(self, lane: LaneStanding, work: Work) -> list[Work]:
        """A good answer: client, lane and version may be used. Returns the held accounts that fail now."""
        for version in work.missing_on:
            if not version.proven:
                self._drop_version(version)
        lane.version.proven = True
        return [] if lane.proven else self._prove(lane)

    def refused(self, lane: LaneStanding, work: Work, refusal: Refused | TokenRejected) -> list[Work]:
        """A refusal: denials count against client and lane, others may be as good as an answer (as above)."""
        if isinstance(refusal, TokenRejected):
            work.rejections += not refusal.stale
            self._count_denial(lane.client, refusal)
        elif refusal.status == policy.FORBIDDEN:
            lane.denials += 1
            self._count_denial(lane.client, refusal)
        elif not lane.proven and (work.kind is Kind.CHECK or policy.proves(refusal, lane)):
            return self._prove(lane)
        return []

    @staticmethod
    def _count_denial(client: ClientStanding, denial: Refused | TokenRejected) -> None:
        client.denials += 1
        client.denial = denial

    def _prove(self, lane: LaneStanding) -> list[Work]:
        lane.proven = True
        if lane.client.proven:
            return []
        lane.client.proven = True
        return [work for work in self.scheduler.release(lane.client) if not self._has_other_lane(work)]

    def _has_other_lane(self, work: Work) -> bool:
        """Denied on a lane that is not proven, while another is: that one decides about the account."""
        lane = work.denied_on
        if lane is None or lane.proven or not self.standings.others(work.avoid | lane.bit):
            return False
        work.avoid |= lane.bit
        self.scheduler.again(work)
        return True

    # --- the access check

    def checked(self, lane: LaneStanding, work: Work, outcome: Unanswered) -> None:
        """The known-good account was requested on `lane`, to find out about its client."""
        client = lane.client
        if client.proven or not client.checking or client in self._gone:
            return
        if isinstance(outcome, Fault):
            self.scheduler.later(work, self.clock() + delay(work.attempts + 1, self.rng))
            work.attempts += 1
        elif isinstance(outcome, Throttled) or (
            isinstance(outcome, TokenRejected) and work.rejections < self.attempts
        ):
            self.scheduler.again(work)
        else:
            self._denied(lane, work)

    def _denied(self, lane: LaneStanding, work: Work) -> None:
        """Another lane of the client is asked, if there is one; if not, it has no right any more."""
        work.avoid |= lane.bit
        work.rejections = 0
        if any(other.live and not work.avoid & other.bit for other in lane.client.lanes):
            self.scheduler.again(work)
        else:
            self.drop_client(lane.client)

    def hold(self, lane: LaneStanding, work: Work) -> None:
        """`work` was denied on `lane`: keep it until it is decided about the client, if it is not yet."""
        work.denied_on = lane
        if lane.client in self._gone:
            self._leave_to_others(work)
        else:
            self.scheduler.hold(lane.client, work)

    # --- verdicts

    def judge(self, lane: LaneStanding) -> None:
        """Decide about a lane that is not proven, and about its client, once there is enough to go by."""
        found = policy.verdict(lane, known_good=self.scheduler.known_good is not None)
        if found is not None:
            self._carry_out(lane, found)

    def decide(self) -> None:
        """Nothing moves any more but what waits for a decision about a client: decide about the first one."""
        client = self.scheduler.undecided()
        if client is None:
            return
        found = policy.undecided(
            client,
            known_good=self.scheduler.known_good is not None,
            others_proven=any(lane.proven for lane in self.standings.live if lane.client is not client),
        )
        self._carry_out(client.lanes[0], found)

    def _carry_out(self, lane: LaneStanding, found: Verdict) -> None:
        match found:
            case Verdict.DROP_CLIENT:
                self.drop_client(lane.client)
            case Verdict.DROP_LANE:
                why = "the tenant answers 403 to everything, while another API version of the client works"
                self._drop_lanes([lane], why)
            case Verdict.CHECK:
                self.scheduler.check(lane.client)
            case Verdict.ASK_OTHERS:
                self._ask_others(lane.client)
            case _:
                assert_never(found)

    def _ask_others(self, client: ClientStanding) -> None:
        for work in self.scheduler.release(client):
            for lane in client.lanes:
                work.avoid |= lane.bit
            self.scheduler.again(work)

    # --- dropping

    def drop_client(self, client: ClientStanding) -> None:
        """Use the client no more, since it was denied everything; its accounts go to the others."""
        client.lanes[0].lane.client.drop(policy.access_denied(client))
        self.notice_drops()

    def notice_drops(self) -> None:
        """See to clients that were dropped, here or since the token endpoint refuses them."""
        for lane in self.standings.lanes:
            why, client = lane.lane.client.dropped, lane.client
            if why is not None and client not in self._gone:
                self._gone.add(client)
                self.denied = why
                for work in self.scheduler.release(client):
                    self._leave_to_others(work)
                self._leave(client.lanes)

    def _leave_to_others(self, work: Work) -> None:
        work.rejections = 0
        self.scheduler.again(work)

    def _drop_version(self, version: VersionStanding) -> None:
        """Another version has an account that this one says does not exist: it is not served."""
        lanes = [lane for lane in self.standings.live if lane.version is version]
        self._drop_lanes(
            lanes,
            f"the tenant does not serve API version {version.name}: it answers 404 for existing accounts",
        )

    def _drop_lanes(self, lanes: Sequence[LaneStanding], why: str) -> None:
        for lane in lanes:
            lane.lane.drop(f"{why}; its accounts go to the others")
        self._leave(lanes)

    def _leave(self, lanes: Sequence[LaneStanding]) -> None:
        """Give the accounts of lanes that were dropped to the others."""
        for lane in lanes:
            for work in self.breaker.drop(lane.index, self.clock()):
                self.scheduler.again(work)
        self.scheduler.lane_dropped()
