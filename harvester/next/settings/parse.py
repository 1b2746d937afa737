"""What people write, as values: quotas, durations, sizes, months, shards, numbers, words.

Flags and the environment give text, TOML gives its own types too, library users give ready values: each
parser takes all of them, and takes its own result unchanged. What it does not accept it refuses with a
`BadValue`; where the value came from is for the caller to say.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeGuard

from harvester.next.model import Quota, Shard

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "": 1.0}
_UNITS = "ms|s|m|h|d|w"
_DIGITS = "[0-9]{1,18}"  # longer numbers mean nothing here, and int() refuses thousands of digits
_NUMBER = rf"{_DIGITS}(?:\.{_DIGITS})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:{_UNITS})\s*)+|{_NUMBER}")
_STEP = re.compile(rf"({_NUMBER})({_UNITS}|)")
_QUOTA = re.compile(rf"({_DIGITS})\s*/\s*(?=\S)(?:({_NUMBER})\s*)?({_UNITS}|)")
_SIZE = re.compile(rf"({_NUMBER})\s*([KMGT]?)(I?)B?", re.IGNORECASE)
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_SHARD = re.compile(rf"({_DIGITS})\s*/\s*({_DIGITS})")
_WHOLE = re.compile(rf"[+-]?{_DIGITS}")
_MODE = re.compile(r"(?:0o?)?([0-7]{3})")
_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}

MOST_SHARDS = 10_000
_OWNER = 0o600
_ALL = 0o777
_AMBIGUOUS_MODES = (400, 440, 444)  # as integers they are 0620, 0670 and 0674, which nobody means


class BadValue(Exception):  # a finding on its way to becoming a SettingError
    """A value that is not accepted. `secret` is True where it must not be shown."""

    def __init__(self, problem: str, hint: str, *, secret: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.secret = secret


def text(value: object) -> str:
    """Any text that is not blank, without the blanks around it."""
    if not isinstance(value, str):
        raise BadValue("is not text", "put it in quotes")
    if not value.strip():
        raise BadValue("is blank", "give a value, or leave the setting out")
    if not value.isprintable():
        raise BadValue("has characters that cannot be printed", "write it without them")
    return value.strip()


def path_text(value: object) -> str:
    """A path as it is written, which may have a meaningful ``/`` at its end; ``~`` is the home directory."""
    if not isinstance(value, (str, Path)):
        raise BadValue("is not a path", "put it in quotes")
    written = str(value)
    if not written.strip():
        raise BadValue("is blank", "give a path, or leave the setting out")
    if "\0" in written:
        raise BadValue("has a NUL character in it", "write the path without it")
    if not written.startswith("~"):
        return written
    expanded = os.path.expanduser(written)  # noqa: PTH111  # a Path would lose the end
    if expanded.startswith("~"):
        raise BadValue(
            "begins with a home directory that is not known", "write the full path, or ./~… for such a name"
        )
    return expanded


def path(value: object) -> Path:
    """A path, relative to the working directory unless absolute."""
    return Path(path_text(value))


def paths(value: object) -> tuple[str, ...]:
    """Several paths as they are written (``-`` is stdin): a list, or one."""
    return tuple(one if one == "-" else path_text(one) for one in _list(value, str, Path))


def whole(value: object) -> int:
    """A whole number; ``1_000`` is one too."""
    if isinstance(value, str) and _WHOLE.fullmatch(digits := re.sub(r"(?<=\d)_(?=\d)", "", value.strip())):
        return int(digits)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadValue("is not a whole number", "write digits only, for example 250")


def flag(value: object) -> bool:
    """Yes or no: TOML's true and false, and the words people put into environment variables."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    raise BadValue("is neither true nor false", "write true or false")


def word(*choices: str) -> Callable[[object], str]:
    """One of some words."""

    def one_of(value: object) -> str:
        if isinstance(value, str) and value.strip().lower() in choices:
            return value.strip().lower()
        raise BadValue(f"is none of {', '.join(choices)}", "choose one of them")

    return one_of


def words(*choices: str) -> Callable[[object], tuple[str, ...]]:
    """Some of these words, in this order: a list, or text with commas; ``none`` is none of them."""

    def some_of(value: object) -> tuple[str, ...]:
        wanted = {one.strip().lower() for one in _split(value)} - {"", "none"}
        if unknown := wanted - {one.lower() for one in choices}:
            problem = f"has {', '.join(sorted(unknown))}, which is none of {', '.join(choices)}"
            raise BadValue(problem, f"give any of {','.join(choices)}")
        return tuple(one for one in choices if one.lower() in wanted)

    return some_of


def texts(value: object) -> tuple[str, ...]:
    """One or more texts, such as account IDs; a text is one, whatever is in it."""
    return tuple(text(one) for one in _list(value, str))


