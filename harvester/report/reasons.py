"""What each reason means to a person, and what that person can do about it."""

from __future__ import annotations

from typing import NamedTuple

from harvester.model import Reason


class Meaning(NamedTuple):
    """A reason in words, and the mend for accounts that failed for it."""

    words: str
    mend: str


_AGAIN = "give the failures file as the list of another run"

_MEANINGS: dict[str, Meaning] = {
    Reason.BAD_REQUEST: Meaning(
        "the tenant calls the request invalid (400)", "check these IDs: are they account IDs?"
    ),
    Reason.FORBIDDEN: Meaning(
        "the tenant forbids it (403)", "grant the scope idn:identity-history:manage, then run them again"
    ),
    Reason.NOT_FOUND: Meaning(
        "no such account (404)", "the account is gone, or the ID is an identity's or another tenant's"
    ),
    Reason.REDIRECTED: Meaning(
        "the tenant redirects (3xx)", "check --base-url: it must be the API's own host"
    ),
    Reason.REFUSED: Meaning("the tenant refuses the request (4xx)", "see `detail` in the failures file"),
    Reason.UNAUTHORIZED: Meaning(
        "the token is not accepted (401)", "check the client with `harvester check`, then run them again"
    ),
    Reason.THROTTLED: Meaning("too many requests (429)", "lower --quota, then run them again"),
    Reason.SERVER_ERROR: Meaning(
        "the tenant had an error (5xx)", f"{_AGAIN}; if they stay, give support their trackingId"
    ),
    Reason.TIMEOUT: Meaning("no answer in time", f"{_AGAIN}, with a longer --timeout if need be"),
    Reason.CONNECT: Meaning("no connection", f"check network and proxy, then {_AGAIN}"),
    Reason.CONNECTION_LOST: Meaning("the connection was lost", _AGAIN),
    Reason.TRUNCATED: Meaning("the answer was cut off", _AGAIN),
    Reason.NOT_JSON: Meaning("the answer is no JSON", f"check --base-url and proxies, then {_AGAIN}"),
    Reason.WRONG_SHAPE: Meaning("the answer has another shape than the API promises", "check --api-version"),
    Reason.TOO_LARGE: Meaning("the answer is too large", "see `detail` in the failures file"),
}


def meaning(reason: str) -> Meaning:
    """The meaning of a word of `model.Reason`; a word not known speaks for itself."""
    return _MEANINGS.get(reason) or Meaning(reason.replace("_", " "), "see `detail` in the failures file")
