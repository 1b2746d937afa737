"""Whether one lane may read usages, which is what a harvest does."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

from harvester.next.check.asking import Asking
from harvester.next.check.finding import ACCESS, Finding, failed, of_error, of_fault, ok, reason_of, warning
from harvester.next.check.requests import first_listed
from harvester.next.model import Answered, Fault, Outcome, Reason, Refused, Throttled, TokenRejected
from harvester.next.report.figures import plural
from harvester.next.tenant.client import Lane
from harvester.next.tenant.listing import ACCOUNTS
from harvester.next.tenant.usages import usage_request

ALL_SCOPES: Final = "sp:scopes:all"
_USAGE_SCOPE: Final = "idn:identity-history:manage"
_BAD_REQUEST: Final = 400
_NOT_SERVED: Final = frozenset({404, 410})


async def try_usages(asking: Asking, lane: Lane, known: Sequence[str]) -> Finding:
    """Ask for the usages of an account.

    `known` are accounts that exist, of which the next one is tried where the tenant refuses one: it may be an
    odd one. Without any, an ID that does not exist will do.
    """
    client, version = lane.client.label, lane.api_version
    who = f"client {client!r} on {version}"
    for account_id in known or [uuid4().hex]:
        outcome = await asking.ask(lane, usage_request(account_id, api_version=version))
        if not isinstance(outcome, Refused):
            break
    if isinstance(outcome, Answered):
        rows = plural(len(outcome.value.rows), "row")
        finding = ok(
            "usages", f"{who} may read usages ({'an' if known else 'an unknown'} account has {rows})"
        )
    elif isinstance(outcome, Refused):
        unknown = not known and await _is_unknown_id(asking, lane, outcome)
        text = f"{who} may read usages (an unknown account is answered {outcome.status})"
        finding = ok("usages", text) if unknown else _refused(lane, outcome, who)
    else:
        finding = _not_answered(lane, outcome, who)
    return dataclasses.replace(finding, facts={"client": client, "apiVersion": version, **finding.facts})


def is_absent(outcome: Outcome[Any]) -> bool:
    """Whether a listing, which cannot be unknown, is not there at all in this API version."""
    return isinstance(outcome, Refused) and outcome.status in _NOT_SERVED


async def _is_unknown_id(asking: Asking, lane: Lane, refused: Refused) -> bool:
    """Whether an ID was refused because nobody has it, and not because the version is not served."""
    if refused.status not in {_BAD_REQUEST, *_NOT_SERVED}:
        return False
    return not is_absent(await asking.ask(lane, first_listed(ACCOUNTS, lane.api_version, 1)))


def _refused(lane: Lane, refused: Refused, who: str) -> Finding:
    reason = reason_of(refused)
    if refused.status in _NOT_SERVED:
        text = (
            f"{lane.tenant.host} does not serve account usages in API version {lane.api_version} ({reason})"
        )
        return failed("usages", text, "leave it out of --api-version, or check --base-url")
    if refused.reason == Reason.FORBIDDEN:
        text = f"{who} is not authorized to read usages ({reason})"
        return failed("usages", text, f"give it the scope {_USAGE_SCOPE} (or {ALL_SCOPES})", ACCESS)
    return failed("usages", f"{who} cannot read usages ({reason})", "check --base-url and --api-version")


def _not_answered(lane: Lane, outcome: Outcome[Any], who: str) -> Finding:
    match outcome:
        case TokenRejected():
            text = f"{who}: its token is not accepted ({reason_of(outcome)})"
            hint = "check that it belongs to this tenant, and --base-url"
            return failed("usages", text, hint, ACCESS)
        case Throttled():
            hint = "something else uses the same client ID: stop it, or give the harvest a client of its own"
            return warning("usages", f"{who}: the quota is used up at present (429)", hint)
        case Fault():
            return of_fault("usages", outcome, who)
    if lane.client.dropped is not None:
        return of_error("usages", lane.client.dropped)
    return _not_sent(lane, who)


def _not_sent(lane: Lane, who: str) -> Finding:
    if lane.waiting_for is not None:
        return warning(
            "usages", f"{who} was not tried, as it waits for {lane.waiting_for}", "try again later"
        )
    text = f"{who} was not tried: at its quota, the next request is not due for a while"
    return warning("usages", text, "check --quota and --burst")
