"""Only the rows that differ from the last complete harvest (`--changes`)."""

from harvester.sink.changes.framing import ChangesFraming

__all__ = ["ChangesFraming"]
