"""Rows taken apart and put together."""

from __future__ import annotations

import json

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.export.records import join, members, row_of, split, without
from tests.export.samples import ODD, blob_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=4)


def encoded(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError):
        return json.dumps(value).encode()


@settings(max_examples=50)
@given(ROWS)
def test_rows_come_apart_as_they_were_put_together(rows: list[dict[str, object]]) -> None:
    """Whatever they hold: each row, each name, each value, byte by byte."""
    encoded_rows = [encoded(row) for row in rows]
    blob = join(encoded_rows)
    assert split(blob) == encoded_rows
    for row, data in zip(rows, encoded_rows, strict=True):
        found = members(data)
        assert list(found) == list(row)
        assert {name: json.loads(value) for name, value in found.items()} == json.loads(data)
        if "\\" not in data.decode():
            assert row_of(found) == data


def test_odd_rows_keep_every_digit() -> None:
    """Numbers beyond what a computer calculates with stay as they are."""
    found = members(ODD[1].encode())
    assert found == {
        "count": b"123456789012345678901234567890",
        "ratio": b"0.1000000000000000055511151231257827",
    }
    assert row_of(found) == ODD[1].encode()


def test_a_property_can_be_left_out() -> None:
    """Only at the top, and only it."""
    blob = blob_of('{"tenant":"x","in":{"tenant":1}}', '{"tenant":[1,2]}', '{"a":1}')
    assert without(blob, {"tenant"}) == blob_of('{"in":{"tenant":1}}', "{}", '{"a":1}')
