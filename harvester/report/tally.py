"""The figures of one run as they grow: typed counters, fed by events, and what a run did over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, NamedTuple

from harvester import events
from harvester.events import AccountSettled, RequestEnded
from harvester.model import AccountOutcome, Quota, Reason
from harvester.report.histogram import Histogram

_OF_ACCOUNTS: Final = frozenset({"usage", "probe"})
"""Purposes of the requests for accounts' usage: latency and the share of the quota are theirs."""
_TOKEN: Final = "token"  # noqa: S105  # a purpose
"""Goes to the token endpoint, which no lane's quota covers."""
_MOST_SAMPLES: Final = 180
"""As many as a chart can show; even, as thinning keeps every second one. 64 s apart after three hours."""


class Sample(NamedTuple):
    """Totals since the run began. `granted` is as in `LaneFigures`; `paused` is in seconds."""

    requests: int = 0
    granted: int = 0
    throttled: int = 0
    settled: int = 0
    failed: int = 0
    rows: int = 0
    paused: float = 0.0


@dataclass(slots=True)
class Timeline:
    """Samples at `step`, `2·step`, … seconds after the start: few, however long the run takes."""

    step: float = 1.0
    samples: list[Sample] = field(default_factory=list)

    @property
    def due(self) -> float:
        """When the next sample must be taken."""
        return (len(self.samples) + 1) * self.step

    def add(self, sample: Sample) -> None:
        """Add the sample that is due."""
        self.samples.append(sample)
        if len(self.samples) == _MOST_SAMPLES:
            # The k-th sample belongs to time k·step, counted from 1: the even ones stay.
            self.samples = self.samples[1::2]
            self.step *= 2

    def increments(self, last: Sample) -> list[Sample]:
        """What each step added, and what the unfinished one did until `last`."""
        ends = [*self.samples, last]
        return [
            Sample._make(after - before for before, after in zip(begin, end, strict=True))
            for begin, end in zip([Sample(), *ends[:-1]], ends, strict=True)
        ]


@dataclass(slots=True)
class LaneFigures:
    """What one lane did. Times are seconds of the tally's clock.

    `granted` counts the requests for accounts that the tenant let through, `rate` is the adapted rate in
    requests a second (None: as configured).
    """

    requests: int = 0
    granted: int = 0
    throttled: int = 0
    rate: float | None = None
    paused_until: float = 0.0
    _paused: float = 0.0

    def pause(self, now: float, seconds: float) -> None:
        """A pause of `seconds` begins `now`. What another pause covers already adds nothing."""
        until = max(self.paused_until, now + seconds)
        self._paused += until - max(self.paused_until, now)
        self.paused_until = until

    def paused_seconds(self, now: float) -> float:
        """Seconds paused until `now`: of a pause that is still running, the part that has passed."""
        return self._paused - max(0.0, self.paused_until - now)


