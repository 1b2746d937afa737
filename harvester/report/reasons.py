"""What each reason means to a person, and what that person can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from harvester.model import Reason


class Meaning(NamedTuple):
    """A reason in words. `hint` fits where other accounts were answered, `hint_for_all` where none was."""

    words: str
    hint: str
    hint_for_all: str = ""

    def advice(self, *, others_answered: bool) -> str:
        """What to do about accounts that failed for this reason."""
        return self.hint if others_answered or not self.hint_for_all else self.hint_for_all


_LATER: Final = "retry them later"
_DETAIL: Final = "see `detail` in the failures file"

_MEANINGS: Final[Mapping[str, Meaning]] = {
    Reason.BAD_REQUEST: Meaning(
        "the tenant says that the request is not valid (400)", "check these IDs: are they account IDs?"
    ),
    Reason.FORBIDDEN: Meaning(
        "the tenant forbids it (403)",
        "others were allowed, so the scope is there: check these accounts",
        "grant the scope idn:identity-history:manage, then retry them",
    ),
    Reason.NOT_FOUND: Meaning(
        "no such account (404)",
        "they were deleted, or the IDs belong to identities or to another tenant",
        "check that the list has account IDs of this tenant, not IDs of identities",
    ),
    Reason.REDIRECTED: Meaning(
        "the tenant redirects (3xx)", _DETAIL, "check --base-url: it must be the host of the API"
    ),
    Reason.REFUSED: Meaning("the tenant refuses the request (4xx)", _DETAIL),
    Reason.UNAUTHORIZED: Meaning(
        "the token is not accepted (401)",
        "others were allowed: retry these",
        "test the client with `harvester check`, then retry them",
    ),
    Reason.THROTTLED: Meaning(
        "too many requests (429)",
        f"the tenant limits requests for these accounts alone: {_LATER}",
        "lower --quota, then retry them",
    ),
    Reason.SERVER_ERROR: Meaning(
        "the tenant had an error (5xx)", f"{_LATER}; if it persists, give support the trackingId"
    ),
    Reason.TIMEOUT: Meaning("no answer in time", f"{_LATER}, with a longer --timeout if necessary"),
    Reason.CONNECT: Meaning("no connection", _LATER, f"check network and proxy, then {_LATER}"),
    Reason.CONNECTION_LOST: Meaning("the connection was lost", _LATER),
    Reason.TRUNCATED: Meaning("the answer was cut off", _LATER),
    Reason.NOT_JSON: Meaning(
        "the answer is not valid JSON", _LATER, "check --base-url and proxies: who answers there?"
    ),
    Reason.WRONG_SHAPE: Meaning(
        "the answer is not what the API promises", f"{_DETAIL}, and report it", "check --api-version"
    ),
    Reason.TOO_LARGE: Meaning("the answer is too large", _DETAIL),
    Reason.COUNT_MISMATCH: Meaning(
        "the number of rows differs from X-Total-Count", f"{_LATER}; if it persists, run without --count"
    ),
}


def meaning(reason: str) -> Meaning:
    """The meaning of a word of `model.Reason`; an unknown word speaks for itself."""
    return _MEANINGS.get(reason) or Meaning(reason.replace("_", " "), _DETAIL)
