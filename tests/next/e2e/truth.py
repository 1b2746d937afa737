"""Comparing an output with the tenant's truth, by other means than the program's own."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import orjson
import zstandard

from tests.next.e2e.processes import Tenant, run


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
    return sorted(output.glob("part-*")) if output.is_dir() else [output]


def content_of(output: Path) -> bytes:
    """All lines of an output, a file or a directory."""
    return b"".join(map(read, parts_of(output)))


def beside(output: Path, what: str) -> Path:
    """The ``failures.ndjson`` or ``summary.json`` that belongs to an output."""
    return output / f"_{what}" if output.is_dir() else output.with_name(f"{output.name}.{what}")


def ledger_of(output: Path) -> Path:
    """The finished ledger of an output."""
    return output.with_name(f"{output.name}.ledger")


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


def assert_complete(tenant: Tenant, output: Path) -> None:
    """`output` is exactly the truth: bytes, failures, summary, ``harvester verify``; nothing is left over."""
    assert content_of(output) == truth_of(tenant)
    assert_failures(tenant, beside(output, "failures.ndjson"))
    assert_summary(tenant, beside(output, "summary.json"))
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
