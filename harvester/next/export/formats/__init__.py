"""What outputs are made of: NDJSON, CSV, Parquet, Singer; and how they are compressed.

A format encodes the records of one file and hands the bytes on; it knows nothing of where they go.
"""

from harvester.next.export.formats.base import Encoder, Format, Write
from harvester.next.export.formats.choice import FORMATS, format_named

__all__ = ["FORMATS", "Encoder", "Format", "Write", "format_named"]
