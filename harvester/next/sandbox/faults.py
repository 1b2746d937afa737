"""Which answer goes wrong and how: decided by (seed, account, attempt), never by the order of arrival."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from harvester.next.sandbox.options import FaultKind, FaultRate, Faults, TokenFault

_WHOLE = 2**64


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one answer. `variant` chooses among the forms of a kind.

    `seconds` is the length of a stall, or the ``Retry-After`` of a 429 or 503.
    """

    kind: FaultKind
    variant: int
    seconds: float | None = None


class FaultPlan:
    """Draws the fault of an attempt, the same one in every run.

    After `streak` faulty answers in a row a subject gets a good one, so that no account fails forever
    by bad luck (0: as the dice fall).
    """

    def __init__(self, faults: Faults, seed: int, streak: int) -> None:
        self._rates = faults.rates
        self._token = faults.token
        self._seed = seed
        self._streak = streak

    @property
    def any_answers(self) -> bool:
        """Whether any answer of the API can go wrong at all."""
        return bool(self._rates)

    def draw(self, subject: str, attempt: int) -> Fault | None:
        """What goes wrong with attempt number `attempt` (from 0) at `subject`, None if nothing does."""
        if self._must_succeed(attempt):
            return None
        dice = self._dice(subject, attempt)
        place = int.from_bytes(dice[:8]) / _WHOLE
        for rate in self._rates:
            if place < rate.share:
                return _fault(rate, dice[8])
            place -= rate.share
        return None

    def token_fault(self, attempt: int) -> TokenFault | None:
        """What goes wrong with token request number `attempt` (from 0), None if nothing does."""
        if self._token is None or self._must_succeed(attempt):
            return None
        drawn = int.from_bytes(self._dice("token", attempt)[:8]) / _WHOLE
        return self._token if drawn < self._token.share else None

    def _must_succeed(self, attempt: int) -> bool:
        return self._streak > 0 and attempt % (self._streak + 1) == self._streak

    def _dice(self, subject: str, attempt: int) -> bytes:
        return blake2b(f"{self._seed} {subject} {attempt}".encode(), digest_size=9).digest()


_SHAPES = (FaultKind.SHAPE_OBJECT, FaultKind.SHAPE_ROW, FaultKind.SHAPE_COUNT, FaultKind.SHAPE_DATE)


def _fault(rate: FaultRate, variant: int) -> Fault:
    if rate.kind is FaultKind.WRONG_SHAPE:
        return Fault(_SHAPES[variant % len(_SHAPES)], variant)
    return Fault(rate.kind, variant, rate.seconds)
