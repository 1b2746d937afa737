"""From ledgers to outputs: one exporter, whatever the format and the destination.

`OutputSpec` describes an output, `open_output` opens it, `Output.try_out` tries it before the first request,
and `export` writes it from one ledger or from the shards of one list, once or while the harvest runs.
`slices` is the same for the Python API.
"""

from harvester.next.export.changes import Changes
from harvester.next.export.control import Control
from harvester.next.export.export import export, is_complete
from harvester.next.export.exporter import Exported
from harvester.next.export.failures import failure_lines, write_failures
from harvester.next.export.output import Output, OutputSpec, open_output
from harvester.next.export.records import COLUMNS
from harvester.next.export.slices import decoded, slices

__all__ = [
    "COLUMNS",
    "Changes",
    "Control",
    "Exported",
    "Output",
    "OutputSpec",
    "decoded",
    "export",
    "failure_lines",
    "is_complete",
    "open_output",
    "slices",
    "write_failures",
]
