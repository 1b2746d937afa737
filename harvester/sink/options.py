"""The options that change the data, as the ledger remembers them: a resume must agree on these only."""

from __future__ import annotations

from typing import Any

from harvester.errors import ResumeRefused
from harvester.settings.model import Settings
from harvester.sink.codec import Compression, compression_of


def compression(settings: Settings) -> Compression:
    """How this output is compressed: as asked for, else by its suffix."""
    return settings.compress or compression_of(settings.output)


def spool_compression(settings: Settings) -> Compression:
    """How lines are spooled: as they are, where something else is made of them in the end."""
    made = settings.format == "parquet" or settings.partition_by == "month"
    return "none" if made else compression(settings)


def data_options(settings: Settings) -> dict[str, Any]:
    """Each option that changes the data, by the name of its flag."""
    return {
        "--base-url": settings.base_url,
        "--api-version": settings.api_version,
        "--sorters": settings.sorters,
        "--since": settings.since,
        "--format": settings.format,
        "--shape": settings.shape,
        "--compress": compression(settings),
        "--partition-by": settings.partition_by,
        "--columns": ",".join(settings.columns) or None,
        "--ordered": settings.ordered,
        "--changes": True if settings.changes is not None else None,
        "--shard": None if settings.shard is None else str(settings.shard),
    }


def refuse_other_options(output: str, was: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ResumeRefused, which names each option that differs, when a harvest was begun with others."""
    differing = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    if differing:
        told = ", ".join(
            f"{name} was {_shown(was.get(name))} and is now {_shown(now.get(name))}" for name in differing
        )
        raise ResumeRefused(
            f"{output}: the unfinished harvest found there was begun with other options ({told})",
            "use those to go on with it, or start again with --fresh",
        )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not given" if value is None else str(value)
