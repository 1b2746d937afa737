"""Which event becomes which log line. The names and fields are stable: alerts and dashboards rest on them.

| event | level | fields |
| --- | --- | --- |
| `run_started` | info | `version` `tenant` `apiVersion` `output` `quota` `shard` |
| `run_resumed` | info | `runId` `finishedEarlier` |
| `list_read` | info | `distinct` `repeated` `finishedEarlier` |
| `progress` | info | `done` `known` `total` `rows` `requestsPerSecond` `permittedPerSecond` `retries` … |
| `client_paused` | info | `client` `seconds` `asked` (false: no `Retry-After` that makes sense came) |
| `rate_lowered` | info | `client` `requestsPerSecond` |
| `rate_raised` | debug | `client` `requestsPerSecond` |
| `token_renewed` | debug | `client` `seconds` (its life, null: not known) |
| `client_dropped` | warning | `client` `detail` |
| `retry` | debug | `accountId` `reason` `attempt` `delaySeconds` `detail` |
| `account_failed` | warning | `accountId` `reason` `detail` |
| `outage_began` | warning | `detail` |
| `outage_probed` | info | `detail` `nextInSeconds` |
| `outage_ended` | warning | `seconds` |
| `part_finished` | info | `name` `rows` `bytes` |
| `output_spooled` | info | `place` `folder` (kept there until it has come to the object store) |
| `output_away` | warning | `place` `detail` `nextInSeconds` |
| `output_back` | warning | `place` `seconds` |
| `stopping` | warning | `detail` |
| `request` | debug (only with `-vv`) | `client` `status` `reason` `seconds` `bytes` |
| `committed` | debug (only with `-vv`) | `accounts` `rows` `bytes` `seconds` |
| `run_ended` | info, warning, error | the summary but its lists: `runId` `status` `counts` `rows` … |
| `accounts_listed` | info | `done` `seconds` (of `harvester accounts`; its `progress` has only `done`) |
| `metrics_served` | info | `url` (by `--metrics-port`) |
| `report_written` | info | `path` (by `--report`) |
| `report_missed` | warning | `path` `detail` |
| `error` | error | `status` `problem` `mend` |

Debug lines come with `-v`; `-q` leaves warnings and errors. `reason` is a word of `model.Reason`.
`progress` goes on with `failed`, `inFlight`, `secondsLeft` and `state`; null is what is not known.
`run_ended` is info for status 0, warning for 3, 5, 130 and 143, error for the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from logging import DEBUG, INFO, WARNING
from typing import Any
from urllib.parse import urlsplit

from harvester.events import (
    AccountSettled,
    ClientDropped,
    ClientPaused,
    Committed,
    Event,
    ListRead,
    OutageBegan,
    OutageEnded,
    OutageProbed,
    OutputAway,
    OutputBack,
    OutputSpooled,
    PartFinished,
    RateChanged,
    RequestEnded,
    Resumed,
    RetryScheduled,
    Stopping,
    TokenRenewed,
)
from harvester.report.fan_out import Handlers
from harvester.report.figures import plural, rate, size, span
from harvester.report.log import DETAIL, LOGGER, say
from harvester.report.reasons import meaning
from harvester.report.version import program_version
from harvester.settings.model import Settings


class EventLog:
    """Listens to a run and logs it. What is below the logger's level when it is made is never heard."""

    def __init__(self, logger: logging.Logger = LOGGER) -> None:
        self._rates: dict[str, float] = {}
        table: dict[type, tuple[int, Callable[[Any], None]]] = {
            RequestEnded: (DETAIL, _request_ended),
            Committed: (DETAIL, _committed),
            RetryScheduled: (DEBUG, _retry_scheduled),
            TokenRenewed: (DEBUG, _token_renewed),
            RateChanged: (INFO, self._rate_changed),
            Resumed: (INFO, _resumed),
            ListRead: (INFO, _list_read),
            ClientPaused: (INFO, _client_paused),
            OutageProbed: (INFO, _outage_probed),
            PartFinished: (INFO, _part_finished),
            OutputSpooled: (INFO, _output_spooled),
            OutputAway: (WARNING, _output_away),
            OutputBack: (WARNING, _output_back),
            AccountSettled: (WARNING, _account_settled),
            ClientDropped: (WARNING, _client_dropped),
            OutageBegan: (WARNING, _outage_began),
            OutageEnded: (WARNING, _outage_ended),
            Stopping: (WARNING, _stopping),
        }
        self.handlers: Handlers = {
            kind: hear for kind, (level, hear) in table.items() if logger.isEnabledFor(level)
        }

    def observe(self, event: Event) -> None:
        """Log one event. `fan_out` goes to the function at once instead."""
        hear = self.handlers.get(type(event))
        if hear is not None:
            hear(event)

    def _rate_changed(self, event: RateChanged) -> None:
        before = self._rates.get(event.client)
        self._rates[event.client] = event.per_second
        raised = before is not None and event.per_second > before
        say(
            DEBUG if raised else INFO,
            "rate_raised" if raised else "rate_lowered",
            f"client {event.client} now sends {rate(event.per_second)}",
            client=event.client,
            requestsPerSecond=round(event.per_second, 3),
        )


