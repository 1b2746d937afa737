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
`run_ended` is info for status 0, warning for 3, 5, 130 and 143, error for the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any, Final

from harvester.next import events
from harvester.next.errors import StopRun
from harvester.next.model import AccountOutcome, Quota
from harvester.next.report import event_lines as lines
from harvester.next.report.figures import plural
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
            events.RequestEnded: (DETAIL, _line(DETAIL, "request", lines.request_ended)),
            events.Committed: (DETAIL, _line(DETAIL, "committed", lines.committed)),
            events.RetryScheduled: (DEBUG, _line(DEBUG, "retry", lines.retry)),
            events.Resumed: (INFO, _line(INFO, "run_resumed", lines.resumed)),
            events.ListRead: (INFO, _line(INFO, "list_read", lines.list_read)),
            events.ListChanged: (INFO, _line(INFO, "list_changed", lines.list_changed)),
            events.LanePaused: (INFO, _line(INFO, "lane_paused", lines.lane_paused)),
            events.FilePublished: (INFO, _line(INFO, "file_published", lines.file_published)),
            events.ClientDropped: (WARNING, _line(WARNING, "client_dropped", lines.client_dropped)),
            events.LaneDropped: (WARNING, _line(WARNING, "lane_dropped", lines.lane_dropped)),
            events.Stopping: (WARNING, _line(WARNING, "stopping", lines.stopping)),
            events.RateChanged: (INFO, self._rate_changed),
            events.AccountSettled: (WARNING, self._account_settled),
            events.Warned: (WARNING, self._warning),
            events.TokenFailed: (WARNING, self._token_failed),
            events.TokenRenewed: (WARNING, self._token_renewed),
            events.OutageBegan: (WARNING, self._outage_began),
            events.OutageProbed: (WARNING, self._outage_probed),
            events.OutageEnded: (WARNING, self._outage_ended),
            events.DestinationUnavailable: (WARNING, self._destination_unavailable),
            events.DestinationAvailable: (WARNING, self._destination_available),
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

    def _rate_changed(self, event: events.RateChanged) -> None:
        before = self._rates.get(event.lane)
        self._rates[event.lane] = event.per_second
        raised = before is not None and event.per_second > before
        name, level = ("rate_raised", DEBUG) if raised else ("rate_lowered", INFO)
        _log(level, name, event, lines.rate_changed(event))

    # --- what is capped

    def _account_settled(self, event: events.AccountSettled) -> None:
        if event.outcome is not AccountOutcome.FAILED:
            return
        reason = event.reason or "unknown"
        self._failed[reason] += 1
        message = lines.account_failed(event)
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
            _log(WARNING, "warning", event, lines.warned(event))

    # --- what goes on for a while: "still" only after the first line, which is a warning, like the end

    def _still(self, what: str) -> str:
        still = "still " if what in self._ongoing else ""
        self._ongoing.add(what)
        return still

    def _token_failed(self, event: events.TokenFailed) -> None:
        still = self._still(f"token {event.client}")
        _log(INFO if still else WARNING, "token_failed", event, lines.token_failed(event, still))

    def _token_renewed(self, event: events.TokenRenewed) -> None:
        level = WARNING if f"token {event.client}" in self._ongoing else DEBUG
        self._ongoing.discard(f"token {event.client}")
        _log(level, "token_renewed", event, lines.token_renewed(event))

    def _outage_began(self, event: events.OutageBegan) -> None:
        self._still("outage")
        _log(WARNING, "outage_began", event, lines.outage_began(event))

    def _outage_probed(self, event: events.OutageProbed) -> None:
        still = self._still("outage")
        _log(INFO if still else WARNING, "outage_probed", event, lines.outage_probed(event, still))

    def _outage_ended(self, event: events.OutageEnded) -> None:
        self._ongoing.discard("outage")
        _log(WARNING, "outage_ended", event, lines.outage_ended(event))

    def _destination_unavailable(self, event: events.DestinationUnavailable) -> None:
        still = self._still(f"destination {event.place}")
        message = lines.destination_unavailable(event, still)
        _log(INFO if still else WARNING, "destination_unavailable", event, message)

    def _destination_available(self, event: events.DestinationAvailable) -> None:
        self._ongoing.discard(f"destination {event.place}")
        _log(WARNING, "destination_available", event, lines.destination_available(event))


def _line(level: int, name: str, message: Callable[[Any], str]) -> Callable[[Any], None]:
    """A method that logs each event of a type in the same way."""
    return lambda event: _log(level, name, event, message(event))


def _log(level: int, name: str, event: events.Event, message: str) -> None:
    say(level, name, message, **lines.fields_of(event))


def say_start(
    *,
    tenant: str,
    api_versions: Sequence[str],
    output: str,
    quotas: Mapping[str, Quota | None],
    shard: str | None,
    version: str,
) -> None:
    """Log that a run begins: of which tenant, into what, with which quota for each lane."""
    different = dict.fromkeys("none" if quota is None else str(quota) for quota in quotas.values())
    quota = ", ".join(different)
    lanes = f" on each of {len(quotas)} lanes" if len(quotas) > 1 else ""
    place = "stdout" if output == "-" else output
    part = f", shard {shard}" if shard else ""
    say(
        INFO,
        "run_started",
        f"harvesting {tenant} ({', '.join(api_versions)}) into {place}, quota {quota or 'none'}{lanes}{part}",
        version=version,
        tenant=tenant,
        apiVersions=list(api_versions),
        output=output,
        quota=quota or None,
        lanes=len(quotas),
        shard=shard,
    )


def say_error(error: StopRun) -> None:
    """Log why a command ends, with its exit status."""
    say(ERROR, "error", str(error), status=error.exit_status, problem=error.problem, hint=error.hint)
