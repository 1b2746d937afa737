"""Rows as messages of the Singer specification, and where the next run goes on."""

from harvester.sink.singer.framing import SingerFraming

__all__ = ["SingerFraming"]
