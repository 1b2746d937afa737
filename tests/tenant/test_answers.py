from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import Fault, GiveUp, Throttled, TokenRejected
from harvester.model import Reason
from harvester.tenant.answers import explain, refusal, rows_of
from harvester.tenant.transport import Answer

ERROR_BODY = orjson.dumps(
    {
        "detailCode": "400.1 Bad Request Content",
        "trackingId": "e7eab60924f64aa284175b9fa3309599",
        "messages": [{"locale": "en-US", "localeOrigin": "DEFAULT", "text": "The request was\nwrong."}],
    }
)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, headers, body)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"date": "2026-10-01", "count": 17}],
        [{}],
        [{"date": None, "count": None, "more": {"a": [1]}}],
        [{"date": "2026-10-01T00:00:00Z", "count": 0}],
    ],
)
def test_rows_come_as_they_were_sent(rows: list[Any]) -> None:
    """Both properties are optional, unknown ones are kept."""
    assert rows_of(answer(200, orjson.dumps(rows))) == rows


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"<html>maintenance</html>", Reason.NOT_JSON),
        (b'[{"date": "2026-10-01"', Reason.NOT_JSON),
        (b"\xff\xfe", Reason.NOT_JSON),
        (b"{}", Reason.WRONG_SHAPE),
        (b"null", Reason.WRONG_SHAPE),
        (b"[[]]", Reason.WRONG_SHAPE),
        (b"[null]", Reason.WRONG_SHAPE),
        (b'[{"count": "17"}]', Reason.WRONG_SHAPE),
        (b'[{"count": true}]', Reason.WRONG_SHAPE),
        (b'[{"count": 1.5}]', Reason.WRONG_SHAPE),
        (b'[{"date": 20261001}]', Reason.WRONG_SHAPE),
        (b'[{"date": "20261001"}]', Reason.WRONG_SHAPE),
        (b'[{"date": "2026-W40-1"}]', Reason.WRONG_SHAPE),
        (b'[{"date": "2026-13-01"}]', Reason.WRONG_SHAPE),
        (b'[{"date": "2026-10-01x"}]', Reason.WRONG_SHAPE),
        (b'[{"date": ["2026-10-01"]}]', Reason.WRONG_SHAPE),
    ],
)
def test_a_good_status_with_a_bad_body_is_a_fault(body: bytes, reason: Reason) -> None:
    """Garbled and mistyped bodies are faults: they are tried again, never written."""
    with pytest.raises(Fault) as caught:
        rows_of(answer(200, body))
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_any_body_ends_as_rows_or_as_a_fault(body: bytes) -> None:
    """No body whatsoever brings about another exception."""
    try:
        rows = rows_of(answer(200, body))
    except Fault:
        return
    assert isinstance(rows, list)


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), st.lists, max_leaves=5)
)
def test_any_json_ends_as_rows_or_as_a_fault(value: Any) -> None:
    """JSON of any shape is rows or a fault, also inside a row."""
    for document in (value, [value], [{"date": value}], [{"count": value}]):
        try:
            rows_of(answer(200, orjson.dumps(document)))
        except Fault:
            continue


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (301, GiveUp, Reason.REDIRECTED),
        (304, GiveUp, Reason.REDIRECTED),
        (400, GiveUp, Reason.BAD_REQUEST),
        (401, TokenRejected, None),
        (403, GiveUp, Reason.FORBIDDEN),
        (404, GiveUp, Reason.NOT_FOUND),
        (405, GiveUp, Reason.REFUSED),
        (410, GiveUp, Reason.REFUSED),
        (408, Fault, Reason.TIMEOUT),
        (429, Throttled, None),
        (500, Fault, Reason.SERVER_ERROR),
        (503, Fault, Reason.SERVER_ERROR),
        (599, Fault, Reason.SERVER_ERROR),
        (204, Fault, Reason.SERVER_ERROR),
    ],
)
def test_every_status_has_its_meaning(status: int, kind: type[Exception], reason: str | None) -> None:
    """Statuses are sorted into: try again, renew, give up."""
    meaning = refusal(answer(status, ERROR_BODY))
    assert type(meaning) is kind
    assert getattr(meaning, "reason", None) == reason


def test_tracking_id_and_words_are_kept() -> None:
    """What support asks for, and what the tenant said, on one line."""
    tracking_id, detail = explain(answer(400, ERROR_BODY))
    assert tracking_id == "e7eab60924f64aa284175b9fa3309599"
    assert detail == "400.1 Bad Request Content The request was wrong."


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b'{"messages": {}}', b'{"messages": [1]}', b'{"messages": [{"text": 1}]}']
)
def test_an_error_body_of_any_form_gives_one_line(body: bytes) -> None:
    """Where the body says nothing the status must do."""
    assert explain(answer(502, body)) == (None, "HTTP 502")


def test_long_words_are_cut() -> None:
    """A page of prose does not end up in every line of a failures file."""
    _, detail = explain(answer(500, orjson.dumps({"message": "a" * 10_000})))
    assert len(detail) == 300
