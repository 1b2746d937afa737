"""Rows as Python values, from a ledger or an output: they may have all that JSON allows."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

_LONGEST: Final = 4000  # digits that Python turns into an integer


def decode(text: bytes, *, exact: bool = False) -> Any:
    """The value of a JSON text; a number that no double holds is a `Decimal`.

    `exact` gives whole numbers beyond 64 bits digit for digit, which takes longer.

    Raises:
        ValueError: it is not valid JSON.
    """
    if not exact:
        with suppress(orjson.JSONDecodeError):  # a number that no double holds, half a surrogate pair
            return orjson.loads(text)
    return json.loads(text, parse_int=_integer, parse_float=_number)


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _LONGEST else Decimal(digits)


def _number(text: str) -> float | Decimal:
    value = float(text)
    with suppress(InvalidOperation):  # an exponent beyond all bounds
        return value if math.isfinite(value) else Decimal(text)
    return value
