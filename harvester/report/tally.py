"""The figures of a run as they grow: typed counters, fed by events, never asked to show anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from harvester.events import (
    AccountSettled,
    ClientDropped,
    ClientPaused,
    Committed,
    Event,
    ListRead,
    OutageBegan,
    OutageEnded,
    OutageProbed,
    RateChanged,
    RequestEnded,
    Resumed,
    RetryScheduled,
    Stopping,
    TokenRenewed,
)
from harvester.model import Quota, Reason
from harvester.report.fan_out import Handlers
from harvester.report.histogram import Histogram
from harvester.report.timeline import Sample, Timeline


@dataclass(slots=True)
class ClientFigures:
    """What one client did. `rate` is its adapted pace in requests a second, None while as configured."""

    requests: int = 0
    throttled: int = 0
    paused_until: float = 0.0
    paused: float = 0.0
    rate: float | None = None
    dropped: bool = False

    def pause(self, now: float, seconds: float) -> None:
        """A pause of `seconds` from `now` on. One that another already covers adds nothing."""
        until = max(self.paused_until, now + seconds)
        self.paused += until - max(self.paused_until, now)
        self.paused_until = until

    def paused_seconds(self, now: float) -> float:
        """Seconds paused until `now`: of a pause that still runs, the part gone by."""
        return self.paused - max(0.0, self.paused_until - now)


@dataclass(slots=True)
class FailureGroup:
    """The accounts that failed for one reason, and the first of them as an example."""

    count: int
    account_id: str
    detail: str


@dataclass(slots=True)
class Tally:
    """Everything counted in one run. Times are seconds of `clock`, which begins where it will.

    It hears of each request and each account, so those two methods do the least they can.
    """

    clock: Callable[[], float] = monotonic
    started: float = field(init=False)

    # requests
    requests: int = 0
    throttled: int = 0
    unconnected: int = 0
    bytes_received: int = 0
    unsuccessful_by_reason: dict[str, int] = field(default_factory=dict)
    """Requests that brought no rows, by `model.Reason`."""
    latency: Histogram = field(default_factory=Histogram)
    """Of every request that was answered, but not with 429."""
    first_request: float | None = None
    last_request: float = 0.0
    clients: dict[str, ClientFigures] = field(default_factory=dict)

    # accounts
    settled: int = 0
    empty: int = 0
    failed: int = 0
    rows: int = 0
    retries: int = 0
    retries_by_reason: dict[str, int] = field(default_factory=dict)
    failures: dict[str, FailureGroup] = field(default_factory=dict)

    # the list
    distinct: int = 0
    repeated: int = 0
    finished_earlier: int = 0
    list_whole: bool = False

    # the tenant as a whole
    tokens: int = 0
    outages: int = 0
    outage_seconds: float = 0.0
    outage_since: float | None = None
    next_probe: float | None = None

    # the output
    commits: int = 0
    commit_seconds: float = 0.0
    stopping: bool = False

    timeline: Timeline = field(default_factory=Timeline)
    handlers: Handlers = field(init=False, repr=False)
    _due: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._due = self.started + self.timeline.due
        self.handlers = {
            RequestEnded: self._request_ended,
            AccountSettled: self._account_settled,
            RetryScheduled: self._retry_scheduled,
            ClientPaused: self._client_paused,
            RateChanged: self._rate_changed,
            TokenRenewed: self._token_renewed,
            ClientDropped: self._client_dropped,
            OutageBegan: self._outage_began,
            OutageProbed: self._outage_probed,
            OutageEnded: self._outage_ended,
            ListRead: self._list_read,
            Committed: self._committed,
            Resumed: self._resumed,
            Stopping: self._stopping,
        }

    def observe(self, event: Event) -> None:
        """Count one event. `fan_out` goes to the method at once instead."""
        hear = self.handlers.get(type(event))
        if hear is not None:
            hear(event)

    # what is derived

    @property
    def harvested(self) -> int:
        """Accounts of this run that had rows."""
        return self.settled - self.empty - self.failed

    @property
    def granted(self) -> int:
        """Requests that the tenant let through and so took from the quota."""
        return self.requests - self.throttled - self.unconnected

    def paused_seconds(self, now: float | None = None) -> float:
        """Seconds that clients were paused by 429 until `now`, summed over the clients."""
        moment = self.clock() if now is None else now
        return sum(client.paused_seconds(moment) for client in self.clients.values())

    def outage_total(self) -> float:
        """Seconds the tenant was away, an outage that still lasts included."""
        lasting = 0.0 if self.outage_since is None else self.clock() - self.outage_since
        return self.outage_seconds + lasting

    def quota_share(self, quotas: tuple[Quota | None, ...]) -> float | None:
        """The requests the tenant granted, as a share of what `quotas` (one a client) allowed meanwhile.

        Meanwhile is from the first answer to the last, but at least one period of the quota: a list that
        is done within one has that period's requests to use. None where a quota is off or `auto`, and
        before the first answer.
        """
        if self.first_request is None or not quotas:
            return None
        span = self.last_request - self.first_request
        allowed = 0.0
        for quota in quotas:
            if quota is None or quota.auto:
                return None
            allowed += quota.per_second * max(span, quota.seconds)
        return self.granted / allowed

    def sample(self, now: float) -> Sample:
        """The totals as they stand."""
        return Sample(
            self.requests, self.throttled, self.settled, self.failed, self.rows, self.paused_seconds(now)
        )

    def catch_up(self, now: float) -> None:
        """Take every sample that is due by `now`; a silence leaves equal ones, so that time stays even."""
        while self._due <= now:
            self.timeline.add(self.sample(self._due))
            self._due = self.started + self.timeline.due

    # who hears what

    def _request_ended(self, event: RequestEnded) -> None:
        name, _, reason, seconds, size = event
        now = self.clock()
        if now >= self._due:
            self.catch_up(now)
        self.last_request = now
        self.requests += 1
        self.bytes_received += size
        try:
            self.clients[name].requests += 1
        except KeyError:
            self._first_heard_of(name, now)
        if reason is None:
            self.latency.add(seconds)
        else:
            self._request_failed(event)

    def _first_heard_of(self, name: str, now: float) -> None:
        self._client(name).requests += 1
        if self.first_request is None:
            self.first_request = now

    def _request_failed(self, event: RequestEnded) -> None:
        reason = str(event.reason)
        _count(self.unsuccessful_by_reason, reason)
        if reason == Reason.THROTTLED:
            self.throttled += 1
            self._client(event.client).throttled += 1
        elif event.status is not None:
            self.latency.add(event.seconds)
        elif reason == Reason.CONNECT:
            self.unconnected += 1

    def _account_settled(self, event: AccountSettled) -> None:
        account_id, rows, reason, detail = event
        self.settled += 1
        if reason is not None:
            self._account_failed(account_id, str(reason), detail)
        elif rows:
            self.rows += rows
        else:
            self.empty += 1

    def _account_failed(self, account_id: str, reason: str, detail: str) -> None:
        self.failed += 1
        group = self.failures.get(reason)
        if group is None:
            self.failures[reason] = FailureGroup(1, account_id, detail)
        else:
            group.count += 1

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        self.retries += 1
        _count(self.retries_by_reason, str(event.reason))

    def _client(self, name: str) -> ClientFigures:
        return self.clients.setdefault(name, ClientFigures())

    def _client_paused(self, event: ClientPaused) -> None:
        now = self.clock()
        self.catch_up(now)
        self._client(event.client).pause(now, event.seconds)

    def _rate_changed(self, event: RateChanged) -> None:
        self._client(event.client).rate = event.per_second

    def _client_dropped(self, event: ClientDropped) -> None:
        self._client(event.client).dropped = True

    def _token_renewed(self, _event: TokenRenewed) -> None:
        self.tokens += 1

    def _outage_began(self, _event: OutageBegan) -> None:
        self.outages += 1
        self.outage_since = self.clock()
        self.next_probe = None

    def _outage_probed(self, event: OutageProbed) -> None:
        self.next_probe = self.clock() + event.next_in

    def _outage_ended(self, event: OutageEnded) -> None:
        self.outage_seconds += event.seconds
        self.outage_since = self.next_probe = None

    def _list_read(self, event: ListRead) -> None:
        self.distinct = event.distinct
        self.repeated = event.repeated
        self.finished_earlier = event.finished_earlier
        self.list_whole = event.whole

    def _committed(self, event: Committed) -> None:
        self.commits += 1
        self.commit_seconds += event.seconds

    def _resumed(self, event: Resumed) -> None:
        self.finished_earlier = max(self.finished_earlier, event.finished)

    def _stopping(self, _event: Stopping) -> None:
        self.stopping = True


def _count(counts: dict[str, int], word: str) -> None:
    counts[word] = counts.get(word, 0) + 1