@dataclass(slots=True)
class Tally:
    """Everything counted in one run. Times are seconds of `clock`, a monotonic one."""

    clock: Callable[[], float] = monotonic
    started: float = field(init=False)
    ended: float | None = None

    # requests: every one that was sent, whoever sent it
    requests: int = 0
    requests_by_purpose: Counter[str] = field(default_factory=Counter)
    unsuccessful_by_reason: Counter[str] = field(default_factory=Counter)
    """Requests without a good answer, by a word of `model.Reason` or `canceled`."""
    throttled: int = 0
    """Requests answered with 429."""
    bytes_received: int = 0
    latency: Histogram = field(default_factory=Histogram)
    """Of the requests for accounts that were answered with anything but 429."""
    lanes: dict[str, LaneFigures] = field(default_factory=dict)
    first_sent: float | None = None
    last_ended: float = 0.0
    """When the first request for an account was sent and the last one ended."""

    # accounts settled in this run
    outcomes: dict[AccountOutcome, int] = field(default_factory=lambda: dict.fromkeys(AccountOutcome, 0))
    rows: int = 0
    failures_by_reason: Counter[str] = field(default_factory=Counter)
    retries_by_reason: Counter[str] = field(default_factory=Counter)

    # the list, None until it was read to its end
    distinct: int | None = None
    repeated: int = 0
    settled_earlier: int = 0

    # tokens, the tenant as a whole
    tokens: int = 0
    token_failing: dict[str, str] = field(default_factory=dict)
    """Clients that cannot get a token at the moment, and why."""
    outages: int = 0
    outage_since: float | None = None
    next_probe: float | None = None

    commits: int = 0
    commit_seconds: float = 0.0
    warnings_by_code: Counter[str] = field(default_factory=Counter)
    stopping: bool = False

    timeline: Timeline = field(default_factory=Timeline)
    _outage_seconds: float = 0.0
    _dropped: dict[str, float] = field(default_factory=dict)
    """When lanes and clients were dropped, by label."""
    _due: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._due = self.started + self.timeline.due

    def observe(self, event: events.Event) -> None:  # noqa: C901, PLR0912  # one line for each event
        """Count one event: the most frequent first, as there is one for each request and each account."""
        match event:
            case RequestEnded():
                self._request_ended(event)
            case AccountSettled():
                self._account_settled(event)
            case events.RetryScheduled():
                self.retries_by_reason[event.reason] += 1
            case events.Committed():
                self.commits += 1
                self.commit_seconds += event.seconds
            case events.LanePaused():
                self.catch_up(self.clock())
                self._lane(event.lane).pause(self.clock(), event.seconds)
            case events.RateChanged():
                self._lane(event.lane).rate = event.per_second
            case events.LaneDropped():
                self._dropped[event.lane] = self.clock()
            case events.ClientDropped():
                self._dropped[event.client] = self.clock()
                self.token_failing.pop(event.client, None)
            case events.TokenRenewed():
                self.tokens += 1
                self.token_failing.pop(event.client, None)
            case events.TokenFailed():
                self.token_failing[event.client] = event.detail
            case events.OutageBegan():
                self.outages += 1
                self.outage_since, self.next_probe = self.clock(), None
            case events.OutageProbed():
                self.next_probe = self.clock() + event.next_in
            case events.OutageEnded():
                self._outage_seconds += event.seconds
                self.outage_since = self.next_probe = None
            case events.ListRead():
                self.distinct, self.repeated = event.distinct, event.repeated
                self.settled_earlier = event.settled_earlier
            case events.Resumed() if self.distinct is None:
                self.settled_earlier = event.settled
            case events.Warned():
                self.warnings_by_code[event.code] += 1
            case events.Stopping():
                self.stopping = True

    def _request_ended(self, event: RequestEnded) -> None:
        label, purpose, status, reason, seconds, body_bytes = event
        now = self.clock()
        if now >= self._due:
            self.catch_up(now)
        self.requests += 1
        self.bytes_received += body_bytes
        self.requests_by_purpose[purpose] += 1
        if reason is not None:
            self.unsuccessful_by_reason[reason] += 1
        if purpose == _TOKEN:
            return
        lane = self.lanes.get(label) or self._lane(label)
        lane.requests += 1
        throttled = reason == Reason.THROTTLED
        if throttled:
            self.throttled += 1
            lane.throttled += 1
        if purpose in _OF_ACCOUNTS:
            if self.first_sent is None:
                self.first_sent = now - seconds
            self.last_ended = now
            if status is not None and not throttled:
                self.latency.add(seconds)
            if not throttled and reason != Reason.CONNECT:
                lane.granted += 1

    def _account_settled(self, event: AccountSettled) -> None:
        _, outcome, rows, reason, _ = event
        self.outcomes[outcome] += 1
        self.rows += rows
        if outcome is AccountOutcome.FAILED:
            self.failures_by_reason[reason or "unknown"] += 1

    def _lane(self, label: str) -> LaneFigures:
        return self.lanes.setdefault(label, LaneFigures())

    def finish(self) -> None:
        """The run has ended: from now on every figure is that of this moment."""
        if self.ended is None:
            self.ended = self.clock()
            self.catch_up(self.ended)

    def catch_up(self, now: float) -> None:
        """Take every sample due by `now`: silence leaves equal ones, so that the points stay even."""
        while self._due <= now:
            self.timeline.add(self.sample(self._due))
            self._due = self.started + self.timeline.due

    # --- derived figures

    @property
    def now(self) -> float:
        """The present time, or that of the end."""
        return self.clock() if self.ended is None else self.ended

    @property
    def seconds(self) -> float:
        """How long the run has taken, by the monotonic clock."""
        return self.now - self.started

    @property
    def settled(self) -> int:
        """Accounts settled in this run, failed ones included."""
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        """Accounts that harvester gave up on in this run."""
        return self.outcomes[AccountOutcome.FAILED]

    @property
    def retries(self) -> int:
        """Accounts requested again after a fault."""
        return self.retries_by_reason.total()

    @property
    def granted(self) -> int:
        """Requests for accounts that the tenant let through: they count against the quota."""
        return sum(lane.granted for lane in self.lanes.values())

    @property
    def granted_per_second(self) -> float | None:
        """The same per second, from the first to the last; None where that is not even a second."""
        seconds = 0.0 if self.first_sent is None else self.last_ended - self.first_sent
        return self.granted / seconds if seconds >= 1 else None

    def lane_dropped(self, label: str) -> bool:
        """Whether the lane, or its client, is not used any more."""
        return self._dropped_at(label) is not None

    def _dropped_at(self, label: str) -> float | None:
        # A lane is called as its client, or `client/version`.
        return self._dropped.get(label, self._dropped.get(label.rpartition("/")[0]))

    def permitted(self, label: str, quota: Quota | None) -> float | None:
        """Requests a second that a lane with this quota may send, as adapted; None without a quota."""
        lane = self.lanes.get(label)
        if quota is None or lane is None or lane.rate is None:
            return None if quota is None else quota.per_second
        return lane.rate

    def paused_seconds(self) -> float:
        """Seconds that lanes were paused, summed over the lanes."""
        return self.sample(self.now).paused

    def outage_seconds(self) -> float:
        """Seconds the tenant was not reachable, an outage that is still going on included."""
        current = 0.0 if self.outage_since is None else self.now - self.outage_since
        return self._outage_seconds + current

    def quota_share(self, quotas: Mapping[str, Quota | None]) -> float | None:
        """What the tenant granted as a share of what `quotas` (one per lane) allowed in the same time.

        The time is that from the first request for an account to the last, for a dropped lane until it
        was dropped, and at least one period of the quota. None where a lane has no quota, and before the
        first request.
        """
        if self.first_sent is None or not quotas:
            return None
        allowed = 0.0
        for label, quota in quotas.items():
            if quota is None:
                return None
            end = self._dropped_at(label)
            seconds = (self.last_ended if end is None else end) - self.first_sent
            allowed += quota.per_second * max(seconds, quota.seconds)
        return self.granted / allowed

    def sample(self, now: float) -> Sample:
        """The totals as they are."""
        paused = sum(lane.paused_seconds(now) for lane in self.lanes.values())
        totals = (self.requests, self.granted, self.throttled, self.settled, self.failed, self.rows)
        return Sample(*totals, paused)
