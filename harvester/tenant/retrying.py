"""A single question to the tenant, asked again until it is answered: for listings, which have no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, TypeVar

from harvester.errors import AccessDenied, StoppedEarly, StopRun, UsageError
from harvester.events import OutageBegan, OutageEnded, OutageProbed
from harvester.model import Answered, Fault, Outcome, Reason, Refused, Throttled, TokenRejected
from harvester.tenant.client import Lane
from harvester.tenant.request import Request, as_fault
from harvester.waiting import UnavailableUntil, delay

T = TypeVar("T")

_ATTEMPTS: Final = 5
"""For what time does not usually cure: a garbled response."""
_REJECTIONS: Final = 3
"""Answers 401 in a row, each to another token, after which the client is denied."""
_REPORTED: Final = 3
"""Faults in a row after which the tenant counts as unavailable, and it is reported."""
_LOOK_EVERY: Final = 0.5
"""Seconds between looks at what a request waits for before it can be sent."""
_ELSEWHERE: Final = frozenset({Reason.REDIRECTED, Reason.REFUSED})
"""Faults which say, as long as nothing has been answered, that the API is somewhere else."""
_GARBLED: Final = frozenset({Reason.TRUNCATED, Reason.NOT_JSON, Reason.WRONG_SHAPE})


class Retrying:
    """Sends requests one at a time on the first of `lanes` that is usable, and repeats what may pass.

    Every wait is bounded by the tenant's `max_outage`. `subject` names what is asked for in messages.
    """

    def __init__(self, lanes: Sequence[Lane], subject: str) -> None:
        self._lanes = lanes
        self._subject = subject
        tenant = lanes[0].tenant
        self._tenant = tenant
        self._answered = False
        self._availability = UnavailableUntil(
            tenant.host, most=tenant.max_outage, clock=tenant.clock, rng=tenant.rng
        )

    @property
    def lane(self) -> Lane:
        """The lane in use.

        Raises:
            AccessDenied: the client of every lane is dropped.
            UsageError: every lane is dropped.
        """
        if (usable := next((lane for lane in self._lanes if not lane.dropped), None)) is not None:
            return usable
        denied = next((lane.client.dropped for lane in self._lanes if lane.client.dropped), None)
        raise denied or UsageError(f"{self._tenant.host} serves none of the API versions")

    def pass_over(self, lane: Lane) -> bool:
        """Use another lane from now on, for these questions only; False if there is none that is usable."""
        others = [one for one in self._lanes if one is not lane]
        if all(one.dropped for one in others):
            return False
        self._lanes = others
        return True

    async def ask(self, request: Request[T], *, tries: int | None = None) -> T | Refused | Fault:
        """The answer, or the refusal that repeating the request would not change.

        A response that is too large is a `Fault` which repeating would not change either, and so is a
        redirect before anything was answered. With `tries`, so is a fault or a 429 that stays: it is
        returned after so many, and is not an outage, unless the tenant cannot even be connected to.

        Raises:
            AccessDenied: the client's credentials are refused, or its tokens are.
            UsageError: nothing has ever answered, for a reason that waiting cannot help.
            StoppedEarly: the tenant was unavailable for too long, or answers with garbage.
        """
        rejections = failures = 0
        while True:
            outcome = await self._send(request)
            if isinstance(outcome, Answered):
                self._recovered()
                return outcome.value
            if isinstance(outcome, Refused) or (isinstance(outcome, Fault) and self._stays(outcome)):
                return outcome
            if isinstance(outcome, TokenRejected):
                rejections += 1
                if rejections >= _REJECTIONS:
                    raise self._denied(outcome)
            if isinstance(outcome, (Fault, Throttled)):
                failures += 1
                if tries is not None and (isinstance(outcome, Throttled) or outcome.connected):
                    if failures >= tries:
                        return as_fault(outcome)
                    seconds = delay(failures, self._tenant.rng)
                else:
                    seconds = self._unavailable(outcome, failures)
                if isinstance(outcome, Fault):  # after a 429, the lane itself waits
                    await self._tenant.sleep(seconds)

    def _stays(self, fault: Fault) -> bool:
        """Whether repeating the request would not change it."""
        return fault.reason is Reason.TOO_LARGE or (fault.reason in _ELSEWHERE and not self._answered)

    async def _send(self, request: Request[T]) -> Outcome[T]:
        """Send once, looking meanwhile whether what it waits for is worth the wait."""
        lane = self.lane
        sending = asyncio.ensure_future(lane.send(lambda: request))
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=_LOOK_EVERY)
                if not sending.done():
                    self._check(lane)
            outcome = sending.result()
            if isinstance(outcome, Refused) and outcome.page and self._answered:
                return as_fault(outcome)
            return outcome
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})

    def _check(self, lane: Lane) -> None:
        if lane.dropped:
            _ = self.lane  # another one is used next, unless there is none
        if lane.permanent_fault is not None:
            raise UsageError(lane.permanent_fault.detail)
        most, since = self._tenant.max_outage, lane.client.tokens.failing_since
        waited = 0.0 if since is None else self._tenant.clock() - since
        if waited > most or lane.limiter.resumes_in() > most:
            what = lane.waiting_for or "the tenant"
            raise StoppedEarly(
                f"{self._subject}: waiting for {what} takes longer than --max-outage", "try again later"
            )

    def _unavailable(self, outcome: Fault | Throttled, failures: int) -> float:
        """Seconds to wait for the tenant, which is reported once it takes long."""
        if isinstance(outcome, Fault):
            if outcome.permanent:
                raise UsageError(outcome.detail)
            if outcome.reason in _GARBLED and failures >= _ATTEMPTS:
                raise StoppedEarly(
                    f"{self._subject} cannot be read: {outcome.detail}",
                    "check --base-url and any proxy in between, then try again",
                )
        seconds = self._availability.failed(outcome.detail or "429", outcome.retry_after)
        if self._availability.attempts == _REPORTED:
            self._tenant.observer(OutageBegan(outcome.detail))
        elif self._availability.attempts > _REPORTED:
            self._tenant.observer(OutageProbed(outcome.detail, seconds))
        return seconds

    def _recovered(self) -> None:
        self._answered = True
        if self._availability.attempts >= _REPORTED:
            self._tenant.observer(OutageEnded(self._availability.seconds))
        self._availability.recovered()

    def _denied(self, rejected: TokenRejected) -> StopRun:
        return AccessDenied(
            f"client {self.lane.client.label!r}: {self._tenant.host} does not accept its tokens "
            f"(401: {rejected.detail})",
            "check client ID, secret and base URL; a ready token must belong to this tenant",
        )
