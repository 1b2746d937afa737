"""What comes in, what goes out, and what is seen of it."""

from __future__ import annotations

from harvester.settings import parse
from harvester.settings.field import Field, Kind
from harvester.settings.table.kinds import FILE, FLAG, SIZE, TEXT, WHOLE, word
from harvester.settings.values import COLUMNS

LIST = (
    Field(
        name="inputs",
        kind=Kind("INPUT", parse.paths),
        section="list",
        help="Files of account IDs; - is stdin.",
    ),
    Field(
        name="input_format",
        kind=word("auto", "text", "csv", "ndjson"),
        section="list",
        flag="--input-format",
        help="Format of the inputs; auto goes by suffix, then by content.",
    ),
    Field(
        name="id_field",
        kind=TEXT,
        section="list",
        flag="--id-field",
        none="auto",
        unset="accountId, account_id or id",
        help="Column or property that holds the account ID.",
    ),
    Field(
        name="shard",
        kind=Kind("K/N", parse.shard),
        section="list",
        flag="--shard",
        none="none",
        help="Harvest only the K-th of N disjoint shares of the list, with 1/N of the quota.",
    ),
    Field(
        name="split_quota",
        kind=FLAG,
        section="list",
        flag="--split-quota",
        off="--no-split-quota",
        help="Whether a shard takes only its share of the quota; not where each has a client of its own.",
    ),
)

OUTPUT = (
    Field(
        name="output",
        kind=Kind("DEST", parse.destination),
        section="output",
        flag="--output",
        short="-o",
        help="Where rows go: - is stdout, a file (.gz, .zst compress), a folder (ends in /), s3://, gs://, az://.",
    ),
    Field(
        name="format",
        kind=word("ndjson", "parquet", "singer"),
        section="output",
        flag="--format",
        help="Format of the output.",
    ),
    Field(
        name="shape",
        kind=word("rows", "accounts"),
        section="output",
        flag="--shape",
        help="One line a row, or one line an account, those without usage included.",
    ),
    Field(
        name="compress",
        kind=word("none", "gzip", "zstd"),
        section="output",
        flag="--compress",
        none="auto",
        unset="by the suffix",
        help="Compression of a folder's parts, or of stdout.",
    ),
    Field(
        name="partition_by",
        kind=word("month", "harvested"),
        section="output",
        flag="--partition-by",
        none="none",
        help="Folders as Hive names them: month=2026-10/, or harvested=2026-11-01/ for each night's harvest.",
    ),
    Field(
        name="columns",
        kind=Kind("NAMES", parse.columns(*COLUMNS), parse.show_names),
        section="output",
        flag="--columns",
        help="Add to each row where it comes from: any of harvestedAt,tenant,apiVersion,runId.",
    ),
    Field(
        name="part_rows",
        kind=WHOLE,
        section="output",
        flag="--part-rows",
        none="none",
        least=1,
        help="Begin the next part of a folder after so many rows.",
    ),
    Field(
        name="part_bytes",
        kind=SIZE,
        section="output",
        flag="--part-bytes",
        none="none",
        least=1,
        help="Begin the next part of a folder at this size.",
    ),
    Field(
        name="ordered",
        kind=FLAG,
        section="output",
        flag="--ordered",
        off="--no-ordered",
        help="Rows in the order of the list, not as they come.",
    ),
    Field(
        name="changes",
        kind=Kind("STATE", parse.path),
        section="output",
        flag="--changes",
        unset="every row",
        help="Only rows that are new, changed or gone since the last complete harvest with this file.",
    ),
    Field(
        name="singer_state",
        kind=FILE,
        section="output",
        flag="--singer-state",
        unset="from the beginning",
        help="The last STATE of the Singer stream to go on from; a file that is not there is none.",
    ),
    Field(
        name="failures",
        kind=FILE,
        section="output",
        flag="--failures",
        unset="DEST.failures.ndjson",
        help="Where the accounts go that were given up; a valid INPUT for the next run.",
    ),
    Field(
        name="summary",
        kind=FILE,
        section="output",
        flag="--summary",
        unset="DEST.summary.json",
        help="Where the run in figures goes, as JSON.",
    ),
    Field(
        name="ledger",
        kind=FILE,
        section="output",
        flag="--ledger",
        unset="beside DEST",
        help="Where the record of finished accounts is kept while the harvest is incomplete.",
    ),
    Field(
        name="fresh",
        kind=FLAG,
        section="output",
        flag="--fresh",
        off="--resume",
        help="Begin anew, or go on where the last run stopped.",
    ),
    Field(
        name="file_mode",
        kind=Kind("MODE", parse.file_mode, parse.show_mode),
        section="output",
        flag="--file-mode",
        help="Permissions of the files written, in octal.",
    ),
)

SEEING = (
    Field(
        name="progress",
        kind=word("auto", "on", "off"),
        section="seeing",
        flag="--progress",
        help="Live progress on stderr; auto is on for a terminal.",
    ),
    Field(
        name="log_format",
        kind=word("text", "json"),
        section="seeing",
        flag="--log-format",
        help="Log lines for people or for programs, on stderr.",
    ),
    Field(
        name="verbosity",
        kind=WHOLE,
        section="seeing",
        least=-1,
        most=2,
        help="How much is logged: -1 warnings only, 1 each retry, 2 each request.",
    ),
)

METRICS = (
    Field(
        name="report",
        kind=FILE,
        section="seeing",
        flag="--report",
        none="none",
        help="Where the run and what the rows say go as one HTML page with charts (extra: report).",
    ),
    Field(
        name="metrics",
        kind=FILE,
        section="metrics",
        flag="--metrics",
        none="none",
        help="Prometheus text file for node_exporter, kept up to date and left with the run's last figures.",
    ),
    Field(
        name="metrics_port",
        kind=WHOLE,
        section="metrics",
        flag="--metrics-port",
        none="none",
        least=0,
        most=65535,
        help="Port that serves /metrics while the run goes on; 0 picks one.",
    ),
    Field(
        name="metrics_address",
        kind=Kind("ADDRESS", parse.text),
        section="metrics",
        flag="--metrics-address",
        help="Address of that port; 0.0.0.0 lets other machines in.",
    ),
)
