"""What people write, as values: quotas, durations, sizes, months, shards, numbers, words.

Flags and environment give text, TOML gives its own types too, library users give ready values:
each parser takes all of them. What it can't take it refuses with a `BadValue`; where the value
came from is the caller's to say.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harvester.model import Quota, Shard

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "": 1.0}
_UNITS = "ms|s|m|h|d|w"
_DIGITS = "[0-9]{1,18}"  # what no setting needs, and what int() refuses for its length, is no number here
_NUMBER = rf"{_DIGITS}(?:\.{_DIGITS})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:{_UNITS})\s*)+|{_NUMBER}")
_STEP = re.compile(rf"({_NUMBER})({_UNITS}|)")
_QUOTA = re.compile(rf"({_DIGITS})\s*/\s*(?=\S)(?:({_NUMBER})\s*)?({_UNITS}|)")
_SIZE = re.compile(rf"({_NUMBER})\s*([KMGT]?)(I?)B?", re.IGNORECASE)
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_SHARD = re.compile(rf"({_DIGITS})\s*/\s*({_DIGITS})")
_WHOLE = re.compile(rf"[+-]?{_DIGITS}")

MOST_SHARDS = 10_000
AUTO_QUOTA = Quota(100, 10.0, auto=True)
"""Where ``--quota auto`` begins: at SailPoint's documented limit."""


class BadValue(Exception):  # a finding on its way to becoming a SettingFault
    """A value that can't be taken. `secret` is True where it must not be shown."""

    def __init__(self, problem: str, mend: str, *, secret: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend
        self.secret = secret


def text(value: object) -> str:
    """Any text that is not blank."""
    if not isinstance(value, str):
        raise BadValue("is not text", "put it in quotes")
    if not value.strip():
        raise BadValue("is blank", "give a value, or leave the setting out")
    return value.strip()


def path(value: object) -> Path:
    """A path; ``~`` is the home folder, and what is relative is so to the working directory."""
    if isinstance(value, Path):
        return value
    try:
        return Path(_unstripped(value)).expanduser()
    except RuntimeError as error:  # ~nobody
        raise BadValue("is in no home folder", "write the whole path") from error


def destination(value: object) -> str:
    """Where output goes, as it is written: a ``/`` at its end means something, so it is no `Path` yet."""
    return os.path.expanduser(_unstripped(value))  # noqa: PTH111  # a Path would lose the end


def _unstripped(value: object) -> str:
    """Text as it is: a file's name may begin with a blank."""
    text(value)
    return str(value)


def paths(value: object) -> tuple[str, ...]:
    """Several paths as they are written (``-`` is stdin): a list, or one."""
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)):
        raise BadValue("is no list of paths", 'write ["one", "two"]')
    return tuple(one if one == "-" else str(path(one)) for one in found)


def whole(value: object) -> int:
    """A whole number; ``1_000`` is one too."""
    if isinstance(value, str) and _WHOLE.fullmatch(digits := re.sub(r"(?<=\d)_(?=\d)", "", value.strip())):
        return int(digits)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadValue("is no whole number", "write digits only, for example 250")


def flag(value: object) -> bool:
    """Yes or no: TOML's true and false, and the words people put into environment variables."""
    if isinstance(value, bool):
        return value
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise BadValue("is neither true nor false", "write true or false")


def word(*choices: str) -> Callable[[object], str]:
    """One of some words."""

    def one_of(value: object) -> str:
        if isinstance(value, str) and value.strip().lower() in choices:
            return value.strip().lower()
        raise BadValue(f"is none of {', '.join(choices)}", "take one of them")

    return one_of


def columns(*choices: str) -> Callable[[object], tuple[str, ...]]:
    """Some of these names, in this order: a list, or text with commas; ``none`` is none of them."""

    def some_of(value: object) -> tuple[str, ...]:
        found = value.split(",") if isinstance(value, str) else value
        if not isinstance(found, (list, tuple)):
            raise BadValue("is no list of names", f"take any of {','.join(choices)}")
        wanted = {str(one).strip().lower() for one in found} - {"", "none"}
        if unknown := wanted - {one.lower() for one in choices}:
            raise BadValue(
                f"has {', '.join(sorted(unknown))}, which is no column", f"take any of {','.join(choices)}"
            )
        return tuple(one for one in choices if one.lower() in wanted)

    return some_of


def duration(value: object) -> float:
    """Seconds: a number, or parts with units such as ``90s``, ``2h30m``, ``1d``, ``500ms``."""
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    ):
        return float(value)
    if isinstance(value, str) and _DURATION.fullmatch(written := value.strip().lower()):
        return math.fsum(float(number) * _SECONDS[unit] for number, unit in _STEP.findall(written))
    raise BadValue("is no duration", "write seconds, or for example 90s, 2h30m, 1d")


def size(value: object) -> int:
    """Bytes: a number, or with a unit such as ``64MB`` (decimal) or ``1GiB`` (binary)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or (found[3] and not found[2]):
        raise BadValue("is no size", "write bytes, or for example 64MB, 1GiB")
    return int(
        float(found[1])
        * (1024 if found[3] else 1000) ** ("KMGT".index(found[2].upper()) + 1 if found[2] else 0)
    )


def quota(value: object) -> Quota | None:
    """Requests in a time: ``100/10s``, ``600/1m``, ``10/s``; ``auto``; ``none`` is None."""
    if isinstance(value, Quota):
        return value
    written = value.strip().lower() if isinstance(value, str) else ""
    if written in ("none", "auto"):
        return AUTO_QUOTA if written == "auto" else None
    found = _QUOTA.fullmatch(written)
    if (
        found
        and (requests := int(found[1])) > 0
        and (seconds := float(found[2] or 1) * _SECONDS[found[3]]) > 0
    ):
        return Quota(requests, seconds)
    raise BadValue("is no quota", "write requests per time, for example 100/10s, or none, or auto")


def month(value: object) -> str:
    """A month, ``YYYY-MM``."""
    if isinstance(value, str) and _MONTH.fullmatch(value.strip()):
        return value.strip()
    raise BadValue("is no month", "write YYYY-MM, for example 2026-01")


def shard(value: object) -> Shard:
    """``K/N``: the K-th of N shares."""
    if isinstance(value, Shard):
        return value
    found = _SHARD.fullmatch(value.strip()) if isinstance(value, str) else None
    if found and 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
        return Shard(int(found[1]), int(found[2]))
    raise BadValue(
        "is no share", f"write K/N with K from 1 to N (and N up to {MOST_SHARDS}), for example 2/4"
    )


def file_mode(value: object) -> int:
    """Permission bits in octal digits, ``0600``; a bare number could be meant in two ways."""
    if isinstance(value, str) and re.fullmatch(r"(?:0o?)?[0-7]{3}", value.strip()):
        return int(value.strip().removeprefix("0o"), 8)
    raise BadValue("is no file mode", 'write three octal digits as text, for example "0600"')


# -- and back, for help and messages


def show(value: Any) -> str:
    """A value as it would be written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value)


def show_names(names: tuple[str, ...]) -> str:
    """Names with commas between them."""
    return ",".join(names) or "none"


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
    """Permission bits as they are written."""
    return f"{mode:04o}"
