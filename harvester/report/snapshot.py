"""A run at one moment: what both the live lines and the log lines show."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from harvester.model import Quota
from harvester.report.tally import Tally
from harvester.report.text import percent, plural, rate, span

_RATE_WINDOW = 10.0
"""Seconds: the documented quota's period, over which its bursts even out."""
_LEFT_WINDOW = 120.0
"""Seconds over which the time left is estimated: it follows a change, and a pause does not make it jump."""
_TOO_EARLY = 3.0
"""Seconds before which a rate says nothing about the rest."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment. None is what is not known (yet), or not limited."""

    done: int
    total: int | None
    rows: int
    requests_per_second: float
    permitted_per_second: float | None
    """What all lanes together may send."""
    in_flight: int
    retries: int
    failed: int
    seconds_left: float | None
    state: str
    """What holds the run up, empty where nothing does."""

    @property
    def accounts(self) -> str:
        """`12,404 of 20,000 accounts`."""
        if self.total is None:
            return "reading the list"
        return f"{self.done:,} of {plural(self.total, 'account')}"

    @property
    def share(self) -> float | None:
        """How much of the list is done, 0 to 1."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0

    def position(self) -> list[str]:
        """How far it is: accounts, share, time left, as far as these are known."""
        share = [] if self.share is None else [f"{int(self.share * 100)}%"]
        return [self.accounts, *share, *self._left()]

    def facts(self) -> list[str]:
        """Short figures to go with the number of accounts, the most wanted first."""
        permitted = self.permitted_per_second
        optional = [
            (self.failed, f"{self.failed:,} failed"),
            (True, plural(self.rows, "row")),
            (self.retries, f"{self.retries:,} retried"),
            (True, f"{self.in_flight:,} in flight"),
        ]
        pace = rate(self.requests_per_second) + ("" if permitted is None else f" of {rate(permitted)}")
        return [pace, *(fact for known, fact in optional if known)]

    def sentence(self) -> str:
        """All of it in one line, for a log."""
        share = "" if self.share is None else f" ({percent(self.share)})"
        state = [self.state] if self.state else []
        return ", ".join([f"{self.accounts}{share}", *self.facts(), *self._left(), *state])

    def _left(self) -> list[str]:
        return [f"{span(self.seconds_left)} left"] if self.seconds_left else []


class _Moment(NamedTuple):
    time: float
    granted: int
    settled: int


@dataclass(slots=True)
class Monitor:
    """Takes snapshots of a run from its tally; ask it every few seconds at least.

    `quotas` has an entry for each lane. `in_flight` returns the number of requests under way. `wall` is
    the wall clock, for the moments that a person reads; all else is the tally's clock.
    """

    tally: Tally
    quotas: Mapping[str, Quota | None]
    in_flight: Callable[[], int]
    wall: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), kw_only=True)
    _moments: deque[_Moment] = field(init=False)

    def __post_init__(self) -> None:
        self._moments = deque([_Moment(self.tally.started, 0, 0)])

    def snapshot(self) -> Snapshot:
        """The run as it is now."""
        tally, total = self.tally, self.tally.distinct
        present = _Moment(tally.now, tally.granted, tally.settled)
        self._remember(present)
        done = tally.settled_earlier + tally.settled
        recent = self._since(present.time - _RATE_WINDOW)
        return Snapshot(
            done=done,
            total=total,
            rows=tally.rows,
            requests_per_second=_growth(present.granted - recent.granted, present.time - recent.time),
            permitted_per_second=self.permitted_per_second(),
            in_flight=self.in_flight(),
            retries=tally.retries,
            failed=tally.failed,
            seconds_left=None if total is None else self._left(present, total - done),
            state=self._state(present.time),
        )

    def permitted_per_second(self) -> float | None:
        """What all lanes together may send, at their adapted rates; None if one has no limit."""
        permitted = 0.0
        for label, quota in self.quotas.items():
            if quota is None:
                return None
            if not self.tally.lane_dropped(label):
                permitted += self.tally.permitted(label, quota) or 0.0
        return permitted or None

    def _remember(self, present: _Moment) -> None:
        moments = self._moments
        if present.time - moments[-1].time >= 1.0:
            moments.append(present)
        # One moment older than the window stays: rates are counted from it.
        while len(moments) > 2 and moments[1].time <= present.time - _LEFT_WINDOW:  # noqa: PLR2004
            moments.popleft()

    def _since(self, time: float) -> _Moment:
        """The last moment up to `time`, else the first."""
        return next((one for one in reversed(self._moments) if one.time <= time), self._moments[0])

    def _left(self, present: _Moment, accounts: int) -> float | None:
        if accounts <= 0:
            return 0.0
        if self.tally.seconds < _TOO_EARLY:
            return None
        since = self._since(present.time - _LEFT_WINDOW)
        per_second = _growth(present.settled - since.settled, present.time - since.time)
        return accounts / per_second if per_second > 0 else None

    def _state(self, now: float) -> str:
        tally = self.tally
        if tally.stopping:
            return "stopping"
        if tally.outage_since is not None:
            state = f"tenant not reachable for {round(now - tally.outage_since)} s"
            if tally.next_probe is not None:
                state += f", next probe in {max(0, round(tally.next_probe - now))} s"
            return state
        if tally.token_failing:
            first, *others = tally.token_failing
            return f"{1 + len(others)} clients have no token" if others else f"client {first} has no token"
        return self._pause(now)

    def _pause(self, now: float) -> str:
        tally = self.tally
        at_work = [label for label in self.quotas if not tally.lane_dropped(label)]
        ends = [tally.lanes[label].paused_until for label in at_work if label in tally.lanes]
        paused = [end for end in ends if end > now]
        if not paused:
            return ""
        if len(paused) < len(at_work):
            return f"{len(paused)} of {len(at_work)} lanes paused"
        until = self.wall().astimezone() + timedelta(seconds=min(paused) - now)
        return f"paused until {until:%H:%M:%S}"


def _growth(number: int, seconds: float) -> float:
    return number / seconds if seconds > 0 else 0.0
