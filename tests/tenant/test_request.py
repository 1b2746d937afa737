from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Fault, Reason, Refused, Throttled, TokenRejected
from harvester.tenant.connection import Response
from harvester.tenant.request import explain, refusal

TRACKING_ID = "e7eab60924f64aa284175b9fa3309599"
ERROR = {
    "detailCode": "400.1 Bad request",
    "trackingId": TRACKING_ID,
    "messages": [
        {"locale": "en-US", "text": "The request\n was invalid."},
        {"locale": "de", "text": "Nein."},
    ],
    "causes": [],
}


def meaning(status: int, body: object = None, **headers: str) -> Throttled | TokenRejected | Refused | Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(Response(status, named, orjson.dumps(body)), 1.0)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, Reason.BAD_REQUEST), (403, Reason.FORBIDDEN), (404, Reason.NOT_FOUND), (410, Reason.REFUSED)],
)
def test_what_repeating_would_not_change_is_refused(status: int, reason: Reason) -> None:
    """4xx are final, with the tenant's own words and its tracking ID."""
    assert meaning(status, ERROR) == Refused(
        1.0, reason, status, "400.1 Bad request The request was invalid.", TRACKING_ID
    )


@pytest.mark.parametrize(
    ("kind", "page"),
    [("text/html", True), ("Text/HTML; charset=utf-8", True), ("application/json", False), ("", False)],
)
def test_a_refusal_says_whether_it_is_a_page(kind: str, page: bool) -> None:
    """The API's own errors are JSON."""
    outcome = meaning(403, Content_Type=kind)
    assert isinstance(outcome, Refused)
    assert outcome.page is page


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (408, Reason.TIMEOUT),
        (425, Reason.TIMEOUT),
        (407, Reason.REFUSED),
        (421, Reason.REFUSED),
    ],
)
def test_what_may_pass_is_a_fault(status: int, reason: Reason) -> None:
    """5xx, 408 and 425 may be different next time; 407 and 421 are never one account's answer."""
    assert meaning(status) == Fault(1.0, reason, f"HTTP {status}", status=status)


def test_503_says_when_to_come_back() -> None:
    """Retry-After is read on a 503, and on no other fault."""
    assert getattr(meaning(503, Retry_After="7"), "retry_after", None) == 7.0
    assert getattr(meaning(502, Retry_After="7"), "retry_after", 0) is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), (None, None)]
)
def test_429_has_the_time_that_the_tenant_gives(header: str | None, seconds: float | None) -> None:
    """Seconds are read; what makes no sense is none."""
    headers = {} if header is None else {"Retry_After": header}
    assert meaning(429, {"message": " Rate Limit Exceeded "}, **headers) == Throttled(
        1.0, seconds, "Rate Limit Exceeded"
    )


def test_retry_after_may_be_a_date() -> None:
    """An HTTP date is taken relative to the response's own Date."""
    now = datetime.now(UTC)
    date, later = (format_datetime(t, usegmt=True) for t in (now, now + timedelta(seconds=90)))
    assert meaning(429, Retry_After=later, Date=date) == Throttled(1.0, 90.0, "HTTP 429")


def test_401_rejects_the_token() -> None:
    """The text of the gateway is the detail."""
    words = "JWT validation failed: JWT is expired"
    assert meaning(401, {"error": words}) == TokenRejected(1.0, words)


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://login.example/sso?token=s3cret#x", " to https://login.example"),
        ("/relative?token=s3cret", ""),
        ("http://[::1", ""),
        ("", ""),
    ],
)
def test_a_redirect_names_no_more_than_the_place(location: str, place: str) -> None:
    """Redirects are faults; of the target only the origin is shown."""
    outcome = meaning(302, Location=location)
    assert isinstance(outcome, Fault)
    assert outcome.status == 302
    assert outcome.reason == Reason.REDIRECTED
    assert outcome.detail == f"the tenant redirects{place}, which is not followed: check --base-url"


@pytest.mark.parametrize("status", [201, 204, 206])
def test_other_good_statuses_have_no_rows(status: int) -> None:
    """Only 200 carries what was asked for."""
    outcome = meaning(status)
    assert isinstance(outcome, Fault)
    assert (outcome.reason, outcome.status) == (Reason.WRONG_SHAPE, status)


@given(
    st.recursive(
        st.none() | st.text(max_size=400) | st.integers(-5, 5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["messages", "text", "error", "message", "trackingId", "detailCode"]), inner
            )
        ),
    )
)
def test_any_error_body_gives_one_short_line(body: object) -> None:
    """Whatever an error response holds, its detail is one line of bounded length, never empty."""
    found = explain(Response(500, {}, orjson.dumps(body)))
    assert 0 < len(found.detail) <= 300
    assert len(found.detail.splitlines()) == 1


def test_an_error_page_is_not_shown() -> None:
    """HTML of a gateway is not a detail."""
    assert explain(Response(502, {}, b"<html>Bad gateway</html>")).detail == "HTTP 502"


def test_what_an_error_says_twice_is_said_once() -> None:
    """A message that only repeats the code adds nothing."""
    body = {"detailCode": "404 Not Found", "messages": [{"text": "Not found."}], "error": ""}
    assert explain(Response(404, {}, orjson.dumps(body))).detail == "404 Not Found"
