"""From ledgers to outputs: one exporter, whatever the format and the destination.

`OutputSpec` describes an output, `open_output` opens it, `Output.try_out` tries it before the first request,
and `export` writes it from one ledger or from the shards of one list, once or while the harvest runs.
`slices` is the same for the Python API.
"""

from harvester.export.changes import Changes
from harvester.export.control import Control
from harvester.export.export import Exported, export
from harvester.export.opening import open_output
from harvester.export.output import Output, OutputSpec
from harvester.export.records import COLUMNS
from harvester.export.shards import Ledgers
from harvester.export.slices import decoded, slices
from harvester.export.tables.table import TableOutput

__all__ = [
    "COLUMNS",
    "Changes",
    "Control",
    "Exported",
    "Ledgers",
    "Output",
    "OutputSpec",
    "TableOutput",
    "decoded",
    "export",
    "open_output",
    "slices",
]
