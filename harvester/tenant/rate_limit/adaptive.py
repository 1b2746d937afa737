"""Finding the rate that the tenant really allows, without being shut out. Pure: times are passed in.

A route may shut out a client that violates three windows within twelve, and another run under the same
client ID draws on the same three. So a refusal must tell as much as it can, and the next one must not
come soon:

- Where `Retry-After` names the end of a window, what was accepted in it is the limit.
- Otherwise it may be a bucket, whose burst hides what it refills. All refusals within one window of the
  first lie in two of the tenant's windows at most, so for that long the lane goes on as it was, pauses
  included. What was accepted from the first refusal to the last is what the tenant gives.
- Then the rate is held for thirteen windows, until the first violation no longer counts.
- Then it climbs in small steps, the first ones with long rests, so that another run that climbs too finds
  the limit before this one takes its next step. A refusal puts it back to where the climb began.
- A lane that is refused without having climbed has met another run that did, and makes room for it.
- Refusals that come at any rate alike are no limit (`random_rejection`); an experiment that shows so is
  made only where three violated windows have shut nobody out.
"""

from __future__ import annotations

import math
from typing import Final

from harvester.model import Quota
from harvester.tenant.rate_limit.evidence import Evidence, Volley
from harvester.tenant.rate_limit.memory import Memory
from harvester.tenant.rate_limit.random_rejection import RandomRejectionDetector
from harvester.tenant.rate_limit.sent_log import SentLog

_BELOW: Final = 0.985
"""What part of a measured limit to use."""
_BELOW_AGAIN: Final = 0.97
"""The same, after a second violation: the third would be the last."""
_QUIET: Final = 13.0
"""Windows without a violation before the rate may rise: twelve, and one for where in its window it fell."""
_QUIET_MOST: Final = 26.0
"""The same after a climb that was refused soon: the limit is where it was."""
_SEARCH: Final = 0.8
"""Part of a window after the first refusal in which others cost nothing more."""
_SEARCH_BELOW: Final = 0.97
"""What part of the rate to search with."""
_LATE: Final = 0.25
"""Windows after the search in which the last responses arrive."""
_LONG_ACCEPTED: Final = 3.0
"""A rate that was accepted for so many windows is hardly put in doubt by one refusal …"""
_WINDOW_ACCEPTED: Final = 1.15
"""… and for so many, what the last window held at least is not."""
_KNOWN: Final = 0.05
"""Windows that the latest response may lie behind for all to be known."""
_EARLY: Final = 3.0
"""Windows after the first violation in which a second one means that the estimate was wrong."""
_STEP: Final = 0.03
"""What part to climb by in each step."""
_STEP_LEAST: Final = 0.01
"""Part of the quota to climb by at least, or a lane that was left with next to nothing would stay there."""
_RESTS: Final = 3
"""Steps beyond the known limit that are followed by a rest …"""
_REST: Final = 4.0
"""… of so many windows."""
_BETWEEN: Final = 2.0
"""Windows between other steps. All steps within twelve windows are less than what another run gives up in
them that is refused twice: it must not be refused a third time."""
_FULL_WINDOW: Final = 3
"""Refused probes in a row that show a full window: a bucket would have refilled, even if shared."""
_FADING: Final = 2.0
"""Windows for which a counter may refuse that fades instead of starting anew."""
_USED: Final = 0.8
"""Part of the rate that must have been used for it to be worth raising."""
_FLOOR: Final = 0.01
"""The lowest rate, as part of the quota: there must always be a way up."""
_YIELD: Final = 0.9
"""What part to keep when another run climbs …"""
_YIELD_AGAIN: Final = 0.7
"""… and when it is noticed again before the first violation is forgotten."""
_NOT_SHUT_OUT: Final = 3
"""A tenant that was refusing in so many windows, and still answers, shuts nobody out."""
_REMEMBERED: Final = 12
"""The latest volleys are those that the next run is told of."""


