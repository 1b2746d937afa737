"""The figures of one run as they grow: typed counters, fed by events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Final

from harvester.events import (
    AccountSettled,
    ClientDropped,
    Committed,
    Event,
    LaneDropped,
    LanePaused,
    ListRead,
    OutageBegan,
    OutageEnded,
    OutageProbed,
    RateChanged,
    RequestEnded,
    Resumed,
    RetryScheduled,
    Stopping,
    TokenFailed,
    TokenRenewed,
    Warned,
)
from harvester.model import AccountOutcome, FailureGroup, Quota, Reason
from harvester.report.histogram import Histogram
from harvester.report.observers import Handlers
from harvester.report.timeline import Sample, Timeline

_OF_ACCOUNTS: Final = frozenset({"usage", "probe"})
"""Purposes of the requests for accounts' usage: latency and the share of the quota are theirs."""
_TOKEN: Final = "token"  # noqa: S105  # a purpose
"""Goes to the token endpoint, which no lane's quota covers."""


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
    dropped_at: float | None = None
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
    """Everything counted in one run. Times are seconds of `clock`, a monotonic one.

    There is an event for each request and each account, so these two methods do as little as they can.
    """

    clock: Callable[[], float] = monotonic
    started: float = field(init=False)
    ended: float | None = None

    # requests: every one that was sent, whoever sent it
    requests: int = 0
    requests_by_purpose: dict[str, int] = field(default_factory=dict)
    unsuccessful_by_reason: dict[str, int] = field(default_factory=dict)
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
    failures: dict[str, FailureGroup] = field(default_factory=dict)
    retries_by_reason: dict[str, int] = field(default_factory=dict)

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
    warnings_by_code: dict[str, int] = field(default_factory=dict)
    stopping: bool = False

    timeline: Timeline = field(default_factory=Timeline)
    handlers: Handlers = field(init=False, repr=False)
    _outage_seconds: float = 0.0
    _dropped_clients: dict[str, float] = field(default_factory=dict)
    _due: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._due = self.started + self.timeline.due
        self.handlers = {
            RequestEnded: self._request_ended,
            AccountSettled: self._account_settled,
            RetryScheduled: self._retry_scheduled,
            LanePaused: self._lane_paused,
            RateChanged: self._rate_changed,
            LaneDropped: self._lane_dropped,
            ClientDropped: self._client_dropped,
            TokenRenewed: self._token_renewed,
            TokenFailed: self._token_failed,
            OutageBegan: self._outage_began,
            OutageProbed: self._outage_probed,
            OutageEnded: self._outage_ended,
            ListRead: self._list_read,
            Resumed: self._resumed,
            Committed: self._committed,
            Warned: self._warned,
            Stopping: self._stopping,
        }

    def observe(self, event: Event) -> None:
        """Count one event; `fan_out` calls the method for it directly."""
        method = self.handlers.get(type(event))
        if method is not None:
            method(event)

    def finish(self) -> None:
        """The run has ended: from now on every figure is that of this moment."""
        if self.ended is None:
            self.ended = self.clock()
            self.catch_up(self.ended)

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
        return sum(self.retries_by_reason.values())

    @property
    def granted(self) -> int:
        """Requests for accounts that the tenant let through: they count against the quota."""
        return sum(lane.granted for lane in self.lanes.values())

    @property
    def granted_per_second(self) -> float | None:
        """The same per second, from the first to the last; None where that is not even a second."""
        seconds = self.last_ended - (self.last_ended if self.first_sent is None else self.first_sent)
        return self.granted / seconds if seconds >= 1 else None

    def lane_dropped(self, label: str) -> bool:
        """Whether the lane, or its client, is not used any more."""
        return self._dropped_at(label) is not None

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

    def catch_up(self, now: float) -> None:
        """Take every sample due by `now`: silence leaves equal ones, so that the points stay even."""
        while self._due <= now:
            self.timeline.add(self.sample(self._due))
            self._due = self.started + self.timeline.due

    # --- events

    def _request_ended(self, event: RequestEnded) -> None:
        label, purpose, status, reason, seconds, body_bytes = event
        now = self.clock()
        if now >= self._due:
            self.catch_up(now)
        self.requests += 1
        self.bytes_received += body_bytes
        _count(self.requests_by_purpose, purpose)
        if reason is not None:
            _count(self.unsuccessful_by_reason, reason)
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
        account_id, outcome, rows, reason, detail = event
        self.outcomes[outcome] += 1
        self.rows += rows
        if outcome is AccountOutcome.FAILED:
            key = reason or "unknown"
            first = self.failures.get(key) or FailureGroup(0, account_id, detail)
            self.failures[key] = replace(first, count=first.count + 1)

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        _count(self.retries_by_reason, event.reason)

    def _lane(self, label: str) -> LaneFigures:
        return self.lanes.setdefault(label, LaneFigures())

    def _lane_paused(self, event: LanePaused) -> None:
        now = self.clock()
        self.catch_up(now)
        self._lane(event.lane).pause(now, event.seconds)

    def _rate_changed(self, event: RateChanged) -> None:
        self._lane(event.lane).rate = event.per_second

    def _lane_dropped(self, event: LaneDropped) -> None:
        self._lane(event.lane).dropped_at = self.clock()

    def _client_dropped(self, event: ClientDropped) -> None:
        self._dropped_clients[event.client] = self.clock()
        self.token_failing.pop(event.client, None)

    def _dropped_at(self, label: str) -> float | None:
        lane = self.lanes.get(label)
        if lane is not None and lane.dropped_at is not None:
            return lane.dropped_at
        # A lane is called as its client, or `client/version`.
        return self._dropped_clients.get(label, self._dropped_clients.get(label.rpartition("/")[0]))

    def _token_renewed(self, event: TokenRenewed) -> None:
        self.tokens += 1
        self.token_failing.pop(event.client, None)

    def _token_failed(self, event: TokenFailed) -> None:
        self.token_failing[event.client] = event.detail

    def _outage_began(self, _event: OutageBegan) -> None:
        self.outages += 1
        self.outage_since = self.clock()
        self.next_probe = None

    def _outage_probed(self, event: OutageProbed) -> None:
        self.next_probe = self.clock() + event.next_in

    def _outage_ended(self, event: OutageEnded) -> None:
        self._outage_seconds += event.seconds
        self.outage_since = self.next_probe = None

    def _list_read(self, event: ListRead) -> None:
        self.distinct = event.distinct
        self.repeated = event.repeated
        self.settled_earlier = event.settled_earlier

    def _resumed(self, event: Resumed) -> None:
        if self.distinct is None:
            self.settled_earlier = event.settled

    def _committed(self, event: Committed) -> None:
        self.commits += 1
        self.commit_seconds += event.seconds

    def _warned(self, event: Warned) -> None:
        _count(self.warnings_by_code, event.code)

    def _stopping(self, _event: Stopping) -> None:
        self.stopping = True


def _count(counts: dict[str, int], word: str) -> None:
    counts[word] = counts.get(word, 0) + 1