def say_start(settings: Settings) -> None:
    """Log that a run begins: of what, into what, at which quota a client."""
    host = urlsplit(settings.base_url).hostname or ""
    quota = None if settings.quota is None else str(settings.quota)
    shard = None if settings.shard is None else str(settings.shard)
    place = "stdout" if settings.output == "-" else settings.output
    part = f", shard {shard}" if shard else ""
    say(
        INFO,
        "run_started",
        f"harvesting {host} ({settings.api_version}) into {place}, quota {quota or 'none'}{part}",
        version=program_version(),
        tenant=host,
        apiVersion=settings.api_version,
        output=settings.output,
        quota=quota,
        shard=shard,
    )


def _request_ended(event: RequestEnded) -> None:
    outcome = event.status if event.reason is None else f"{event.status or 'no answer'}, {event.reason}"
    say(
        DETAIL,
        "request",
        f"request by client {event.client}: {outcome}, {event.body_bytes:,} bytes in {span(event.seconds)}",
        client=event.client,
        status=event.status,
        reason=event.reason,
        seconds=round(event.seconds, 6),
        bytes=event.body_bytes,
    )


def _account_settled(event: AccountSettled) -> None:
    if event.reason is None:
        return
    words = event.detail or meaning(event.reason).words
    say(
        WARNING,
        "account_failed",
        f"account {event.account_id} failed: {words} ({event.reason})",
        accountId=event.account_id,
        reason=event.reason,
        detail=event.detail,
    )


def _retry_scheduled(event: RetryScheduled) -> None:
    say(
        DEBUG,
        "retry",
        f"account {event.account_id} is tried again in {span(event.delay)}: {event.detail} "
        f"({event.reason}, after attempt {event.attempt})",
        accountId=event.account_id,
        reason=event.reason,
        attempt=event.attempt,
        delaySeconds=round(event.delay, 3),
        detail=event.detail,
    )


def _client_paused(event: ClientPaused) -> None:
    why = "as the tenant asked" if event.asked else "the tenant did not say for how long"
    say(
        INFO,
        "client_paused",
        f"client {event.client} pauses for {span(event.seconds)} after a 429, {why}",
        client=event.client,
        seconds=round(event.seconds, 3),
        asked=event.asked,
    )


def _token_renewed(event: TokenRenewed) -> None:
    life = "for a time not told" if event.seconds is None else f"for {span(event.seconds)}"
    message = f"client {event.client} has a new token, good {life}"
    say(DEBUG, "token_renewed", message, client=event.client, seconds=event.seconds)


def _client_dropped(event: ClientDropped) -> None:
    message = f"client {event.client} is dropped, the others take its accounts: {event.detail}"
    say(WARNING, "client_dropped", message, client=event.client, detail=event.detail)


def _outage_began(event: OutageBegan) -> None:
    message = f"the tenant is away ({event.detail}): waiting for it, no account is given up for this"
    say(WARNING, "outage_began", message, detail=event.detail)


def _outage_probed(event: OutageProbed) -> None:
    message = f"the tenant is still away ({event.detail}): next probe in {span(event.next_in)}"
    say(INFO, "outage_probed", message, detail=event.detail, nextInSeconds=round(event.next_in, 3))


def _outage_ended(event: OutageEnded) -> None:
    # As loud as its beginning, so that a quiet log tells the end of the story too.
    message = f"the tenant answers again after {span(event.seconds)}"
    say(WARNING, "outage_ended", message, seconds=round(event.seconds, 3))


def _list_read(event: ListRead) -> None:
    if not event.whole:
        return
    extras = [f"{event.repeated:,} repeated"] if event.repeated else []
    extras += [f"{event.finished_earlier:,} finished earlier"] if event.finished_earlier else []
    say(
        INFO,
        "list_read",
        f"the list has {plural(event.distinct, 'account')}" + (f" ({', '.join(extras)})" if extras else ""),
        distinct=event.distinct,
        repeated=event.repeated,
        finishedEarlier=event.finished_earlier,
    )


def _resumed(event: Resumed) -> None:
    message = f"going on with run {event.run_id}: {plural(event.finished, 'account')} finished earlier"
    say(INFO, "run_resumed", message, runId=event.run_id, finishedEarlier=event.finished)


def _part_finished(event: PartFinished) -> None:
    message = f"{event.name} is finished: {plural(event.rows, 'row')}, {size(event.bytes)}"
    say(INFO, "part_finished", message, name=event.name, rows=event.rows, bytes=event.bytes)


def _committed(event: Committed) -> None:
    say(
        DETAIL,
        "committed",
        f"{plural(event.accounts, 'account')} durable in {span(event.seconds)}",
        accounts=event.accounts,
        rows=event.rows,
        bytes=event.bytes,
        seconds=round(event.seconds, 6),
    )


def _output_spooled(event: OutputSpooled) -> None:
    text = f"what is harvested is kept in {event.folder} until it has come to {event.place}"
    say(INFO, "output_spooled", text, place=event.place, folder=event.folder)


def _output_away(event: OutputAway) -> None:
    text = f"{event.place} can't be written to: {event.detail}; next try in {span(event.next_in)}"
    say(
        WARNING,
        "output_away",
        text,
        place=event.place,
        detail=event.detail,
        nextInSeconds=round(event.next_in, 3),
    )


def _output_back(event: OutputBack) -> None:
    text = f"{event.place} can be written to again, after {span(event.seconds)}"
    say(WARNING, "output_back", text, place=event.place, seconds=round(event.seconds, 3))


def _stopping(event: Stopping) -> None:
    say(WARNING, "stopping", f"stopping: {event.detail}", detail=event.detail)
