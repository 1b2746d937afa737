"""Rows as Python values, whatever numbers they have."""

from __future__ import annotations

from decimal import Decimal

import pytest

from harvester.ledger.decode import decode


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"17", 17),
        (b"0.5", 0.5),
        (b"-1e400", Decimal("-1e400")),
        (b"1" * 19, int("1" * 19)),
        (b"1" * 30, int("1" * 30)),
        (b"1" * 9999, Decimal("1" * 9999)),
        (b"1e99999999999999999999", float("inf")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_any_number_has_a_value(text: bytes, value: object) -> None:
    """Also those that are no integer of 64 bits, no double, and too long for Python."""
    assert decode(b'[{"count":%b}]' % text, exact=True) == [{"count": value}]


def test_whole_numbers_may_be_doubles_where_speed_matters() -> None:
    """Without `exact`, a long whole number is near enough, and what no double holds is still read."""
    assert decode(b"[17,1e400]") == [17, Decimal("1e400")]
    assert decode(b"1" * 30) == pytest.approx(int("1" * 30))


def test_what_is_not_json_is_refused() -> None:
    """However it is read."""
    for exact in (False, True):
        with pytest.raises(ValueError, match="line 1"):
            decode(b"[17", exact=exact)
