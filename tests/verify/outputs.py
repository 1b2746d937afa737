"""Outputs to verify: a real ledger, really exported, with its summary and failures next to it."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from harvester.export import export, open_output
from harvester.export.manifest import failure_line
from harvester.ledger import LedgerReader
from tests.export.ledgers import BEGUN, accounts, finished
from tests.export.outputs import spec_of

COUNT = 120
NAMES = {
    "ndjson": "usages.ndjson",
    "gzip": "usages.ndjson.gz",
    "zstd": "usages.ndjson.zst",
    "csv": "usages.csv",
    "parquet": "usages.parquet",
    "singer": "usages.singer",
    "accounts": "usages.ndjson",
    "directory": "usages/",
    "compressed directory": "usages/",
    "directory of Parquet": "usages/",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "accounts": {"shape": "accounts"},
    "directory": {"part_rows": 100},
    "compressed directory": {"part_rows": 100, "compress": "zstd", "columns": ("runId",)},
    "directory of Parquet": {"part_rows": 200, "format": "parquet"},
}


def harvested(folder: Path, kind: str, **more: Any) -> Path:
    """An output of this kind in `folder`, as a run leaves it."""
    name = NAMES[kind]
    path = folder / name
    ledger = folder / (name.rstrip("/") + ".ledger")
    ledger.write_bytes(_ledger())
    with LedgerReader(ledger) as reader:
        options = {**OPTIONS.get(kind, {}), **more}
        spec = spec_of(f"{folder}/{name}", form=options.pop("format", None), **options)
        output = open_output(spec, begun=BEGUN, observer=lambda _: None)
        exported = export([reader], output)
        failures = list(map(failure_line, reader.failures()))
        if spec.parted:
            output.write_beside("_failures.ndjson", failures)
            output.complete()
        else:
            Path(f"{path}.failures.ndjson").write_bytes(b"".join(failures))
            write_summary(path, reader, [asdict(file) for file in exported.files], exported.rows)
    return path


@lru_cache
def _ledger() -> bytes:
    """A finished ledger is one file, and never changed."""
    with TemporaryDirectory() as folder:
        return finished(Path(folder) / "ledger", accounts(COUNT)).read_bytes()


def write_summary(path: Path, reader: LedgerReader, outputs: list[dict[str, Any]], rows: int) -> None:
    """The summary of a finished run, as far as it is about outputs."""
    counts = reader.counts()
    names = ("distinct", "harvested", "empty", "unreported", "failed")
    document = {
        "runId": "run-1",
        "status": 3,
        "counts": {name: getattr(counts, name) for name in names} | {"notAttempted": counts.not_attempted},
        "rows": rows,
        "ledger": str(reader.path),
        "failures": f"{path}.failures.ndjson",
        "outputs": outputs,
    }
    Path(f"{path}.summary.json").write_bytes(orjson.dumps(document))
