"""What the page says about the run, from its summary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from harvester.next.report.closing import Closing
from harvester.next.report.figures import rate, size, span
from harvester.next.report.html.tables import Table, Tile

_MOST_OUTPUTS: Final = 50
_MOODS: Final = {0: "good", 3: "part"}
_MARKED: Final = frozenset({"failed", "not attempted"})


def when(summary: Mapping[str, Any]) -> str:
    """When the run was, and of what."""
    start, end = (datetime.fromisoformat(summary[name]) for name in ("start", "end"))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%-d %B %Y, %H:%M}"
    shard = f", shard {summary['shard']}" if summary["shard"] else ""
    versions = ", ".join(summary["apiVersions"])
    return f"Harvested {start:%-d %B %Y, %H:%M} to {until} UTC, API {versions}{shard}"


def mood(summary: Mapping[str, Any]) -> str:
    """`good`, `part` (some accounts failed) or `bad` (it ended early)."""
    return _MOODS.get(summary["status"], "bad")


def tiles(closing: Closing) -> list[Tile]:
    """The run's figures in large type."""
    return [Tile(f.label, f.number, f.remark, marked=f.label in _MARKED) for f in closing.figures]


def tables(summary: Mapping[str, Any], closing: Closing) -> list[Table]:
    """Failures and what to do about them, lanes, files."""
    heads = ("accounts", "because", "for example", "what to do")
    failures = Table("Failed accounts, and what to do", heads, closing.groups)
    return [table for table in (failures, _lanes(summary), _outputs(summary)) if table.rows]


def _lanes(summary: Mapping[str, Any]) -> Table:
    lanes = summary["lanes"] if len(summary["lanes"]) > 1 else {}  # of one, the page has said it all
    rows = [
        (
            label,
            lane["quota"] or "none",
            f"{lane['requests']:,}",
            f"{lane['throttled']:,}",
            span(lane["secondsPaused"]) if lane["secondsPaused"] else "–",
            "dropped" if lane["dropped"] else _adapted(lane["requestsPerSecond"]),
        )
        for label, lane in lanes.items()
    ]
    return Table("Lanes", ("lane", "quota", "requests", "answers 429", "paused", "rate"), rows)


def _adapted(per_second: float | None) -> str:
    return "as configured" if per_second is None else f"adapted to {rate(per_second)}"


def _outputs(summary: Mapping[str, Any]) -> Table:
    outputs = summary["outputs"]
    rows = [
        (one["name"], f"{one['rows']:,}", f"{one['accounts']:,}", size(one["bytes"]), one["sha256"])
        for one in outputs[:_MOST_OUTPUTS]
    ]
    more = len(outputs) - len(rows)
    title = f"Files written (the first {len(rows)} of {len(outputs):,})" if more else "Files written"
    return Table(title, ("file", "rows", "accounts", "size", "SHA-256"), rows)
