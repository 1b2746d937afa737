"""Comparing an output with the tenant's truth, by other means than the program's own."""

from __future__ import annotations

import csv
import gzip
import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import zstandard
from pyarrow import parquet

from tests.e2e.processes import Tenant, run


def read(path: Path) -> bytes:
    """The bytes of a file, unpacked."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(content)
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True)
        return reader.read()
    return content


def parts_of(output: Path) -> list[Path]:
    """The files that have the rows of an output."""
    return sorted(output.rglob("part-*")) if output.is_dir() else [output]


def content_of(output: Path) -> bytes:
    """All rows of an output as lines of NDJSON, whatever it is: a file or a directory, in any format."""
    return b"".join(map(_lines_of, parts_of(output)))


def _lines_of(path: Path) -> bytes:
    form = next((one for one in (".csv", ".parquet", ".db") if one in path.suffixes), ".ndjson")
    if form == ".ndjson":
        return read(path)
    found = {".csv": _csv_rows, ".parquet": _parquet_rows, ".db": _database_rows}[form](path)
    lines = [
        orjson.dumps({"accountId": account, "date": date, "count": count}) for account, date, count in found
    ]
    return b"".join(line + b"\n" for line in lines)


def _csv_rows(path: Path) -> list[tuple[str, str, int]]:
    header, *rows = csv.reader(io.StringIO(read(path).decode(), newline=""))
    assert header == ["accountId", "date", "count", "other"]
    assert not any(other for *_, other in rows)
    return [(account, date, int(count)) for account, date, count, _ in rows]


def _parquet_rows(path: Path) -> list[tuple[str, str, int]]:
    return [
        (row["accountId"], str(row["date"]), row["count"]) for row in parquet.read_table(path).to_pylist()
    ]


def _database_rows(path: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT accountId, date, count FROM usage").fetchall()


def beside(output: Path, what: str) -> Path:
    """The ``failures.ndjson`` or ``summary.json`` that belongs to an output."""
    if output.is_dir():
        own = sorted(output.glob("harvested=*"))
        return (own[0] if own else output) / f"_{what}"
    return output.with_name(f"{output.name}.{what}")


def ledger_of(output: Path) -> Path:
    """The finished ledger of an output."""
    return output if output.suffix == ".db" else output.with_name(f"{output.name}.ledger")


def truth_of(tenant: Tenant, ids: list[bytes] | None = None) -> bytes:
    """What an NDJSON output of `ids` (all) must be, byte for byte."""
    if ids is None:
        lines = tenant.truth
    else:
        by_account: dict[str, list[bytes]] = {}
        for line in tenant.truth:
            by_account.setdefault(orjson.loads(line)["accountId"], []).append(line)
        lines = [line for one in ids for line in by_account.get(one.decode(), [])]
    return b"".join(line + b"\n" for line in lines)


def assert_failures(tenant: Tenant, path: Path) -> None:
    """The failures file has one line for each hopeless account, and no others."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert len(lines) == len(tenant.hopeless)
    assert {line["accountId"]: line["status"] for line in lines} == tenant.hopeless


def assert_summary(tenant: Tenant, path: Path) -> dict[str, Any]:
    """The summary's counts add up to the list, and agree with the truth."""
    summary: dict[str, Any] = orjson.loads(path.read_bytes())
    counts = summary["counts"]
    kinds = ("harvested", "empty", "unreported", "failed", "notAttempted")
    assert counts["distinct"] == len(tenant.ids) == sum(counts[kind] for kind in kinds), counts
    assert counts["notAttempted"] == 0
    assert counts["failed"] == len(tenant.hopeless)
    assert sum(one["count"] for one in summary["failuresByReason"].values()) == len(tenant.hopeless)
    assert summary["rows"] == len(tenant.truth)
    assert summary["status"] == (3 if tenant.hopeless else 0)
    return summary


def assert_true(tenant: Tenant, output: Path) -> None:
    """`output` is exactly the truth: bytes, failures and summary."""
    assert content_of(output) == truth_of(tenant)
    assert_failures(tenant, beside(output, "failures.ndjson"))
    assert_summary(tenant, beside(output, "summary.json"))


def assert_complete(tenant: Tenant, output: Path) -> None:
    """`output` is exactly the truth, ``harvester verify`` agrees, and nothing is left over."""
    assert_true(tenant, output)
    destination = f"{output}/" if output.is_dir() else output
    status, verify = run("verify", destination)
    assert status == 0, verify.out + verify.err
    assert_nothing_left_over(output)


def assert_nothing_left_over(output: Path) -> None:
    """Next to the output is only what the contract names."""
    stem = output.name
    own = {stem, f"{stem}.ledger", f"{stem}.failures.ndjson", f"{stem}.summary.json"}
    found = {path.name for path in output.parent.iterdir() if path.name.startswith(stem)}
    assert found <= own, found - own