def fields(value: object) -> tuple[str, ...]:
    """Names of properties to keep with each account, once each: a list, or text with commas."""
    names = tuple(dict.fromkeys(one.strip() for one in _split(value) if one.strip()))
    if "attributes" in names:
        raise BadValue(
            "has attributes, which may hold anything about a person", "name the properties you need"
        )
    return () if names == ("none",) else tuple(map(text, names))


def versions(*known: str) -> Callable[[object], tuple[str, ...]]:
    """One or more API versions in their order, each once: a list, or text with commas."""

    def some_of(value: object) -> tuple[str, ...]:
        named = tuple(one.strip().lower() for one in _split(value) if one.strip())
        if unknown := [one for one in named if one not in known]:
            raise BadValue(f"has {unknown[0]}, which is no API version", f"give any of {','.join(known)}")
        if repeated := [one for one in dict.fromkeys(named) if named.count(one) > 1]:
            raise BadValue(f"names {repeated[0]} more than once", "name each version once")
        if not named:
            raise BadValue("names no API version", f"give any of {','.join(known)}")
        return named

    return some_of


def duration(value: object) -> float:
    """Seconds: a number, or parts with units such as ``90s``, ``2h30m``, ``1d``, ``500ms``."""
    if _is_number(value) and math.isfinite(value) and value >= 0:
        return float(value)
    if isinstance(value, str) and _DURATION.fullmatch(written := value.strip().lower()):
        return math.fsum(float(number) * _SECONDS[unit] for number, unit in _STEP.findall(written))
    raise BadValue("is not a duration", "write seconds, or for example 90s, 2h30m, 1d")


def size(value: object) -> int:
    """Bytes: a number, or with a unit such as ``64MB`` (decimal) or ``1GiB`` (binary)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or (found[3] and not found[2]):
        raise BadValue("is not a size", "write bytes, or for example 64MB, 1GiB")
    power = "KMGT".index(found[2].upper()) + 1 if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def quota(value: object) -> Quota:
    """Requests in a time: ``100/10s``, ``600/1m``, ``10/s``."""
    if isinstance(value, Quota):
        return value
    found = _QUOTA.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found and int(found[1]) > 0 and (seconds := float(found[2] or 1) * _SECONDS[found[3]]) > 0:
        return Quota(int(found[1]), seconds)
    raise BadValue("is not a quota", "write requests per time, for example 100/10s, or none")


def month(value: object) -> str:
    """A month that has begun somewhere on Earth, ``YYYY-MM``."""
    if not isinstance(value, str) or not _MONTH.fullmatch(value.strip()):
        raise BadValue("is not a month", "write YYYY-MM, for example 2026-01")
    if value.strip() > (latest := f"{datetime.now(UTC) + timedelta(hours=14):%Y-%m}"):
        raise BadValue("is in the future", f"give {latest} or earlier")
    return value.strip()


def shard(value: object) -> Shard:
    """``K/N``: the K-th of N shards."""
    found = _SHARD.fullmatch(str(value).strip()) if isinstance(value, (str, Shard)) else None
    if found and 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
        return Shard(int(found[1]), int(found[2]))
    hint = f"write K/N with K from 1 to N (and N up to {MOST_SHARDS}), for example 2/4"
    raise BadValue("is not a shard", hint)


def file_mode(value: object) -> int:
    """Permission bits: octal digits as text, ``0600``, or an integer where it can mean only one thing."""
    found = _MODE.fullmatch(value.strip()) if isinstance(value, str) else None
    mode = int(found[1], 8) if found else value
    if not isinstance(mode, int) or mode in _AMBIGUOUS_MODES or mode & ~_ALL:
        raise BadValue("is not a file mode", 'write three octal digits as text, for example "0600"')
    if mode & _OWNER != _OWNER:
        raise BadValue("must let the owner read and write", 'give for example "0640"')
    return mode


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _split(value: object) -> list[Any]:
    """The texts of a list, or those between the commas of a text."""
    return [*_list(value.split(",") if isinstance(value, str) else value, str)]


def _list(value: object, *kinds: type) -> Iterable[Any]:
    """The members of a list, or the one value of such a kind."""
    found = (value,) if isinstance(value, kinds) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, kinds) for one in found):
        raise BadValue("is not a list of texts", 'write ["one", "two"]')
    return found


# --- and back, for help and messages


def show(value: Any) -> str:
    """A value as it would be written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return str(value)


def show_duration(seconds: float) -> str:
    """Seconds with the largest unit that leaves a whole number."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def show_size(size_in_bytes: int) -> str:
    """Bytes with the largest binary unit that leaves a whole number."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size_in_bytes and size_in_bytes % 1024**power == 0:
            return f"{size_in_bytes // 1024**power}{unit}"
    return f"{size_in_bytes}B"


def show_mode(mode: int) -> str:
    """Permission bits in octal."""
    return f"{mode:04o}"
