"""Which event becomes which log line. Names and fields are stable: docs/events.md lists them all.

All durations are in seconds; `reason` is a word of `model.Reason`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Final, TypeAlias

from harvester import events
from harvester.errors import StopRun
from harvester.model import AccountOutcome
from harvester.report.log import DETAIL, LOGGER, say
from harvester.report.reasons import meaning
from harvester.report.text import plural, rate, record, size, span

LINES_PER_REASON: Final = 20
"""Enough to see a pattern; the failures file has all of them."""

_Line: TypeAlias = tuple[int, str, str]
"""Level, name of the event, and the sentence for people."""


@dataclass(slots=True)
class EventLog:
    """Logs the events of a run.

    `failures` is the failures file: where there is one, the lines about failed accounts are capped at 20
    per reason (with any verbosity) and the rest counted; where there is none (None), the log is where
    each of them is named. Warnings of one kind are always capped. `finish` logs what was only counted.
    """

    failures: str | None = None
    _rates: dict[str, float] = field(default_factory=dict)
    _failed: Counter[str] = field(default_factory=Counter)
    _warned: Counter[str] = field(default_factory=Counter)
    _ongoing: set[str] = field(default_factory=set)

    def observe(self, event: events.Event) -> None:
        """Log one event. There is one for each request and each account: most of them stop here."""
        if isinstance(event, events.RequestEnded):
            if not LOGGER.isEnabledFor(DETAIL):
                return
        elif isinstance(event, events.AccountSettled) and event.outcome is not AccountOutcome.FAILED:
            return
        level, name, message = self._line(event)
        if message:
            say(level, name, message, **record(event))

    def finish(self) -> None:
        """Log how many lines the caps left out."""
        for reason, number in self._failed.items():
            if self.failures is not None and (more := number - LINES_PER_REASON) > 0:
                message = f"{plural(more, 'more account')} failed: {meaning(reason).words} ({reason})"
                say(WARNING, "accounts_failed", message, reason=reason, more=more)
        for code, number in self._warned.items():
            if (more := number - LINES_PER_REASON) > 0:
                message = f"{plural(more, 'more warning')} of this kind: {code}"
                say(WARNING, "warnings", message, code=code, more=more)

    def _line(self, event: events.Event) -> _Line:  # noqa: C901, PLR0911  # one for each event
        """The line of an event; what is too much of a kind has no message."""
        match event:
            case events.AccountSettled():
                return WARNING, "account_failed", self._account_failed(event)
            case events.Warned():
                self._warned[event.code] += 1
                message = f"{event.problem}: {event.hint}" if event.hint else event.problem
                return WARNING, "warning", message if self._warned[event.code] <= LINES_PER_REASON else ""
            case events.RateChanged():
                before = self._rates.get(event.lane)
                self._rates[event.lane] = event.per_second
                raised = before is not None and event.per_second > before
                level, name = (DEBUG, "rate_raised") if raised else (INFO, "rate_lowered")
                return level, name, f"lane {event.lane} now sends {rate(event.per_second)}"
            case events.TokenFailed():
                level, still = self._goes_on(f"token {event.client}")
                problem = f"{still}could not get a token ({event.detail})"
                message = f"client {event.client}: {problem}: next attempt in {span(event.next_in)}"
                return level, "token_failed", message
            case events.TokenRenewed():
                life = "of unknown lifetime" if event.seconds is None else f"valid for {span(event.seconds)}"
                level = WARNING if self._ends(f"token {event.client}") else DEBUG
                return level, "token_renewed", f"client {event.client} has a new token, {life}"
            case events.OutageBegan():
                self._goes_on("outage")
                waiting = "waiting for it, no account loses an attempt"
                return WARNING, "outage_began", f"the tenant is not reachable ({event.detail}): {waiting}"
            case events.OutageProbed():
                level, still = self._goes_on("outage")
                problem = f"the tenant is {still}not reachable ({event.detail})"
                return level, "outage_probed", f"{problem}: next probe in {span(event.next_in)}"
            case events.OutageEnded():
                self._ends("outage")
                return WARNING, "outage_ended", f"the tenant responds again after {span(event.seconds)}"
            case events.DestinationUnavailable():
                level, still = self._goes_on(f"destination {event.place}")
                problem = f"{event.place} {still}cannot be written to ({event.detail})"
                return level, "destination_unavailable", f"{problem}: next attempt in {span(event.next_in)}"
            case events.DestinationAvailable():
                self._ends(f"destination {event.place}")
                message = f"{event.place} can be written to again after {span(event.seconds)}"
                return WARNING, "destination_available", message
        return _plain_line(event)

    def _account_failed(self, event: events.AccountSettled) -> str:
        reason = event.reason or "unknown"
        self._failed[reason] += 1
        message = (
            f"account {event.account_id} failed: {event.detail or meaning(reason).words} ({event.reason})"
        )
        if self.failures is None or self._failed[reason] < LINES_PER_REASON:
            return message
        if self._failed[reason] > LINES_PER_REASON:
            return ""
        others = f"more accounts that fail as {reason} are only counted here, and listed in {self.failures}"
        return f"{message}; {others}"

    def _goes_on(self, what: str) -> tuple[int, str]:
        """For what goes on for a while: "still" only after the first line, which is a warning."""
        known = what in self._ongoing
        self._ongoing.add(what)
        return (INFO, "still ") if known else (WARNING, "")

    def _ends(self, what: str) -> bool:
        known = what in self._ongoing
        self._ongoing.discard(what)
        return known


def _plain_line(event: events.Event) -> _Line:  # noqa: C901, PLR0911  # one for each event
    """The line of an event that is logged in the same way whatever came before."""
    match event:
        case events.RequestEnded():
            return DETAIL, "request", _request(event)
        case events.Committed():
            message = f"{plural(event.accounts, 'account')} committed in {span(event.seconds)}"
            return DETAIL, "committed", message
        case events.RetryScheduled():
            message = f"account {event.account_id} will be requested again in {span(event.delay)}"
            return DEBUG, "retry", f"{message}: {event.detail} ({event.reason}, attempt {event.attempt})"
        case events.RunStarted():
            return INFO, "run_started", _run_started(event)
        case events.Resumed():
            settled = f"{plural(event.settled, 'account')} settled earlier"
            return INFO, "run_resumed", f"resuming the harvest of run {event.run_id}: {settled}"
        case events.ListRead():
            return INFO, "list_read", _list_read(event)
        case events.ListChanged():
            changes = f"{event.added:,} added, {event.dropped:,} dropped, {event.shared:,} on both"
            return INFO, "list_changed", f"the list has changed since the unfinished harvest: {changes}"
        case events.LanePaused():
            why = "as Retry-After asks" if event.asked else "without a usable Retry-After"
            pause = f"pauses for {span(event.seconds)} after a {event.status}, {why}"
            return INFO, "lane_paused", f"lane {event.lane} {pause}"
        case events.FilePublished():
            new = " new or changed" if event.bytes is None else f", {size(event.bytes)}"
            name = "stdout" if event.name == "-" else event.name
            return INFO, "file_published", f"{name} is complete: {plural(event.rows, 'row')}{new}"
        case events.ClientDropped():
            return WARNING, "client_dropped", f"client {event.client} is no longer used: {event.detail}"
        case events.LaneDropped():
            return WARNING, "lane_dropped", f"lane {event.lane} is no longer used: {event.detail}"
        case events.Stopping():
            return WARNING, "stopping", _stopping(event)
    return DEBUG, "", ""


def _request(event: events.RequestEnded) -> str:
    outcome = event.status if event.reason is None else f"{event.status or 'no answer'}, {event.reason}"
    received = f"{plural(event.body_bytes, 'byte')} in {span(event.seconds)}"
    return f"{event.purpose} request on {event.lane}: {outcome}, {received}"


def _run_started(event: events.RunStarted) -> str:
    versions, place = ", ".join(event.api_versions), "stdout" if event.output == "-" else event.output
    lanes = f" on each of {event.lanes} lanes" if event.lanes > 1 else ""
    part = f", shard {event.shard}" if event.shard else ""
    return f"harvesting {event.tenant} ({versions}) into {place}, quota {event.quota or 'none'}{lanes}{part}"


def _list_read(event: events.ListRead) -> str:
    extras = [f"{event.repeated:,} repeated"] if event.repeated else []
    extras += [f"{event.settled_earlier:,} settled earlier"] if event.settled_earlier else []
    return f"the list has {plural(event.distinct, 'account')}" + (f" ({', '.join(extras)})" if extras else "")


def _stopping(event: events.Stopping) -> str:
    again = "; a second signal exits at once" if event.by_signal else ""
    if not event.grace:
        return f"stopping ({event.detail}){again}"
    return f"stopping ({event.detail}): requests in flight get up to {span(event.grace)} to finish{again}"


def say_error(error: StopRun) -> None:
    """Log why a command ends, with its exit status."""
    say(ERROR, "error", str(error), status=error.exit_status, problem=error.problem, hint=error.hint)
