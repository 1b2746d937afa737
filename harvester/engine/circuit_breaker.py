"""How the tenant is doing: when to stop sending, when to probe, and which attempts an outage has cost.

Faults are charged provisionally. Those that come in an unbroken row, on one lane or on all together,
first raise a suspicion: nothing is sent but one probe. If the probes fail as well, there is an outage,
and every attempt charged since the lane was last alive is refunded. An account without attempts left is
exhausted, not failed, until its lane is alive again: only then was the fault the account's own.
Pure: the clock is passed in, and it decides without carrying anything out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from harvester.engine.work import Kind, Work
from harvester.model import Fault

SUSPICION: Final = 9
"""Different accounts that must fault in a row before a probe is sent."""
UNCONNECTED: Final = 3
"""The same for refused connections, which say more: no account had any part in them."""
FIRST_PROBE: Final = 0.5
LONGEST_INTERVAL: Final = 15.0
MOST_REFUNDS: Final = 3
"""Outages that an account's attempts are refunded for. A tenant that answers now and then, and an account
that it never answers for, would go on forever."""
_GROWTH: Final = 1.6
_JITTER: Final = 0.25


@dataclass(slots=True, eq=False)
class Circuit:
    """Closed; or suspected (a probe decides); or open (an outage, probed at growing intervals)."""

    row: set[str] = field(default_factory=set)
    """The accounts that have faulted since the last sign of life."""
    unconnected: int = 0
    suspected_at: float | None = None
    open: bool = False
    probe: Work | None = None
    """The probe in flight."""
    next_probe: float = 0.0
    interval: float = FIRST_PROBE
    failed_probes: int = 0

    @property
    def closed(self) -> bool:
        """Whether requests may be sent as they come."""
        return self.suspected_at is None

    def faulted(self, account_id: str, now: float, *, connected: bool) -> None:
        """Note a fault; enough of them in a row raise a suspicion."""
        self.row.add(account_id)
        self.unconnected += not connected
        if len(self.row) >= SUSPICION or self.unconnected >= UNCONNECTED:
            self.suspect(now)

    def suspect(self, now: float) -> None:
        """Send nothing more until a probe has been answered; the first one is due at once."""
        if self.closed:
            self.suspected_at = self.next_probe = now
            self.interval, self.failed_probes = FIRST_PROBE, 0

    def probe_failed(self, now: float, rng: Random, *, connected: bool) -> tuple[float, bool]:
        """Note that the probe in flight failed. Returns when the next is due (s), and if an outage began."""
        self.probe = None
        self.failed_probes += 1
        pause = self.interval * rng.uniform(1 - _JITTER, 1 + _JITTER)
        self.interval = min(self.interval * _GROWTH, LONGEST_INTERVAL)
        self.next_probe = now + pause
        began = not self.open and (self.failed_probes > 1 or not connected)
        self.open = self.open or began
        return pause, began

    def alive(self, sent_at: float) -> None:
        """A request sent at `sent_at` was answered. What was sent before the suspicion does not end it."""
        self.row.clear()
        self.unconnected = 0
        if self.suspected_at is not None and sent_at >= self.suspected_at:
            self.suspected_at = self.probe = None
            self.open = False


@dataclass(slots=True, eq=False)
class _Lane:
    circuit: Circuit = field(default_factory=Circuit)
    charges: dict[Work, int] = field(default_factory=dict)
    exhausted: dict[Work, float] = field(default_factory=dict)
    live: bool = True
    troubled: bool = False
    """Whether a sign of life would change anything."""

    def refund(self, lives: int) -> list[Work]:
        """Take the provisional charges back; return the exhausted accounts that may be requested again.

        `lives` counts the tenant's signs of life: lanes that fail one by one without any are one outage.
        """
        released: list[Work] = []
        for work, attempts in self.charges.items():
            same = work.refunded_at == lives
            if same or work.refunds < MOST_REFUNDS:
                work.refunds += not same
                work.refunded_at = lives
                work.attempts = max(0, work.attempts - attempts)
                if self.exhausted.pop(work, None) is not None:
                    released.append(work)
        self.charges.clear()
        return released


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """What follows from a probe that failed. `lane` is None where all of the tenant is affected."""

    lane: int | None
    next_in: float
    outage_began: bool
    refunded: list[Work]
    """Accounts that were exhausted, and may be requested again."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """What becomes of exhausted accounts now that the tenant is alive."""

    failed: Sequence[Work] = ()
    spared: Sequence[Work] = ()
    """May be requested once more."""


_NONE: Final = Exhausted()


class CircuitBreaker:
    """One circuit for the tenant and one for each lane (by index): one that errs holds only itself."""

    def __init__(self, lanes: int, rng: Random) -> None:
        self.tenant = Circuit()
        self._lanes = [_Lane() for _ in range(lanes)]
        self._rng = rng
        self._lives = 0

    def lets_through(self, lane: int) -> bool:
        """Whether the lane may send as work comes; if not, only a probe, when one is due."""
        return self.tenant.suspected_at is None and self._lanes[lane].circuit.suspected_at is None

    # --- probes

    def deciding(self, lane: int) -> Circuit:
        """The circuit whose probes the lane sends: there is one at a time for a tenant that is held."""
        return self._lanes[lane].circuit if self.tenant.closed else self.tenant

    def probe_due(self, lane: int, now: float) -> bool:
        """Whether the lane may send a probe now."""
        circuit = self.deciding(lane)
        return circuit.probe is None and now >= circuit.next_probe

    def next_probe(self, now: float) -> float | None:
        """When the next probe will become due, if that is later than `now`."""
        if not self.tenant.closed:
            circuits = [self.tenant]
        else:
            circuits = [lane.circuit for lane in self._lanes if lane.live and not lane.circuit.closed]
        return min((c.next_probe for c in circuits if c.probe is None and c.next_probe > now), default=None)

    def suspect(self, lane: int, now: float) -> None:
        """Have the lane probed: accounts are exhausted on it, and nothing else will show if it is alive."""
        self._lanes[lane].circuit.suspect(now)
        self._lanes[lane].troubled = True
        self._hold_tenant(now)

    # --- what became of requests

    def faulted(self, lane: int, work: Work, fault: Fault, now: float) -> ProbeFailed | None:
        """Charge `work` a provisional attempt, unless there is an outage, and look what it says."""
        here = self._lanes[lane]
        here.troubled = True
        if here.live and not (self.tenant.open or here.circuit.open) and work.kind is Kind.ACCOUNT:
            work.attempts += 1
            here.charges[work] = here.charges.get(work, 0) + 1
        for circuit in (self.tenant, here.circuit):
            circuit.faulted(work.account.id, now, connected=fault.connected)
        self._hold_tenant(now)
        if self.tenant.probe is work:
            return self._probe_failed(None, list(self._lanes), self.tenant, now, fault)
        if here.circuit.probe is work:
            return self._probe_failed(lane, [here], here.circuit, now, fault)
        return None

    def _probe_failed(
        self, lane: int | None, affected: list[_Lane], circuit: Circuit, now: float, fault: Fault
    ) -> ProbeFailed:
        next_in, began = circuit.probe_failed(now, self._rng, connected=fault.connected)
        refunded = [work for each in affected for work in each.refund(self._lives)] if began else []
        return ProbeFailed(lane, next_in, began, refunded)

    def exhaust(self, lane: int, work: Work, now: float) -> None:
        """`work` has no attempts left; what comes next on the lane decides whose fault that was."""
        self._lanes[lane].exhausted[work] = now

    def alive(self, lane: int, sent_at: float) -> Exhausted:
        """The tenant gave an answer (other than 429) on the lane, so the lane's charges stand.

        Its exhausted accounts are decided about: they fail, unless some of their faults may have been the
        tenant's after all.
        """
        here = self._lanes[lane]
        if not (here.troubled or self.tenant.row or self.tenant.suspected_at is not None):
            return _NONE
        self._lives += 1
        self.tenant.alive(sent_at)
        here.circuit.alive(sent_at)
        decided = [work for work, at in here.exhausted.items() if at <= sent_at]
        spared = [work for work in decided if self._spares(here, work)]
        for work in decided:
            del here.exhausted[work]
        here.charges = {work: here.charges.get(work, 0) for work in here.exhausted}
        here.troubled = bool(here.exhausted) or not here.circuit.closed
        return Exhausted([work for work in decided if work not in spared], spared)

    def _spares(self, here: _Lane, work: Work) -> bool:
        """Give attempts back that may have been the tenant's fault.

        Those that other lanes charged, which have shown no life since; or else one, if all was silent
        between two faults: that may have been an outage, too short to be noticed.
        """
        elsewhere = sum(lane.charges.pop(work, 0) for lane in self._lanes if lane is not here)
        back = elsewhere or int(here.charges.get(work, 0) > 1)
        work.attempts -= back
        return back > 0

    def told_nothing(self, work: Work) -> None:
        """`work` ended in a way that says nothing about the tenant: 429, or it was canceled."""
        for circuit in (self.tenant, *(lane.circuit for lane in self._lanes)):
            if circuit.probe is work:
                circuit.probe = None

    def drop(self, lane: int, now: float) -> list[Work]:
        """The lane is not used any more. Returns its exhausted accounts, refunded: others may have them."""
        here = self._lanes[lane]
        here.live = False
        released = here.refund(self._lives) + list(here.exhausted)
        here.exhausted.clear()
        self._hold_tenant(now)
        return released

    def exhausted(self) -> Iterator[tuple[int, Work]]:
        """The exhausted accounts, with their lanes."""
        for index, lane in enumerate(self._lanes):
            for work in lane.exhausted:
                yield index, work

    def undecided(self) -> bool:
        """Whether accounts are exhausted on a lane that no probe is going to decide about."""
        return self.tenant.closed and any(lane.exhausted and lane.circuit.closed for lane in self._lanes)

    def _hold_tenant(self, now: float) -> None:
        """The tenant is held when each of its lanes is."""
        live = [lane for lane in self._lanes if lane.live]
        if live and all(not lane.circuit.closed for lane in live):
            self.tenant.suspect(now)
