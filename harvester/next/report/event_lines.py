"""Events that make one log line each, whatever came before. `event_log` has the table of names and fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from logging import DEBUG, ERROR, INFO, WARNING

from harvester.next import events
from harvester.next.errors import StopRun
from harvester.next.model import Quota
from harvester.next.report.figures import plural, size, span
from harvester.next.report.log import DETAIL, say


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


def request_ended(event: events.RequestEnded) -> None:
    """Each request (only with -vv)."""
    outcome = event.status if event.reason is None else f"{event.status or 'no answer'}, {event.reason}"
    received = f"{plural(event.body_bytes, 'byte')} in {span(event.seconds)}"
    say(
        DETAIL,
        "request",
        f"{event.purpose} request on {event.lane}: {outcome}, {received}",
        lane=event.lane,
        purpose=event.purpose,
        status=event.status,
        reason=event.reason,
        seconds=round(event.seconds, 6),
        bytes=event.body_bytes,
    )


def retry_scheduled(event: events.RetryScheduled) -> None:
    """An account will be requested again."""
    say(
        DEBUG,
        "retry",
        f"account {event.account_id} will be requested again in {span(event.delay)}: {event.detail} "
        f"({event.reason}, attempt {event.attempt})",
        accountId=event.account_id,
        reason=event.reason,
        attempt=event.attempt,
        delaySeconds=round(event.delay, 3),
        detail=event.detail,
    )


def lane_paused(event: events.LanePaused) -> None:
    """A lane pauses."""
    why = "as Retry-After asks" if event.asked else "without a usable Retry-After"
    say(
        INFO,
        "lane_paused",
        f"lane {event.lane} pauses for {span(event.seconds)} after a {event.status}, {why}",
        lane=event.lane,
        status=event.status,
        seconds=round(event.seconds, 3),
        asked=event.asked,
    )


def client_dropped(event: events.ClientDropped) -> None:
    """A client is not used any more."""
    message = f"client {event.client} is not used any more: {event.detail}"
    say(WARNING, "client_dropped", message, client=event.client, detail=event.detail)


def lane_dropped(event: events.LaneDropped) -> None:
    """A lane is not used any more."""
    message = f"lane {event.lane} is not used any more: {event.detail}"
    say(WARNING, "lane_dropped", message, lane=event.lane, detail=event.detail)


def list_read(event: events.ListRead) -> None:
    """The list was read."""
    extras = [f"{event.repeated:,} repeated"] if event.repeated else []
    extras += [f"{event.settled_earlier:,} settled earlier"] if event.settled_earlier else []
    say(
        INFO,
        "list_read",
        f"the list has {plural(event.distinct, 'account')}" + (f" ({', '.join(extras)})" if extras else ""),
        distinct=event.distinct,
        repeated=event.repeated,
        settledEarlier=event.settled_earlier,
    )


def list_changed(event: events.ListChanged) -> None:
    """The list is not that of the unfinished harvest."""
    message = (
        f"the list has changed since the unfinished harvest: {event.added:,} added, "
        f"{event.dropped:,} dropped, {event.shared:,} on both"
    )
    say(INFO, "list_changed", message, added=event.added, dropped=event.dropped, shared=event.shared)


def resumed(event: events.Resumed) -> None:
    """An unfinished harvest is continued."""
    message = (
        f"resuming the harvest of run {event.run_id}: {plural(event.settled, 'account')} settled earlier"
    )
    say(INFO, "run_resumed", message, runId=event.run_id, settledEarlier=event.settled)


def file_published(event: events.FilePublished) -> None:
    """A file of the output is complete."""
    message = f"{event.name} is complete: {plural(event.rows, 'row')}, {size(event.bytes)}"
    say(INFO, "file_published", message, name=event.name, rows=event.rows, bytes=event.bytes)


def committed(event: events.Committed) -> None:
    """A batch is in the ledger (only with -vv)."""
    say(
        DETAIL,
        "committed",
        f"{plural(event.accounts, 'account')} committed in {span(event.seconds)}",
        accounts=event.accounts,
        rows=event.rows,
        seconds=round(event.seconds, 6),
    )


def stopping(event: events.Stopping) -> None:
    """The run starts no more accounts."""
    again = "; a second signal exits at once" if event.by_signal else ""
    say(
        WARNING,
        "stopping",
        f"stopping ({event.detail}): requests in flight get up to {span(event.grace)} to finish{again}",
        detail=event.detail,
        graceSeconds=event.grace,
    )
