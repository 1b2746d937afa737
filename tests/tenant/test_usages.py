from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from harvester.model import Answered, Fault, Reason, UsageRows
from harvester.tenant.connection import Response
from harvester.tenant.paging import Pages, Progress
from harvester.tenant.request import path_segment
from harvester.tenant.usages import Page, UsageQuery, usage_request

ME = "ef38f94347e94562b5bb8424a56397d8"


def read(body: bytes, *, count: bool = False, headers: Mapping[str, str] | None = None) -> Page | Fault:
    request = usage_request(ME, api_version="v2024", query=UsageQuery(total=count))
    outcome = request.read(Response(200, headers or {}, body), 1.0)
    if isinstance(outcome, Answered):
        assert outcome.sent_at == 1.0
        return outcome.value
    assert isinstance(outcome, Fault)
    return outcome


def encoded(body: bytes) -> UsageRows:
    page = read(body)
    assert isinstance(page, Page), page
    pages = Pages()
    assert pages.add(page) is Progress.COMPLETE
    return pages.encode()


def fault_of(body: bytes, **options: Any) -> Fault:
    fault = read(body, **options)
    assert isinstance(fault, Fault), fault
    assert fault.status == 200
    return fault


# --- the request


@pytest.mark.parametrize(
    ("options", "path", "query"),
    [
        ({"api_version": "v2024"}, f"/v2024/account-usages/{ME}/summaries", "limit=250&sorters=-date"),
        ({"api_version": "v1"}, f"/account-usages/v1/{ME}/summaries", "limit=250&sorters=-date"),
        (
            {"api_version": "beta", "query": UsageQuery(5, "")},
            f"/beta/account-usages/{ME}/summaries",
            "limit=5",
        ),
        (
            {"api_version": "v3", "offset": 250, "query": UsageQuery(total=True)},
            f"/v3/account-usages/{ME}/summaries",
            "limit=250&sorters=-date&offset=250&count=true",
        ),
    ],
)
def test_the_request_is_the_one_of_the_api(options: dict[str, Any], path: str, query: str) -> None:
    """Path and query follow the version; `count` and `offset` are sent only if they are used."""
    request = usage_request(ME, **options)
    assert (request.path, request.query) == (path, query)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_an_account_id_stays_in_its_segment(account_id: str) -> None:
    """Whatever an ID holds, it is one segment of the path, and decodes to itself."""
    segment = path_segment(account_id)
    assert segment.isascii()
    assert not set(segment) & set("/?#\\ \0\r\n")
    assert segment not in (".", "..")
    url = URL.build(scheme="http", host="h", path=f"/a/{segment}/b", encoded=True)
    assert url.raw_parts == ("/", "a", segment, "b")
    assert URL(f"http://h/{segment}", encoded=True).path.removeprefix("/") == account_id


@pytest.mark.parametrize("account_id", [".", "..", "../x", "a/b", "a%2Fb", "a\0b", "a?b#c", "ü"])
def test_unusual_ids_are_percent_encoded(account_id: str) -> None:
    """Dots, slashes, percent signs, NUL and letters beyond ASCII are escaped."""
    assert "%" in path_segment(account_id)


# --- the usual response


def months(*counts: int) -> list[dict[str, Any]]:
    return [{"date": f"2026-{12 - n:02}-01", "count": count} for n, count in enumerate(counts)]


@pytest.mark.parametrize("indent", [None, 2])
def test_the_usual_rows_are_encoded_one_a_line(indent: int | None) -> None:
    """Rows come out compact, one a line, in order, with what they say about the account."""
    rows = months(17, 0, 3)
    found = encoded(json.dumps(rows, indent=indent).encode())
    assert found.blob == (
        b'[{"date":"2026-12-01","count":17},\n{"date":"2026-11-01","count":0},\n{"date":"2026-10-01","count":3}]'
    )
    assert (found.rows, found.last_month, found.months, found.days) == (3, "2026-12", 2, 20)
    assert found.columns == ()


def test_no_rows_are_an_answer() -> None:
    """`[]` is an account without usage."""
    assert encoded(b"[]") == UsageRows(b"[]", 0, None, 0, 0)


@given(st.lists(st.integers(-5, 31), max_size=12), st.booleans())
def test_both_paths_agree(counts: list[int], spaced: bool) -> None:
    """The fast path and the careful one encode the same rows in the same way."""
    rows = months(*counts)
    body = json.dumps(rows, separators=(", ", ": ") if spaced else (",", ":")).encode()
    fast = encoded(body)
    careful = Pages()
    careful.add(Page(orjson.loads(body)))
    assert careful.encode() == fast
    assert orjson.loads(fast.blob) == rows
    used = [row for row in rows if row["count"] > 0]
    assert fast.last_month == (used[0]["date"][:7] if used else None)
    assert fast.days == sum(row["count"] for row in used)


