"""Numbers as short strings for people. Pure functions."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KILO = 1000


def plural(number: int, noun: str) -> str:
    """`1 account`, `12,404 accounts`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """`99.4%`. Only a whole is 100%, so that nothing missing hides behind rounding."""
    return f"{share * 100:.1f}%" if not 0.9995 <= share < 1 else "99.9%"  # noqa: PLR2004  # would round up


def span(seconds: float) -> str:
    """A duration in at most two units: `350 ms`, `4.2 s`, `32 s`, `4 min 12 s`, `2 h 05 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:  # noqa: PLR2004  # beyond it, tenths mean nothing
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def size(number: int) -> str:
    """Bytes in decimal units, as disks and networks are sold: `512 B`, `14.2 MB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _KILO:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KILO
    return f"{value:,.1f} TB"


def rate(per_second: float) -> str:
    """`9.9/s`, `998/s`, and for slow ones `0.05/s`."""
    if per_second >= 100:  # noqa: PLR2004  # three digits are enough
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 or not per_second else f"{per_second:.2f}/s"
