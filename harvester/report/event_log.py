"""Which event becomes which log line. Names and fields are stable: alerts and dashboards depend on them.

| event | level | fields |
| --- | --- | --- |
| `run_started` | info | `version` `tenant` `apiVersions` `output` `quota` `lanes` `shard` |
| `run_resumed` | info | `runId` `settled` |
| `list_read` | info | `distinct` `repeated` `settledEarlier` |
| `list_changed` | info | `added` `dropped` `shared` |
| `progress` | info | `done` `total` `rows` `requestsPerSecond` `permittedPerSecond` `retries` `failed` … |
| `lane_paused` | info | `lane` `status` `seconds` `asked` (false: there was no usable `Retry-After`) |
| `rate_lowered` | info | `lane` `perSecond` |
| `rate_raised` | debug | `lane` `perSecond` |
| `token_renewed` | debug, warning | `client` `seconds` (its lifetime; a warning after `token_failed`) |
| `token_failed` | warning, info | `client` `detail` `nextIn` (a warning the first time) |
| `client_dropped` | warning | `client` `detail` |
| `lane_dropped` | warning | `lane` `detail` |
| `retry` | debug | `accountId` `reason` `attempt` `delay` `detail` |
| `account_failed` | warning | `accountId` `outcome` `rows` `reason` `detail` |
| `accounts_failed` | warning | `reason` `more` (how many were not logged one by one) |
| `outage_began` | warning | `detail` |
| `outage_probed` | info, warning | `detail` `nextIn` (a warning where no `outage_began` came before) |
| `outage_ended` | warning | `seconds` |
| `file_published` | info | `name` `rows` `bytes` |
| `destination_unavailable` | warning, info | `place` `detail` `nextIn` (a warning the first time) |
| `destination_available` | warning | `place` `seconds` |
| `warning` | warning | `code` `problem` `hint` |
| `warnings` | warning | `code` `more` (how many were not logged one by one) |
| `stopping` | warning | `detail` `grace` `bySignal` |
| `request` | debug (only with `-vv`) | `lane` `purpose` `status` `reason` `seconds` `bodyBytes` |
| `committed` | debug (only with `-vv`) | `accounts` `rows` `seconds` |
| `run_ended` | info, warning, error | the summary without its lists: `runId` `status` `counts` `rows` … |
| `listing` | info | `what` `listed` (so far, every 30 s, where a command lists accounts or sources) |
| `listed` | info | `what` `listed` `seconds` |
| `error` | error | `status` `problem` `hint` |

`-v` adds debug lines; `-q` leaves warnings and errors. All durations are in seconds; `reason` is a word of
`model.Reason`. `progress` also has `inFlight`, `secondsLeft` and `state`; null is what is not known.
`run_ended` is info for status 0, warning for 3, 5, 129, 130 and 143, error for the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any, Final, TypeAlias

from harvester import events
from harvester.errors import StopRun
from harvester.model import AccountOutcome
from harvester.report.figures import plural, rate, size, span
from harvester.report.log import DETAIL, LOGGER, say
from harvester.report.observers import Handlers
from harvester.report.reasons import meaning

LINES_PER_REASON: Final = 20
"""Enough to see a pattern; the failures file has all of them."""

_Line: TypeAlias = tuple[int, str, Callable[[Any], str]]
"""Level, name of the event, and the sentence for people."""


def _request(event: events.RequestEnded) -> str:
    outcome = event.status if event.reason is None else f"{event.status or 'no answer'}, {event.reason}"
    received = f"{plural(event.body_bytes, 'byte')} in {span(event.seconds)}"
    return f"{event.purpose} request on {event.lane}: {outcome}, {received}"


def _retry(event: events.RetryScheduled) -> str:
    return (
        f"account {event.account_id} will be requested again in {span(event.delay)}: {event.detail} "
        f"({event.reason}, attempt {event.attempt})"
    )


def _run_started(event: events.RunStarted) -> str:
    versions, place = ", ".join(event.api_versions), "stdout" if event.output == "-" else event.output
    lanes = f" on each of {event.lanes} lanes" if event.lanes > 1 else ""
    part = f", shard {event.shard}" if event.shard else ""
    return f"harvesting {event.tenant} ({versions}) into {place}, quota {event.quota or 'none'}{lanes}{part}"


def _list_read(event: events.ListRead) -> str:
    extras = [f"{event.repeated:,} repeated"] if event.repeated else []
    extras += [f"{event.settled_earlier:,} settled earlier"] if event.settled_earlier else []
    return f"the list has {plural(event.distinct, 'account')}" + (f" ({', '.join(extras)})" if extras else "")


def _list_changed(event: events.ListChanged) -> str:
    return (
        f"the list has changed since the unfinished harvest: {event.added:,} added, "
        f"{event.dropped:,} dropped, {event.shared:,} on both"
    )


def _lane_paused(event: events.LanePaused) -> str:
    why = "as Retry-After asks" if event.asked else "without a usable Retry-After"
    return f"lane {event.lane} pauses for {span(event.seconds)} after a {event.status}, {why}"


def _token_renewed(event: events.TokenRenewed) -> str:
    life = "of unknown lifetime" if event.seconds is None else f"valid for {span(event.seconds)}"
    return f"client {event.client} has a new token, {life}"


def _stopping(event: events.Stopping) -> str:
    again = "; a second signal exits at once" if event.by_signal else ""
    if not event.grace:
        return f"stopping ({event.detail}){again}"
    return f"stopping ({event.detail}): requests in flight get up to {span(event.grace)} to finish{again}"


_LINES: Final[Mapping[type, _Line]] = {
    events.RequestEnded: (DETAIL, "request", _request),
    events.Committed: (
        DETAIL,
        "committed",
        lambda event: f"{plural(event.accounts, 'account')} committed in {span(event.seconds)}",
    ),
    events.RetryScheduled: (DEBUG, "retry", _retry),
    events.RunStarted: (INFO, "run_started", _run_started),
    events.Resumed: (
        INFO,
        "run_resumed",
        lambda event: (
            f"resuming the harvest of run {event.run_id}: {plural(event.settled, 'account')} settled earlier"
        ),
    ),
    events.ListRead: (INFO, "list_read", _list_read),
    events.ListChanged: (INFO, "list_changed", _list_changed),
    events.LanePaused: (INFO, "lane_paused", _lane_paused),
    events.FilePublished: (
        INFO,
        "file_published",
        lambda event: (
            f"{event.name} is complete: {plural(event.rows, 'row')}"
            + (f", {size(event.bytes)}" if event.bytes is not None else " new or changed")
        ),
    ),
    events.ClientDropped: (
        WARNING,
        "client_dropped",
        lambda event: f"client {event.client} is not used any more: {event.detail}",
    ),
    events.LaneDropped: (
        WARNING,
        "lane_dropped",
        lambda event: f"lane {event.lane} is not used any more: {event.detail}",
    ),
    events.Stopping: (WARNING, "stopping", _stopping),
}
"""The events that are logged in the same way whatever came before."""


class EventLog:
    """Logs the events of a run. A type of event below the logger's level costs nothing.

    `failures` is the failures file: where there is one, the lines about failed accounts are capped at 20
    per reason (with any verbosity) and the rest counted; where there is none (None), the log is where
    each of them is named. Warnings of one kind are always capped. `finish` logs what was only counted.
    """

    def __init__(self, failures: str | None = None, logger: logging.Logger = LOGGER) -> None:
        self._failures = failures
        self._rates: dict[str, float] = {}
        self._failed: Counter[str] = Counter()
        self._warned: Counter[str] = Counter()
        self._ongoing: set[str] = set()
        handlers: dict[type, Callable[[Any], None]] = {
            kind: _logged(*line) for kind, line in _LINES.items() if logger.isEnabledFor(line[0])
        }
        if logger.isEnabledFor(INFO):
            handlers[events.RateChanged] = self._rate_changed
        if logger.isEnabledFor(WARNING):
            handlers |= {
                events.AccountSettled: self._account_settled,
                events.Warned: self._warning,
                events.TokenFailed: self._token_failed,
                events.TokenRenewed: self._token_renewed,
                events.OutageBegan: self._outage_began,
                events.OutageProbed: self._outage_probed,
                events.OutageEnded: self._outage_ended,
                events.DestinationUnavailable: self._destination_unavailable,
                events.DestinationAvailable: self._destination_available,
            }
        self.handlers: Handlers = handlers

    def observe(self, event: events.Event) -> None:
        """Log one event; `fan_out` calls the method for it directly."""
        method = self.handlers.get(type(event))
        if method is not None:
            method(event)

    def finish(self) -> None:
        """Log how many lines the caps left out."""
        for reason, number in self._failed.items():
            if self._failures is not None and (more := number - LINES_PER_REASON) > 0:
                message = f"{plural(more, 'more account')} failed: {meaning(reason).words} ({reason})"
                say(WARNING, "accounts_failed", message, reason=reason, more=more)
        for code, number in self._warned.items():
            if (more := number - LINES_PER_REASON) > 0:
                message = f"{plural(more, 'more warning')} of this kind: {code}"
                say(WARNING, "warnings", message, code=code, more=more)

    def _rate_changed(self, event: events.RateChanged) -> None:
        before = self._rates.get(event.lane)
        self._rates[event.lane] = event.per_second
        raised = before is not None and event.per_second > before
        name, level = ("rate_raised", DEBUG) if raised else ("rate_lowered", INFO)
        _log(level, name, event, f"lane {event.lane} now sends {rate(event.per_second)}")

    # --- what is capped

    def _account_settled(self, event: events.AccountSettled) -> None:
        if event.outcome is not AccountOutcome.FAILED:
            return
        reason = event.reason or "unknown"
        self._failed[reason] += 1
        words = event.detail or meaning(reason).words
        message = f"account {event.account_id} failed: {words} ({event.reason})"
        if self._failures is not None and self._failed[reason] >= LINES_PER_REASON:
            if self._failed[reason] > LINES_PER_REASON:
                return
            message += (
                f"; more accounts that fail as {reason} are only counted here, and listed in {self._failures}"
            )
        _log(WARNING, "account_failed", event, message)

    def _warning(self, event: events.Warned) -> None:
        self._warned[event.code] += 1
        if self._warned[event.code] <= LINES_PER_REASON:
            message = f"{event.problem}: {event.hint}" if event.hint else event.problem
            _log(WARNING, "warning", event, message)

    # --- what goes on for a while: "still" only after the first line, which is a warning, like the end

    def _still(self, what: str) -> tuple[int, str]:
        known = what in self._ongoing
        self._ongoing.add(what)
        return (INFO, "still ") if known else (WARNING, "")

    def _token_failed(self, event: events.TokenFailed) -> None:
        level, still = self._still(f"token {event.client}")
        problem = f"{still}could not get a token ({event.detail})"
        message = f"client {event.client}: {problem}: next attempt in {span(event.next_in)}"
        _log(level, "token_failed", event, message)

    def _token_renewed(self, event: events.TokenRenewed) -> None:
        level = WARNING if f"token {event.client}" in self._ongoing else DEBUG
        self._ongoing.discard(f"token {event.client}")
        _log(level, "token_renewed", event, _token_renewed(event))

    def _outage_began(self, event: events.OutageBegan) -> None:
        self._ongoing.add("outage")
        waiting = "waiting for it, no account loses an attempt"
        _log(WARNING, "outage_began", event, f"the tenant is not reachable ({event.detail}): {waiting}")

    def _outage_probed(self, event: events.OutageProbed) -> None:
        level, still = self._still("outage")
        message = f"the tenant is {still}not reachable ({event.detail}): next probe in {span(event.next_in)}"
        _log(level, "outage_probed", event, message)

    def _outage_ended(self, event: events.OutageEnded) -> None:
        self._ongoing.discard("outage")
        message = f"the tenant responds again after {span(event.seconds)}"
        _log(WARNING, "outage_ended", event, message)

    def _destination_unavailable(self, event: events.DestinationUnavailable) -> None:
        level, still = self._still(f"destination {event.place}")
        problem = f"{still}cannot be written to ({event.detail})"
        message = f"{event.place} {problem}: next attempt in {span(event.next_in)}"
        _log(level, "destination_unavailable", event, message)

    def _destination_available(self, event: events.DestinationAvailable) -> None:
        self._ongoing.discard(f"destination {event.place}")
        message = f"{event.place} can be written to again after {span(event.seconds)}"
        _log(WARNING, "destination_available", event, message)


def _logged(level: int, name: str, message: Callable[[Any], str]) -> Callable[[Any], None]:
    return lambda event: _log(level, name, event, message(event))


def _log(level: int, name: str, event: events.Event, message: str) -> None:
    """Log `message` with all that the event has, by names in camel case."""
    names = event._fields if isinstance(event, tuple) else [field.name for field in fields(event)]
    say(level, name, message, **{_camel(one): _plain(getattr(event, one)) for one in names})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name.lower()
    return round(value, 6) if isinstance(value, float) else value


def say_error(error: StopRun) -> None:
    """Log why a command ends, with its exit status."""
    say(ERROR, "error", str(error), status=error.exit_status, problem=error.problem, hint=error.hint)
