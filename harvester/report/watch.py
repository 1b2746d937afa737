"""What there is to see of a run at one moment: the view that both the live line and the log lines show."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harvester.model import Quota
from harvester.report.figures import percent, plural, rate, span
from harvester.report.tally import Tally

_RATE_WINDOW = 10.0
"""Seconds: the documented quota's period, over which its bursts even out."""
_LEFT_WINDOW = 120.0
"""Seconds over which the time left is judged: it follows a change, and a pause does not make it jump."""
_TOO_EARLY = 3.0
"""Seconds before which a rate says nothing about the rest."""


@dataclass(frozen=True, slots=True)
class View:
    """A run at one moment. None is what is not known (yet), or not limited."""

    done: int
    known: int
    total: int | None
    rows: int
    requests_per_second: float
    permitted_per_second: float | None
    in_flight: int | None
    retries: int
    failed: int
    seconds_left: float | None
    state: str
    """What keeps the run from running, empty when nothing does."""

    @property
    def accounts(self) -> str:
        """`12,404 of 20,000 accounts`."""
        if self.total is None:
            return (
                f"{self.done:,} of {self.known:,} accounts read so far" if self.known else "reading the list"
            )
        return f"{self.done:,} of {plural(self.total, 'account')}"

    @property
    def share(self) -> float | None:
        """How much of the list is done, 0 to 1."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0

    @property
    def pace(self) -> str:
        """`9.9/s of 10.0/s`."""
        permitted = self.permitted_per_second
        return rate(self.requests_per_second) + ("" if permitted is None else f" of {rate(permitted)}")

    def facts(self) -> list[str]:
        """Short figures beside the count of accounts, the most wanted first."""
        facts = [self.pace]
        if self.failed:
            facts.append(f"{self.failed:,} failed")
        facts.append(plural(self.rows, "row"))
        if self.retries:
            facts.append(f"{self.retries:,} retried")
        if self.in_flight is not None:
            facts.append(f"{self.in_flight:,} in flight")
        return facts

    def sentence(self) -> str:
        """All of it in one line, for a log."""
        share = "" if self.share is None else f" ({percent(self.share)})"
        left = [] if self.seconds_left is None else [f"{span(self.seconds_left)} left"]
        state = [self.state] if self.state else []
        return ", ".join([f"{self.accounts}{share}", *self.facts(), *left, *state])


class Watch:
    """Makes views of a run from its tally; to be asked now and then, at least every few seconds.

    `quotas` has an entry for each client. `in_flight` tells how many requests are under way. `now` is the
    wall clock, for the moments a person reads; all else runs on the tally's clock.
    """

    __slots__ = ("_in_flight", "_moments", "_now", "_quotas", "_tally")

    def __init__(
        self,
        tally: Tally,
        quotas: Mapping[str, Quota | None],
        *,
        in_flight: Callable[[], int] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tally = tally
        self._quotas = quotas
        self._in_flight = in_flight
        self._now = now
        self._moments: deque[tuple[float, int, int]] = deque([(tally.started, 0, 0)])

    def look(self) -> View:
        """The run as it is now."""
        tally = self._tally
        now = tally.clock()
        self._remember(now)
        done = tally.finished_earlier + tally.settled
        total = tally.distinct if tally.list_whole else None
        return View(
            done=done,
            known=tally.distinct,
            total=total,
            rows=tally.rows,
            requests_per_second=self._rate(now, 1, _RATE_WINDOW),
            permitted_per_second=self._permitted(),
            in_flight=None if self._in_flight is None else self._in_flight(),
            retries=tally.retries,
            failed=tally.failed,
            seconds_left=None if total is None else self._left(now, total - done),
            state=self._state(now),
        )

    def _remember(self, now: float) -> None:
        moments = self._moments
        if now - moments[-1][0] >= 1.0:
            moments.append((now, self._tally.granted, self._tally.settled))
        # One moment older than the window stays: rates are counted from it.
        while len(moments) > 2 and moments[1][0] <= now - _LEFT_WINDOW:  # noqa: PLR2004
            moments.popleft()

    def _rate(self, now: float, column: int, window: float) -> float:
        """A second's growth of a column of the moments, over the last `window` seconds."""
        since = self._moments[0]
        for moment in self._moments:
            if moment[0] > now - window:
                break
            since = moment
        elapsed = now - since[0]
        total = self._tally.granted if column == 1 else self._tally.settled
        return (total - since[column]) / elapsed if elapsed > 0 else 0.0

    def _left(self, now: float, accounts: int) -> float | None:
        if accounts <= 0:
            return 0.0
        if now - self._tally.started < _TOO_EARLY:
            return None
        per_second = self._rate(now, 2, _LEFT_WINDOW)
        return accounts / per_second if per_second > 0 else None

    def _permitted(self) -> float | None:
        """What all clients together may send, at their adapted pace; None if one has no brake."""
        permitted = 0.0
        for name, quota in self._quotas.items():
            figures = self._tally.clients.get(name)
            if quota is None:
                return None
            if figures is None or not figures.dropped:
                adapted = None if figures is None else figures.rate
                permitted += quota.per_second if adapted is None else adapted
        return permitted or None

    def _state(self, now: float) -> str:
        tally = self._tally
        if tally.outage_since is not None:
            return _outage(now - tally.outage_since, tally.next_probe, now)
        if tally.stopping:
            return "stopping"
        return self._pause(now)

    def _pause(self, now: float) -> str:
        running = [client for client in self._tally.clients.values() if not client.dropped]
        paused = [client.paused_until for client in running if client.paused_until > now]
        if not paused:
            return ""
        clients = max(len(running), len(self._quotas))
        if len(paused) < clients:
            return f"{len(paused)} of {clients} clients paused"
        until = self._now().astimezone() + timedelta(seconds=min(paused) - now)
        return f"paused until {until:%H:%M:%S}"


def _outage(seconds: float, next_probe: float | None, now: float) -> str:
    probe = "" if next_probe is None else f", next probe in {max(0, round(next_probe - now))} s"
    return f"tenant away for {round(seconds)} s{probe}"