class AdaptiveRate:
    """The rate to send at, in requests a second: `rate`, changed by refusals and by `sent` as time passes."""

    __slots__ = (
        "_before", "_began", "_ceiling", "_climbing", "_evidence", "_held", "_log", "_next_step", "_period",
        "_quiet", "_random", "_refused_since", "_search_rate", "_searching", "_steps", "_used", "_used_since",
        "floor", "rate", "top",
    )  # fmt: skip  # one name a line would fill the screen

    def __init__(self, quota: Quota, log: SentLog, known: Memory) -> None:
        self._log = log
        self._period = quota.seconds
        self.top = quota.per_second
        self.floor = _FLOOR * self.top
        self.rate = self.top if known.rate is None else min(self.top, max(self.floor, known.rate))
        volleys = [Volley(first, last, until, self.rate, first) for first, last, until in known.volleys]
        self._evidence = Evidence(log, self._period, volleys, windowed=known.windowed)
        self._held = known.held  # where the last climb began: accepted for long
        self._before = self.rate  # the step before the present one
        self._ceiling = known.ceiling or math.inf  # the most that the last refusal allows for
        self._climbing = known.climb is not None
        self._steps = known.climb[0] if known.climb else 0
        self._quiet = _QUIET
        self._searching = known.search is not None and bool(volleys)
        self._search_rate = known.search or self.rate
        self._next_step = self._next_after(known)
        self._random = RandomRejectionDetector()
        self._refused_since = math.inf  # the first refusal since something was accepted
        self._began: float | None = None  # when the present epoch of sending began
        self._used = 0
        self._used_since = -math.inf

    def _next_after(self, known: Memory) -> float:
        """When the run before would have looked at its rate next."""
        if self.rate >= self.top:
            return math.inf
        if self._searching:
            return self._evidence.volleys[0].first + _SEARCH * self._period
        return known.climb[1] if known.climb else -math.inf

    @property
    def window(self) -> float:
        """Requests a second that a whole window may hold; what was sent before doesn't delay a search."""
        return self.top if self._searching else self.rate

    # --- as time passes

    def sent(self, at: float) -> bool:
        """A request is being sent; True if that was the moment to change the rate."""
        if self._began is None:
            self._began = at
        return at >= self._next_step and self._step(at)

    def _step(self, at: float) -> bool:
        if self._searching:
            return self._refused_since == math.inf and self._end_search(at)
        quiet_until = math.inf if self.rate >= self.top else self._quiet_until()
        if at < quiet_until:
            self._next_step = quiet_until
            return False
        if not self._climbing:
            self._climbing, self._held, self._began, self._steps = True, self.rate, at, 0
        elif not self._in_use(at):
            self._next_step = at + self._period
            return False
        self._climb(at)
        return True

    def _quiet_until(self) -> float:
        volleys = self._evidence.volleys
        return volleys[-1].last + self._quiet * self._period if volleys else -math.inf

    def _climb(self, at: float) -> None:
        step = max(_STEP * self.rate, _STEP_LEAST * self.top)
        beyond = self.rate + step > self._ceiling
        resting = beyond and self._steps < _RESTS
        self._before = self.rate
        self.rate = min(self.top, self.rate + step)
        self._steps += beyond
        self._next_step = (
            math.inf if self.rate >= self.top else at + (_REST if resting else _BETWEEN) * self._period
        )
        self._used, self._used_since = self._log.sent_total, at

    def _in_use(self, at: float) -> bool:
        """Whether the rate was used since the last step: a short list or a slow reader proves nothing."""
        used = self._log.sent_total - self._used >= _USED * self.rate * (at - self._used_since)
        self._used, self._used_since = self._log.sent_total, at
        return used

    # --- refusals

    def refused(self, at: float, wait: float | None, *, proven: bool) -> None:
        """The request sent at `at` is the first to be refused since the last pause.

        It asks for `wait` seconds (None: it does not say). `proven`: something was accepted since the pause
        before.
        """
        evidence = self._evidence
        evidence.forget(at - _QUIET * self._period)
        began = at if self._began is None else self._began
        evidence.add(Volley(at, at, at + (wait or 0.0), self.rate, began))
        if proven:
            self._refused_since = at
            self._quiet = _QUIET_MOST if self._climbing and self._steps <= _RESTS else _QUIET
            held = self._judge(began, at)
            if held is None:
                self._adapt()
            else:
                self.rate, self._searching = held, False
        self._began = None
        self._next_step = self._quiet_until()
        if self._searching:
            self._next_step = evidence.volleys[0].first + _SEARCH * self._period

    def _judge(self, began: float, at: float) -> float | None:
        """The rate to continue at if refusals have nothing to do with it."""
        harmless = not self._evidence.shuts_out and len(self._evidence.violated_windows()) >= _NOT_SHUT_OUT
        return self._random.judge(self._log.accepted_between(began, at), self.rate, harmless=harmless)

    def probe_due(self) -> float:
        """When a refused probe may be repeated: not while its refusal could be the third that counts."""
        violated = self._evidence.violated_windows()
        if len(violated) < _NOT_SHUT_OUT - 1 or not self._evidence.windowed or self._evidence.shuts_out:
            return -math.inf
        first = violated[1 - _NOT_SHUT_OUT]
        if self._log.accepted_between(first, math.inf):  # they let something through: it is no full window
            return -math.inf
        return first + _QUIET * self._period

    def refused_too(self, at: float, wait: float | None) -> bool:
        """The request sent at `at` belongs to the same volley; True if that lowered the rate."""
        volleys, before = self._evidence.volleys, self.rate
        if not volleys:
            return False
        self._evidence.extend(at, at + (wait or 0.0))
        if self._began is None and not self._random.trying:
            self._adapt()
        return self.rate != before

    def proven(self) -> bool:
        """A request sent after the last pause was accepted; True if that changed the rate."""
        since, self._refused_since = self._refused_since, math.inf
        if since == math.inf:
            return False
        self._climbing = False
        probes = [volley for volley in self._evidence.volleys if volley.first > since]
        if not probes or self._random.trying:
            return False
        return self._probed(since, probes)

    def _probed(self, since: float, probes: list[Volley]) -> bool:
        """Probes were refused, too. For longer than a window: an outage, which tells nothing of the rate.

        Else the count of a sliding window has fallen to the limit meanwhile. In a search it may be a bucket
        that another run empties, unless no `Retry-After` ever says when the limit resets.
        """
        before, searched, period = self.rate, self._searching, self._period
        first, last = self._evidence.volleys[0], probes[-1].first
        young = first.first - first.began < period  # so all that its window held is known
        if last - since >= (_FADING if young else 1.0) * period:
            self.rate = first.rate if searched else self.rate
        elif searched and len(probes) < _FULL_WINDOW and any(probe.until > probe.first for probe in probes):
            return False
        else:
            self._evidence.windowed = self._evidence.windowed or searched
            held = self._log.accepted_between(first.began, first.first) if young else 0
            count = max(held, self._log.accepted_between(last - period, last))
            self.rate = min(self.rate, max(self.floor, _BELOW * count / period))
        self._searching = False
        self._next_step = self._quiet_until()
        return self.rate != before

    def _adapt(self) -> None:
        volley = self._evidence.volleys[-1]
        if (
            volley.until - volley.first <= self._period
        ):  # else it is shut out, which tells nothing of the rate
            self.rate = min(volley.rate, max(self.floor, self._estimate(volley)))

    # --- what a refusal tells

    def _estimate(self, volley: Volley) -> float:
        evidence = self._evidence
        low, high = evidence.bounds(volley)
        if self._climbing:
            return self._after_climb(low, high, volley)
        self._ceiling = high
        if len(evidence.volleys) > 1:
            return self._again(low, high, volley)
        if self._held is not None:
            return max(low, min(high, _YIELD * volley.rate))
        if evidence.is_window(volley):
            found = evidence.by_window(volley)
            if evidence.windowed or found < _SEARCH_BELOW * volley.rate:
                return _BELOW * found
        self._searching = True
        long = volley.first - volley.began >= _LONG_ACCEPTED * self._period
        self._search_rate = (_BELOW if long else _SEARCH_BELOW) * volley.rate
        return self._search_rate

    def _after_climb(self, low: float, high: float, volley: Volley) -> float:
        held = volley.rate if self._held is None else self._held
        self._ceiling = self._before
        if self._evidence.windowed:
            return max(low, min(high, _BELOW * self._before))
        return max(held, _BELOW * self._evidence.by_bucket(volley))

    def _again(self, low: float, high: float, volley: Volley) -> float:
        evidence, first = self._evidence, self._evidence.volleys[0].first
        if self._held is not None or volley.first - first > _EARLY * self._period:
            return _YIELD_AGAIN * min(volley.rate, high)
        if evidence.windowed:
            self._searching = False
            return _BELOW * low
        if self._searching:
            return volley.rate
        found = _BELOW_AGAIN * evidence.between(first, volley.first)
        return min(_BELOW * high, max(found, _BELOW * low)) if volley.first - first > self._period else found

    def _end_search(self, at: float) -> bool:
        """Continue at what was accepted from the first refusal on; look again when all responses are in."""
        volleys, known = self._evidence.volleys, self._log.known_until
        end = volleys[0].first + (_SEARCH + _LATE) * self._period
        self._searching = at < end and known < at - _KNOWN * self._period
        self._next_step = end if self._searching else self._quiet_until()
        self.rate = min(
            self._search_rate, max(self.floor, self._found(volleys[0].first, volleys[-1].last, known))
        )
        return True

    def _found(self, first: float, last: float, known: float) -> float:
        evidence = self._evidence
        low, _ = evidence.bounds(evidence.volleys[0])
        if evidence.windowed:
            return _BELOW * low
        found = _BELOW * max(evidence.between(first, last), evidence.between(first, known))
        if self._searching or len(evidence.volleys) > 1 or evidence.is_long(first):
            return found
        # A single refusal: what was accepted for long before it is hardly in doubt.
        accepted = (first - evidence.volleys[0].began) / self._period
        if accepted >= _LONG_ACCEPTED:
            return self._search_rate
        return max(found, _BELOW * low) if accepted >= _WINDOW_ACCEPTED else found

    def memory(self, quota: Quota) -> Memory:
        """What the next run must know of the rate."""
        evidence = self._evidence
        return Memory(
            quota=quota,
            rate=self.rate if self.rate < self.top else None,
            held=self._held,
            search=self._search_rate if self._searching else None,
            climb=(self._steps, self._next_step) if self._climbing and self.rate < self.top else None,
            ceiling=self._ceiling if self._ceiling < math.inf else None,
            windowed=evidence.windowed,
            volleys=tuple(
                (volley.first, volley.last, volley.until) for volley in evidence.volleys[-_REMEMBERED:]
            ),
        )
