"""What each event says in the log: the sentence for people, the fields for programs. No state, no levels."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Any

from harvester.next import events
from harvester.next.report.figures import plural, rate, size, span
from harvester.next.report.reasons import meaning


def fields_of(event: events.Event) -> dict[str, Any]:
    """All that an event has, by names in camel case, ready for JSON."""
    names = event._fields if isinstance(event, tuple) else [field.name for field in fields(event)]
    return {_camel(name): _plain(getattr(event, name)) for name in names}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name.lower()
    return round(value, 6) if isinstance(value, float) else value


def request_ended(event: events.RequestEnded) -> str:
    """A request was answered or failed."""
    outcome = event.status if event.reason is None else f"{event.status or 'no answer'}, {event.reason}"
    received = f"{plural(event.body_bytes, 'byte')} in {span(event.seconds)}"
    return f"{event.purpose} request on {event.lane}: {outcome}, {received}"


def account_failed(event: events.AccountSettled) -> str:
    """An account failed."""
    words = event.detail or meaning(event.reason or "").words
    return f"account {event.account_id} failed: {words} ({event.reason})"


def retry(event: events.RetryScheduled) -> str:
    """An account will be requested again."""
    return (
        f"account {event.account_id} will be requested again in {span(event.delay)}: {event.detail} "
        f"({event.reason}, attempt {event.attempt})"
    )


def lane_paused(event: events.LanePaused) -> str:
    """A lane pauses."""
    why = "as Retry-After asks" if event.asked else "without a usable Retry-After"
    return f"lane {event.lane} pauses for {span(event.seconds)} after a {event.status}, {why}"


def rate_changed(event: events.RateChanged) -> str:
    """A lane's rate was adapted."""
    return f"lane {event.lane} now sends {rate(event.per_second)}"


def token_renewed(event: events.TokenRenewed) -> str:
    """A client has a new token."""
    life = "of unknown lifetime" if event.seconds is None else f"valid for {span(event.seconds)}"
    return f"client {event.client} has a new token, {life}"


def token_failed(event: events.TokenFailed, still: str) -> str:
    """A client has no token; `still` is empty the first time."""
    problem = f"{still}could not get a token ({event.detail})"
    return f"client {event.client}: {problem}: next attempt in {span(event.next_in)}"


def client_dropped(event: events.ClientDropped) -> str:
    """A client is not used any more."""
    return f"client {event.client} is not used any more: {event.detail}"


def lane_dropped(event: events.LaneDropped) -> str:
    """A lane is not used any more."""
    return f"lane {event.lane} is not used any more: {event.detail}"


def outage_began(event: events.OutageBegan) -> str:
    """The tenant is not reachable."""
    return f"the tenant is not reachable ({event.detail}): waiting for it, no account loses an attempt"


def outage_probed(event: events.OutageProbed, still: str) -> str:
    """A probe failed; `still` is empty where nothing was said before."""
    return f"the tenant is {still}not reachable ({event.detail}): next probe in {span(event.next_in)}"


def outage_ended(event: events.OutageEnded) -> str:
    """The tenant is back."""
    return f"the tenant responds again after {span(event.seconds)}"


def list_read(event: events.ListRead) -> str:
    """The list was read."""
    extras = [f"{event.repeated:,} repeated"] if event.repeated else []
    extras += [f"{event.settled_earlier:,} settled earlier"] if event.settled_earlier else []
    return f"the list has {plural(event.distinct, 'account')}" + (f" ({', '.join(extras)})" if extras else "")


def list_changed(event: events.ListChanged) -> str:
    """The list is not that of the unfinished harvest."""
    return (
        f"the list has changed since the unfinished harvest: {event.added:,} added, "
        f"{event.dropped:,} dropped, {event.shared:,} on both"
    )


def resumed(event: events.Resumed) -> str:
    """An unfinished harvest is continued."""
    return f"resuming the harvest of run {event.run_id}: {plural(event.settled, 'account')} settled earlier"


def committed(event: events.Committed) -> str:
    """A batch is in the ledger."""
    return f"{plural(event.accounts, 'account')} committed in {span(event.seconds)}"


def file_published(event: events.FilePublished) -> str:
    """A file of the output is complete."""
    return f"{event.name} is complete: {plural(event.rows, 'row')}, {size(event.bytes)}"


def destination_unavailable(event: events.DestinationUnavailable, still: str) -> str:
    """A store does not accept writes; `still` is empty the first time."""
    problem = f"{still}cannot be written to ({event.detail})"
    return f"{event.place} {problem}: next attempt in {span(event.next_in)}"


def destination_available(event: events.DestinationAvailable) -> str:
    """A store accepts writes again."""
    return f"{event.place} can be written to again after {span(event.seconds)}"


def warned(event: events.Warned) -> str:
    """Something that a person should know."""
    return f"{event.problem}: {event.hint}" if event.hint else event.problem


def stopping(event: events.Stopping) -> str:
    """The run starts no more accounts."""
    again = "; a second signal exits at once" if event.by_signal else ""
    return f"stopping ({event.detail}): requests in flight get up to {span(event.grace)} to finish{again}"
