"""Accounts into lines."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.model import Account, Failure, Harvested
from harvester.sink.encode import encode_account, encode_failure, encode_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=6) | st.just("},{"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(["date", "count", "accountId", "x"]) | st.text(max_size=3)
ROWS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)


@settings(max_examples=60, deadline=None)
@given(account_id=st.text(min_size=1, max_size=8), rows=ROWS)
def test_rows_come_as_the_tenant_sent_them(account_id: str, rows: list[dict[str, Any]]) -> None:
    """One line a row: our accountId first, then every property in its order, whatever strings look like."""
    lines = encode_rows(Harvested(Account(0, account_id), rows)).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        found = orjson.loads(line)
        assert next(iter(found)) == "accountId"
        assert found == {**row, "accountId": account_id}
        assert [key for key in found if key != "accountId"] == [key for key in row if key != "accountId"]


def test_the_line_is_as_documented() -> None:
    """The form that the README shows, to the byte."""
    rows = [{"date": "2026-10-01", "count": 17}, {"date": "2026-09-01", "count": 3}]
    assert encode_rows(Harvested(Account(0, "ef38"), rows)) == (
        b'{"accountId":"ef38","date":"2026-10-01","count":17}\n{"accountId":"ef38","date":"2026-09-01","count":3}\n'
    )


@pytest.mark.parametrize("rows", [[], [{"date": "2026-10-01", "count": 1}]])
def test_accounts_are_one_line_each(rows: list[dict[str, Any]]) -> None:
    """An account without usage has a line too."""
    line = encode_account(Harvested(Account(0, "a"), rows))
    assert line.endswith(b"\n")
    assert orjson.loads(line) == {"accountId": "a", "usages": rows}


def test_a_failure_line_has_all_its_properties() -> None:
    """In the order and by the names that the README documents."""
    line = encode_failure(
        Failure(Account(3, "a"), None, "timeout", "no answer", "t-1", 5, "2026-11-01T00:00:00Z")
    )
    assert line == (
        b'{"accountId":"a","status":null,"reason":"timeout","detail":"no answer","trackingId":"t-1",'
        b'"attempts":5,"failedAt":"2026-11-01T00:00:00Z"}\n'
    )
