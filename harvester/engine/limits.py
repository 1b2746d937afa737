"""When to stop waiting: the deadline, and `--max-outage` for whatever there is to wait for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harvester.engine.standing import LaneStanding
from harvester.errors import RESUMABLE, StoppedEarly, StopRun, UsageError
from harvester.model import Fault, Reason, Throttled

_TOLERANCE: Final = 1.0
"""Seconds by which a pause may be longer than allowed: limiters add a little to a `Retry-After`."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Since when there has been no useful answer, and what came instead.

    `last` is the last 429 or fault, `waiting_for` what the lanes wait for, in words.
    """

    since: float
    last: Fault | Throttled | None
    waiting_for: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may take (`deadline`, a time) and wait for the tenant (`max_outage`, seconds)."""

    deadline: float | None
    max_outage: float

    def exceeded(self, now: float, lanes: Sequence[LaneStanding], trouble: Trouble | None) -> StopRun | None:
        """Why the run must end now, if it must. `lanes` are those in use."""
        if self.deadline is not None and now >= self.deadline:
            return deadline_passed()
        for lane in lanes:
            if (fault := lane.lane.permanent_fault) is not None:
                return UsageError(fault.detail)
        stop = self._pause(now, lanes, trouble)
        if stop is None and trouble is not None and now - trouble.since >= self.max_outage:
            stop = _unavailable(now - trouble.since, trouble)
        return stop

    def _pause(
        self, now: float, lanes: Sequence[LaneStanding], trouble: Trouble | None
    ) -> StoppedEarly | None:
        """Whether the tenant asks to wait for longer than the run may."""
        lane = min((one.lane for one in lanes), key=lambda one: one.limiter.resumes_in(), default=None)
        resumes_in = 0.0 if lane is None else lane.limiter.resumes_in()
        if lane is None or not resumes_in:
            return None
        since = now if trouble is None else trouble.since
        if self.deadline is not None and now + resumes_in > self.deadline:
            limit = "the deadline"
        elif now + resumes_in > since + self.max_outage + _TOLERANCE:
            limit = f"the {self.max_outage:g} s of --max-outage"
        else:
            return None
        what = lane.waiting_for or "a pause"
        return StoppedEarly(f"waiting for {what} would take {resumes_in:.0f} s, beyond {limit}", RESUMABLE)


def deadline_passed() -> StoppedEarly:
    """The time that `--deadline` gives is over."""
    return StoppedEarly("the deadline has passed", RESUMABLE)


def _unavailable(seconds: float, trouble: Trouble) -> StoppedEarly:
    last = trouble.last
    if (
        isinstance(last, Fault) and last.reason is Reason.UNAUTHORIZED
    ):  # there may be no new token for a while
        problem = f"the tenant has refused every token for {seconds:.0f} s ({last.detail})"
    elif trouble.waiting_for is not None:
        problem = f"waited {seconds:.0f} s for {trouble.waiting_for}"
    elif isinstance(last, Throttled):
        problem = f"every request was answered with 429 for {seconds:.0f} s"
    else:
        detail = f" ({last.detail})" if last is not None else ""
        problem = f"the tenant has not been available for {seconds:.0f} s{detail}"
    return StoppedEarly(problem, RESUMABLE)
