"""What a check finds: one line each, and the status that a failed one ends the process with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from harvester.errors import AccessDenied, StoppedEarly, StopRun, UsageError
from harvester.model import Fault, NotSent, Outcome, Reason, Refused, Throttled, TokenRejected

USAGE: Final = UsageError.exit_status
"""The configuration, or the way to the tenant, is wrong."""
ACCESS: Final = AccessDenied.exit_status
"""The credentials or their scopes are."""
UNAVAILABLE: Final = StoppedEarly.exit_status
"""The tenant does not answer properly at present: nothing is wrong with the configuration."""

_NO_API: Final = frozenset({Reason.NOT_JSON, Reason.WRONG_SHAPE, Reason.TOO_LARGE, Reason.REDIRECTED})
"""Whatever gives such answers is hardly SailPoint's API."""
_NOT_THE_API: Final = (
    "check --base-url (https://TENANT.api.identitynow.com, or your own host for it), and whether a login "
    "page or a proxy answers in its place"
)
_OK, _UNAUTHORIZED = 200, 401
_LATER: Final = "try again later; the tenant's status page may say more"


class Verdict(StrEnum):
    """What a finding means for a harvest."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `text` says what was found, `hint` what to do about it; neither has secrets.

    `status` is the exit status that it stands for, 0 unless it is a failed one. `facts` are for programs.
    """

    topic: str
    verdict: Verdict
    text: str
    hint: str = ""
    status: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.text}: {self.hint}" if self.hint else self.text


def ok(topic: str, text: str, **facts: Any) -> Finding:
    """All is well with `topic`."""
    return Finding(topic, Verdict.OK, text, facts=facts)


def warning(topic: str, text: str, hint: str, **facts: Any) -> Finding:
    """A harvest is possible, but this should be known."""
    return Finding(topic, Verdict.WARNING, text, hint, facts=facts)


def failed(topic: str, text: str, hint: str, status: int = USAGE) -> Finding:
    """No harvest is possible until this is fixed."""
    return Finding(topic, Verdict.FAILED, text, hint, status)


def of_error(topic: str, error: StopRun) -> Finding:
    """An error that a run would end with, too."""
    return failed(topic, error.problem, error.hint or "fix it, then check again", error.exit_status)


def of_fault(topic: str, fault: Fault, who: str = "") -> Finding:
    """A fault that stayed. `who` is what the sentence is about, if the fault does not say it."""
    if not fault.connected:  # its sentence says all, mostly with what to do after a colon
        text, _, hint = fault.detail.partition(": ")
        hint = hint or "check host and port of --base-url, the network, and any proxy in between"
        return failed(topic, text, hint, USAGE if fault.permanent else UNAVAILABLE)
    hinting = fault.permanent or fault.reason is Reason.REDIRECTED  # its sentence ends with what to do
    detail = fault.detail.partition(": ")[0] if hinting else detail_of(fault.status, fault.detail)
    text = f"{who}: {detail}" if who else detail
    if fault.permanent or fault.reason in _NO_API:
        return failed(topic, text, _NOT_THE_API)
    return failed(topic, text, _LATER, UNAVAILABLE)


def reason_of(outcome: Outcome[Any]) -> str:
    """What the tenant answered instead of what was asked for, for parentheses: `403: Forbidden`."""
    match outcome:
        case Refused() | Fault():
            return detail_of(outcome.status, outcome.detail)
        case TokenRejected():
            return detail_of(_UNAUTHORIZED, outcome.detail)
        case Throttled():
            return "429"
        case NotSent():
            return "there was no time to ask it"
    return "no clear answer"


def detail_of(status: int | None, detail: str) -> str:
    """What the tenant answered, in one form: `503: Service Unavailable`, `404`."""
    if status in (None, _OK):
        return detail
    words = detail.removeprefix(f"HTTP {status}").removeprefix(f"{status} ").strip()
    return f"{status}: {words}" if words else str(status)
