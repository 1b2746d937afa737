"""Which event becomes which log line. Names and fields are stable: alerts and dashboards depend on them.

| event | level | fields |
| --- | --- | --- |
| `run_started` | info | `version` `tenant` `apiVersions` `output` `quota` `lanes` `shard` |
| `run_resumed` | info | `runId` `settledEarlier` |
| `list_read` | info | `distinct` `repeated` `settledEarlier` |
| `list_changed` | info | `added` `dropped` `shared` |
| `progress` | info | `done` `total` `rows` `requestsPerSecond` `permittedPerSecond` `retries` `failed` … |
| `lane_paused` | info | `lane` `status` `seconds` `asked` (false: there was no usable `Retry-After`) |
| `rate_lowered` | info | `lane` `requestsPerSecond` |
| `rate_raised` | debug | `lane` `requestsPerSecond` |
| `token_renewed` | debug, warning | `client` `seconds` (its lifetime; a warning after `token_failed`) |
| `token_failed` | warning, info | `client` `detail` `nextInSeconds` (a warning the first time) |
| `client_dropped` | warning | `client` `detail` |
| `lane_dropped` | warning | `lane` `detail` |
| `retry` | debug | `accountId` `reason` `attempt` `delaySeconds` `detail` |
| `account_failed` | warning | `accountId` `reason` `detail` |
| `accounts_failed` | warning | `reason` `more` (how many were not logged one by one) |
| `outage_began` | warning | `detail` |
| `outage_probed` | info | `detail` `nextInSeconds` |
| `outage_ended` | warning | `seconds` |
| `file_published` | info | `name` `rows` `bytes` |
| `destination_unavailable` | warning, info | `place` `detail` `nextInSeconds` (a warning the first time) |
| `destination_available` | warning | `place` `seconds` |
| `warning` | warning | `code` `problem` `hint` |
| `warnings` | warning | `code` `more` (how many were not logged one by one) |
| `stopping` | warning | `detail` `graceSeconds` |
| `request` | debug (only with `-vv`) | `lane` `purpose` `status` `reason` `seconds` `bytes` |
| `committed` | debug (only with `-vv`) | `accounts` `rows` `seconds` |
| `run_ended` | info, warning, error | the summary without its lists: `runId` `status` `counts` `rows` … |
| `error` | error | `status` `problem` `hint` |

`-v` adds debug lines; `-q` leaves warnings and errors. `reason` is a word of `model.Reason`.
`progress` also has `inFlight`, `secondsLeft` and `state`; null is what is not known.
`run_ended` is info for status 0, warning for 3, 5, 130 and 143, error for the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from logging import DEBUG, INFO, WARNING
from typing import Any, Final

from harvester.next import events
from harvester.next.model import AccountOutcome
from harvester.next.report import event_lines
from harvester.next.report.figures import plural, rate, span
from harvester.next.report.log import DETAIL, LOGGER, say
from harvester.next.report.observers import Handlers
from harvester.next.report.reasons import meaning

LINES_PER_REASON: Final = 20
"""Enough to see a pattern; the failures file has all of them."""


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
        table: dict[type, tuple[int, Callable[[Any], None]]] = {
            events.RequestEnded: (DETAIL, event_lines.request_ended),
            events.Committed: (DETAIL, event_lines.committed),
            events.RetryScheduled: (DEBUG, event_lines.retry_scheduled),
            events.TokenRenewed: (WARNING, self._token_renewed),
            events.RateChanged: (INFO, self._rate_changed),
            events.Resumed: (INFO, event_lines.resumed),
            events.ListRead: (INFO, event_lines.list_read),
            events.ListChanged: (INFO, event_lines.list_changed),
            events.LanePaused: (INFO, event_lines.lane_paused),
            events.FilePublished: (INFO, event_lines.file_published),
            events.AccountSettled: (WARNING, self._account_settled),
            events.TokenFailed: (WARNING, self._token_failed),
            events.ClientDropped: (WARNING, event_lines.client_dropped),
            events.LaneDropped: (WARNING, event_lines.lane_dropped),
            events.OutageBegan: (WARNING, self._outage_began),
            events.OutageProbed: (WARNING, self._outage_probed),
            events.OutageEnded: (WARNING, self._outage_ended),
            events.DestinationUnavailable: (WARNING, self._destination_unavailable),
            events.DestinationAvailable: (WARNING, self._destination_available),
            events.Warned: (WARNING, self._warning),
            events.Stopping: (WARNING, event_lines.stopping),
        }
        self.handlers: Handlers = {
            kind: method for kind, (level, method) in table.items() if logger.isEnabledFor(level)
        }

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

    # --- what goes on for a while: "still" only after the first line

    def _first(self, what: str) -> bool:
        first = what not in self._ongoing
        self._ongoing.add(what)
        return first

    def _outage_began(self, event: events.OutageBegan) -> None:
        self._first("outage")
        message = f"the tenant is not reachable ({event.detail}): waiting for it, no account loses an attempt"
        say(WARNING, "outage_began", message, detail=event.detail)

    def _outage_probed(self, event: events.OutageProbed) -> None:
        still, level = ("", WARNING) if self._first("outage") else ("still ", INFO)
        message = f"the tenant is {still}not reachable ({event.detail}): next probe in {span(event.next_in)}"
        say(level, "outage_probed", message, detail=event.detail, nextInSeconds=round(event.next_in, 3))

    def _outage_ended(self, event: events.OutageEnded) -> None:
        # As loud as its beginning, so that a quiet log has the end of the story, too.
        self._ongoing.discard("outage")
        message = f"the tenant responds again after {span(event.seconds)}"
        say(WARNING, "outage_ended", message, seconds=round(event.seconds, 3))

    def _token_failed(self, event: events.TokenFailed) -> None:
        first = self._first(f"token {event.client}")
        problem = "could not get a token" if first else "still could not get a token"
        say(
            WARNING if first else INFO,
            "token_failed",
            f"client {event.client}: {problem} ({event.detail}): next attempt in {span(event.next_in)}",
            client=event.client,
            detail=event.detail,
            nextInSeconds=round(event.next_in, 3),
        )

    def _token_renewed(self, event: events.TokenRenewed) -> None:
        failed_before = f"token {event.client}" in self._ongoing
        self._ongoing.discard(f"token {event.client}")
        life = "of unknown lifetime" if event.seconds is None else f"valid for {span(event.seconds)}"
        message = f"client {event.client} has a new token, {life}"
        say(
            WARNING if failed_before else DEBUG,
            "token_renewed",
            message,
            client=event.client,
            seconds=event.seconds,
        )

    def _destination_unavailable(self, event: events.DestinationUnavailable) -> None:
        first = self._first(f"destination {event.place}")
        problem = "cannot be written to" if first else "still cannot be written to"
        say(
            WARNING if first else INFO,
            "destination_unavailable",
            f"{event.place} {problem} ({event.detail}): next attempt in {span(event.next_in)}",
            place=event.place,
            detail=event.detail,
            nextInSeconds=round(event.next_in, 3),
        )

    def _destination_available(self, event: events.DestinationAvailable) -> None:
        self._ongoing.discard(f"destination {event.place}")
        message = f"{event.place} can be written to again after {span(event.seconds)}"
        say(WARNING, "destination_available", message, place=event.place, seconds=round(event.seconds, 3))

    # --- what is capped

    def _account_settled(self, event: events.AccountSettled) -> None:
        if event.outcome is not AccountOutcome.FAILED:
            return
        reason = event.reason or "unknown"
        self._failed[reason] += 1
        rest = ""
        if self._failures is not None and self._failed[reason] >= LINES_PER_REASON:
            if self._failed[reason] > LINES_PER_REASON:
                return
            rest = (
                f"; more accounts that fail as {reason} are only counted here, and listed in {self._failures}"
            )
        words = event.detail or meaning(reason).words
        say(
            WARNING,
            "account_failed",
            f"account {event.account_id} failed: {words} ({reason}){rest}",
            accountId=event.account_id,
            reason=reason,
            detail=event.detail,
        )

    def _warning(self, event: events.Warned) -> None:
        self._warned[event.code] += 1
        if self._warned[event.code] <= LINES_PER_REASON:
            message = f"{event.problem}: {event.hint}" if event.hint else event.problem
            say(WARNING, "warning", message, code=event.code, problem=event.problem, hint=event.hint)

    def _rate_changed(self, event: events.RateChanged) -> None:
        before = self._rates.get(event.lane)
        self._rates[event.lane] = event.per_second
        raised = before is not None and event.per_second > before
        say(
            DEBUG if raised else INFO,
            "rate_raised" if raised else "rate_lowered",
            f"lane {event.lane} now sends {rate(event.per_second)}",
            lane=event.lane,
            requestsPerSecond=round(event.per_second, 3),
        )
