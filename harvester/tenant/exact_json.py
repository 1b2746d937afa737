"""JSON that comes out as it came in: what orjson would change or refuse is kept as an `orjson.Fragment`."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import orjson

LEAST_INTEGER: Final = -(2**63)
MOST_INTEGER: Final = 2**63 - 1
_LONGEST_INTEGER: Final = 20  # characters of a 64-bit integer
_MOST_DIGITS: Final = 400  # of a number worth computing with: expanding an exponent could fill the memory
_SEEN: Final = 40  # bytes that a message shows
_BOM: Final = b"\xef\xbb\xbf"


class NotJson(ValueError):
    """A text that is not valid JSON, or that holds what is not text. The message says what is wrong."""


def loads(body: bytes, *, replace_surrogates: bool = False) -> Any:
    """Parse `body` with the standard library, which hands out the digits of each number.

    A text with half a surrogate pair, which is valid in JSON and nowhere else, is kept as JSON, or the half
    is replaced by U+FFFD.

    Raises:
        NotJson: it is not valid JSON, or a property has half a surrogate pair in its name.
    """
    try:
        document = json.loads(
            body.removeprefix(_BOM).decode("utf-8"),
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse,
        )
        return _encodable(document, replace_surrogates=replace_surrogates)
    except NotJson:
        raise
    except UnicodeDecodeError:
        raise NotJson("it is not UTF-8") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        seen = body[:_SEEN].decode("utf-8", "replace")
        raise NotJson(f"it begins with {seen!r}" if seen else "it is empty") from None


def _encodable(document: Any, *, replace_surrogates: bool) -> Any:
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError as error:
        if "recursion" in str(error).lower():
            raise RecursionError from None
        return _rewritten(document, _replaced if replace_surrogates else _escaped)
    return document


def _rewritten(value: Any, text: Callable[[str], Any]) -> Any:
    """`value` with each text in it, names included, as `text` gives it."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_rewritten(item, text) for item in value]
    if isinstance(value, dict):
        return {_name(text(name)): _rewritten(item, text) for name, item in value.items()}
    return value


def _name(text: Any) -> str:
    if not isinstance(text, str):
        raise NotJson("a property has half of a surrogate pair in its name")
    return text


def _replaced(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(text: str) -> str | orjson.Fragment:
    try:
        text.encode()
    except UnicodeEncodeError:
        return orjson.Fragment(json.dumps(text))
    return text


def whole_number(value: object) -> int | None:
    """The value of a parsed number that is whole however it is written (17, 17.0, 1.7E1), else None."""
    if type(value) is int:
        return value
    if type(value) is float:
        return int(value) if value.is_integer() else None
    exact = _exact(value)
    if exact is None or exact.adjusted() > _MOST_DIGITS or exact != exact.to_integral_value():
        return None
    return int(exact)


def kind_of(value: object) -> str:
    """The kind of a parsed value, in the words of `model.UsageRows.columns`."""
    if type(value) is orjson.Fragment:
        return _kind_of_number(value)
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return "null" if value is None else kinds.get(type(value), "json")


def _kind_of_number(fragment: orjson.Fragment) -> str:
    """What a 64-bit integer or a double holds exactly is a number; longer ones are kept as JSON."""
    exact, text = _exact(fragment), _text(fragment)
    if exact is None:
        return "json"
    if text.lstrip("-").isdecimal():
        return "integer" if LEAST_INTEGER <= exact <= MOST_INTEGER else "json"
    return "number" if Decimal(repr(float(text))) == exact else "json"


def _exact(value: object) -> Decimal | None:
    try:
        return Decimal(_text(value)) if type(value) is orjson.Fragment else None
    except InvalidOperation:  # an exponent beyond all bounds
        return None


def _text(fragment: orjson.Fragment) -> str:
    return orjson.dumps(fragment).decode()


def _integer(text: str) -> int | orjson.Fragment:
    if len(text) <= _LONGEST_INTEGER and text != "-0" and LEAST_INTEGER <= int(text) <= MOST_INTEGER:
        return int(text)
    return orjson.Fragment(text)


def _number(text: str) -> float | orjson.Fragment:
    value = float(text)
    return value if orjson.dumps(value) == text.encode() else orjson.Fragment(text)


def _refuse(text: str) -> NoReturn:
    raise NotJson(f"{text} is not a number in JSON")