# --- numbers, digit for digit

NUMBERS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(
        ["-0", "-0.0", "0.10", "1e5", "1E400", "1.0", "9223372036854775808", "18446744073709551616"]
    ),
)


@given(NUMBERS, NUMBERS)
def test_numbers_come_out_digit_for_digit(first: str, second: str) -> None:
    """Whatever number JSON allows, in a property or nested in one, comes out as the tenant wrote it."""
    body = f'[{{"date":"2026-10-01","count":17,"n":{first},"deep":{{"list":[{second}]}}}}]'
    assert encoded(body.encode()).blob == body.encode()


@given(st.integers(-(10**30), 10**30))
def test_a_count_of_any_size_is_kept_and_added_up_within_64_bits(count: int) -> None:
    """A count beyond 64 bits keeps its digits; the sum of days stays storable."""
    body = f'[{{"date":"2026-10-01","count":{count}}}]'.encode()
    found = encoded(body)
    assert found.blob == body
    assert found.days == min(max(count, 0), 2**63 - 1)
    fits = -(2**63) <= count < 2**63
    assert found.columns == (() if fits else (("count", "json"),))


@pytest.mark.parametrize(
    ("number", "days", "kind"),
    [("17.0", 17, "number"), ("1.7e1", 17, "number"), ("-0", 0, "integer"), ("1E2", 100, "number")],
)
def test_a_whole_count_is_understood_however_it_is_written(number: str, days: int, kind: str) -> None:
    """17.0 and 1.7e1 are seventeen days, and come out as written."""
    found = encoded(f'[{{"date":"2026-10-01","count":{number}}}]'.encode())
    assert found.blob == f'[{{"date":"2026-10-01","count":{number}}}]'.encode()
    assert (found.days, found.columns) == (days, (("count", kind),))


# --- what is unusual


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("null", "null"),
        ("true", "boolean"),
        ("5", "integer"),
        ("9223372036854775807", "integer"),
        ("9223372036854775808", "json"),
        ("1.5", "number"),
        ("1.50", "number"),
        ("1e400", "json"),
        ("1e99999999999999999999", "json"),
        ("0.12345678901234567890123", "json"),
        ('"x"', "string"),
        ('"},{"', "string"),
        ("[]", "json"),
        ("{}", "json"),
    ],
)
def test_the_kind_of_each_unusual_property_is_told(value: str, kind: str) -> None:
    """Properties beyond date and count are named with their kind, and come out as they were."""
    body = f'[{{"date":"2026-10-01","count":1,"x":{value}}}]'.encode()
    found = encoded(body)
    assert found.blob == body
    assert found.columns == (("x", kind),)


def test_rows_without_date_or_count_are_rows() -> None:
    """Both properties are optional: what is absent, null, zero or negative is not an active day."""
    body = (
        b'[{},{"count":3},{"date":"2026-10-01"},{"date":"2026-09-01","count":null},{"date":null,"count":1},'
        b'{"date":"2026-08-01T00:00:00Z","count":-4}]'
    )
    found = encoded(body)
    assert found.blob.replace(b"\n", b"") == body
    assert (found.rows, found.last_month, found.months, found.days) == (6, None, 0, 0)
    assert found.columns == (("count", "null"), ("date", "null"), ("date", "string"))


def test_the_accounts_own_id_is_dropped_from_its_rows() -> None:
    """An `accountId` that is the requested one is written first by every output, so it is not stored."""
    assert encoded(f'[{{"accountId":"{ME}","date":"2026-10-01","count":1}}]'.encode()).blob == (
        b'[{"date":"2026-10-01","count":1}]'
    )


def test_a_row_of_another_account_is_a_wrong_response() -> None:
    """No row is ever credited to another account."""
    fault = fault_of(b'[{"accountId":"somebody else","date":"2026-10-01","count":1}]')
    assert fault.reason == Reason.WRONG_SHAPE
    assert "of another account" in fault.detail
    assert "somebody else" in fault.detail


@pytest.mark.parametrize(
    ("text", "meaning"),
    [(rb"\ud83d\ude00", "😀"), (rb"\u0000", "\0"), ("é".encode(), "é"), (rb"\u2028\/", "\u2028/")],
)
def test_escaped_text_is_understood(text: bytes, meaning: str) -> None:
    """Escapes, surrogate pairs among them, mean what JSON says."""
    found = encoded(b'[{"date":"2026-10-01","x":"' + text + b'"}]')
    assert orjson.loads(found.blob) == [{"date": "2026-10-01", "x": meaning}]


