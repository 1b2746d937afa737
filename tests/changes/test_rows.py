"""Differences between what an account's rows were and are."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from harvester.sink.changes.rows import compare, content_of, differences, fingerprint

Row = dict[str, Any]

MONTHS = [f"2026-{month:02}-01" for month in range(1, 13)]
EXTRAS = st.none() | st.integers(0, 1) | st.fixed_dictionaries({"deep": st.sampled_from(["a", "}\n{"])})


def rows_of(drawn: dict[str, tuple[int | None, Any]]) -> list[Row]:
    rows = []
    for date, (count, extra) in sorted(drawn.items(), reverse=True):
        row: Row = {"accountId": "a", "date": date}
        if count is not None:
            row["count"] = count
        if extra is not None:
            row["extra"] = extra
        rows.append(row)
    return rows


ROWS = st.dictionaries(
    st.sampled_from(MONTHS), st.tuples(st.none() | st.integers(0, 2**62), EXTRAS), max_size=6
).map(rows_of)


def encode(rows: list[Row]) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def told(was: list[Row], now: list[Row]) -> list[Row]:
    """The lines that are written when `was` becomes `now`."""
    written, count, content = differences("a", content_of(encode(was)), encode(now))
    found = [orjson.loads(line) for line in written.splitlines()]
    assert len(found) == count
    assert content == content_of(encode(now))
    return found


@given(ROWS, ROWS)
def test_differences_lead_from_what_was_to_what_is(was: list[Row], now: list[Row]) -> None:
    """Whoever merges the lines into the old rows has the new ones, and no line is without need."""
    before, after = {row["date"]: row for row in was}, {row["date"]: row for row in now}
    merged = dict(before)
    for row in told(was, now):
        kind = row.pop("change")
        if kind == "gone":
            gone = merged.pop(row["date"])
            assert row == {key: gone[key] for key in ("accountId", "date", "count") if key in gone}
            continue
        assert (row["date"] in before) == (kind == "changed")
        assert before.get(row["date"]) != row
        merged[row["date"]] = row
    assert merged == after


@given(ROWS)
def test_what_stays_is_not_told(rows: list[Row]) -> None:
    """Equal rows give nothing, in whatever order they and their properties come."""
    turned = [dict(reversed(row.items())) for row in reversed(rows)]
    assert told(rows, rows) == []
    assert told(rows, turned) == []


def test_a_row_is_told_whole() -> None:
    """A changed row comes with all of its properties, known or not, and its kind behind them."""
    was = [{"accountId": "a", "date": "2026-10-01", "count": 1, "note": {"x": [1]}}]
    now = [{"accountId": "a", "date": "2026-10-01", "count": 1, "note": {"x": [2]}}]
    written, _, _ = differences("a", content_of(encode(was)), encode(now))
    assert written == b'{"accountId":"a","date":"2026-10-01","count":1,"note":{"x":[2]},"change":"changed"}\n'


def test_a_property_called_change_of_the_api_gives_way() -> None:
    """It is compared like any other, and ours is what is written."""
    was = [{"accountId": "a", "date": "2026-10-01", "count": 1, "change": "x"}]
    now = [{"accountId": "a", "date": "2026-10-01", "count": 1, "change": "y"}]
    assert [row["change"] for row in told(was, now)] == ["changed"]


def test_rows_without_identity_come_and_go() -> None:
    """Rows without a date, or with one twice, are never called changed, and none is lost or told twice."""
    was: list[list[Any]] = [["2026-10-01", 1], ["2026-10-01", 2], [None, 3], [None, 3]]
    now: list[list[Any]] = [["2026-10-01", 2], ["2026-10-01", 5], [None, 3]]
    assert compare(was, now) == (["", "new", ""], [["2026-10-01", 1], [None, 3]])


def test_a_day_is_known_however_it_is_written() -> None:
    """When the API begins to add a time of day, rows are changed and not gone."""
    assert compare([["2026-10-01", 1]], [["2026-10-01T00:00:00Z", 1]]) == (["changed"], [])


@given(ROWS)
def test_what_is_kept_is_short(rows: list[Row]) -> None:
    """A state needs a few bytes a row, whatever the rows hold."""
    assert len(content_of(encode(rows))) <= 32 + 80 * len(rows)
    assert all(len(fingerprint(row)) <= 3 for row in rows)
