"""The timeline of a summary, combined into as many points as a chart can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_LEAST_OF_A_STEP: Final = 0.3
"""The last point is unfinished: a rate over less than this share of a step says nothing."""


class Point(NamedTuple):
    """What happened from `begin` on for `seconds`; times are in seconds. `paused` is summed over lanes."""

    begin: float
    seconds: float
    granted: int
    throttled: int
    settled: int
    failed: int
    paused: float


def points(timeline: Mapping[str, Any], most: int) -> list[Point]:
    """At most `most` points of equal length, the last of which may be shorter, or left out if too short."""
    step = float(timeline["secondsPerPoint"])
    fields = ("granted", "throttled", "settled", "failed", "paused")
    moments = list(zip(*(timeline[name] for name in fields), strict=True))
    last = float(timeline.get("secondsOfLastPoint", step))
    if len(moments) > 1 and last < step * _LEAST_OF_A_STEP:
        moments, last = moments[:-1], step
    combined = max(1, -(-len(moments) // most))
    found = []
    for at in range(0, len(moments), combined):
        group = moments[at : at + combined]
        is_end = at + combined >= len(moments)
        seconds = (len(group) - 1) * step + (last if is_end else step)
        found.append(Point(at * step, max(seconds, 1e-3), *(_total(group, k) for k in range(len(fields)))))
    return found


def _total(group: Sequence[Sequence[Any]], column: int) -> Any:
    return sum(moment[column] for moment in group)


class Unit(NamedTuple):
    """The unit of a time axis."""

    word: str
    seconds: float


def unit_for(seconds: float) -> Unit:
    """Seconds, minutes or hours, so that the axis has numbers of two or three digits."""
    if seconds <= 240:  # noqa: PLR2004  # four minutes
        return Unit("seconds", 1.0)
    return Unit("minutes", 60.0) if seconds <= 4 * 3600 else Unit("hours", 3600.0)