def test_half_a_surrogate_pair_stays_what_it_is() -> None:
    """It is valid in JSON, and nowhere else: the text is kept as JSON, also within other values."""
    found = encoded(rb'[{"date":"2026-10-01","x":"\ud800 \u00e9","y":[{"z":"\udc00"}]}]')
    assert found.blob == rb'[{"date":"2026-10-01","x":"\ud800 \u00e9","y":[{"z":"\udc00"}]}]'
    assert dict(found.columns) == {"x": "json", "y": "json"}


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (rb'[{"\udc00":1}]', Reason.NOT_JSON, "half of a surrogate pair"),
        (b"", Reason.NOT_JSON, "it is empty"),
        (b"<html>Sign in</html>", Reason.NOT_JSON, "it begins with '<html>Sign in"),
        (b"[{]", Reason.NOT_JSON, "it begins with"),
        (b"[NaN]", Reason.NOT_JSON, "NaN"),
        (b'[{"x":-Infinity}]', Reason.NOT_JSON, "-Infinity"),
        (b'[{"x":"\xff"}]', Reason.NOT_JSON, "not UTF-8"),
        (b"[" * 100_000, Reason.NOT_JSON, "nested too deeply"),
        (b"[" * 500 + b"]" * 500, Reason.NOT_JSON, "nested too deeply"),
        (b'{"error":"x"}', Reason.WRONG_SHAPE, "an array of rows was expected, not an object"),
        (b"null", Reason.WRONG_SHAPE, "not null"),
        (b"[[]]", Reason.WRONG_SHAPE, "a row was expected, not an array"),
        (b'[{"date":20261001}]', Reason.WRONG_SHAPE, "`date` is a number"),
        (b'[{"date":"2026-13-01"}]', Reason.WRONG_SHAPE, "not YYYY-MM-DD"),
        (b'[{"date":"20261001"}]', Reason.WRONG_SHAPE, "not YYYY-MM-DD"),
        (b'[{"date":"2026-W01-1"}]', Reason.WRONG_SHAPE, "not YYYY-MM-DD"),
        ('[{"date":"２０２６-10-01"}]'.encode(), Reason.WRONG_SHAPE, "not YYYY-MM-DD"),
        (b'[{"count":"17"}]', Reason.WRONG_SHAPE, "`count` is a string"),
        (b'[{"count":true}]', Reason.WRONG_SHAPE, "`count` is a boolean"),
        (b'[{"count":1.5}]', Reason.WRONG_SHAPE, "not a whole number"),
        (b'[{"count":1e9999}]', Reason.WRONG_SHAPE, "not a whole number"),
        (b'[{"count":{}}]', Reason.WRONG_SHAPE, "`count` is an object"),
    ],
)
def test_what_the_api_never_promised_is_a_clean_fault(body: bytes, reason: Reason, words: str) -> None:
    """Bodies that are not JSON, or not rows, say in words what is wrong with them."""
    fault = fault_of(body)
    assert fault.reason == reason
    assert words in fault.detail


def test_a_byte_order_mark_is_passed_over() -> None:
    """RFC 8259 allows to ignore one."""
    assert encoded(b'\xef\xbb\xbf[{"date":"2026-10-01","count":1}]').rows == 1


@given(st.binary(max_size=60))
def test_no_body_causes_an_exception(body: bytes) -> None:
    """Any bytes are a page or a fault."""
    assert isinstance(read(body), (Page, Fault))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["date", "count", "accountId", "x"]), json_values, max_size=4),
        max_size=4,
    )
)
def test_any_json_is_kept_or_refused(rows: list[dict[str, Any]]) -> None:
    """What is accepted can be encoded, and means what the tenant sent."""
    body = json.dumps(rows).encode()
    page = read(body)
    if isinstance(page, Page):
        pages = Pages()
        if isinstance(pages.add(page), Progress):
            blob = pages.encode().blob
            own = [{name: value for name, value in row.items() if name != "accountId"} for row in rows]
            assert json.loads(blob) == json.loads(json.dumps(own))


# --- the total


def test_the_total_is_read_if_it_was_asked_for() -> None:
    """X-Total-Count is the number of rows of the account."""
    page = read(b"[]", count=True, headers={"X-Total-Count": " 12 "})
    assert isinstance(page, Page)
    assert page.total == 12
    page = read(b"[]", headers={"X-Total-Count": "12"})
    assert isinstance(page, Page)
    assert page.total is None


@pytest.mark.parametrize("header", [None, "", "twelve", "-1", "1.0", "１", "9" * 30])
def test_a_missing_or_garbled_total_is_a_fault(header: str | None) -> None:
    """An account cannot be held to a total that is not one."""
    headers = {} if header is None else {"X-Total-Count": header}
    fault = fault_of(b"[]", count=True, headers=headers)
    assert "X-Total-Count" in fault.detail
