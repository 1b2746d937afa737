"""Comparing an output with the tenant's truth, by other means than the program's own."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import zstandard
from click.testing import CliRunner

from harvester.cli.verify import command as verify
from tests.whole.processes import Tenant


def read(path: Path) -> bytes:
    """The bytes of a file as the standard tools unpack them, or as libraries do where those are missing."""
    tool = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    if tool is None:
        return path.read_bytes()
    if shutil.which(tool):
        return subprocess.run([tool, "-dc", path], check=True, capture_output=True).stdout
    if tool == "gzip":
        return gzip.decompress(path.read_bytes())
    reader = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(path.read_bytes()), read_across_frames=True
    )
    return reader.read()


def parts_of(output: Path) -> list[Path]:
    """The files that hold the rows of an output."""
    return sorted(output.glob("part-*")) if output.is_dir() else [output]


def beside(output: Path, what: str) -> Path:
    """The ``failures.ndjson`` or ``summary.json`` that belongs to an output."""
    return output / f"_{what}" if output.is_dir() else output.with_name(f"{output.name}.{what}")


def assert_rows(
    tenant: Tenant, content: bytes, *, ordered: bool = False, ids: list[bytes] | None = None
) -> None:
    """`content` has exactly the rows the tenant has of `ids` (all): each account's together and in order."""
    wanted = set(tenant.ids if ids is None else ids)
    truth = [line for line in tenant.truth if account_of(line).encode() in wanted]
    lines = content.splitlines()
    assert content.endswith(b"\n") or not lines
    if not ordered:
        # Within an account the order is the tenant's: sort by account only, as the truth is sorted below.
        assert len({account_of(line) for line in lines}) == len(list(groupby(map(account_of, lines))))
        lines.sort(key=account_of)
        truth.sort(key=account_of)
    assert len(lines) == len(truth)
    assert lines == truth


def account_of(line: bytes) -> str:
    """Whose row it is."""
    found: str = orjson.loads(line)["accountId"]
    return found


def assert_failures(tenant: Tenant, path: Path) -> None:
    """The failures file has one line for each hopeless account, and no others."""
    if not tenant.hopeless:
        assert not path.exists()
        return
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert len(lines) == len(tenant.hopeless)
    assert {line["accountId"]: line["status"] for line in lines} == tenant.hopeless


def assert_summary(tenant: Tenant, path: Path) -> dict[str, Any]:
    """The summary's counts add up to the list, and agree with the truth."""
    summary: dict[str, Any] = orjson.loads(path.read_bytes())
    counts = summary["counts"]
    assert (
        counts["distinct"]
        == len(tenant.ids)
        == sum(counts[kind] for kind in ("harvested", "empty", "failed", "notAttempted", "finishedEarlier"))
    )
    assert counts["notAttempted"] == 0
    assert counts["failed"] == len(tenant.hopeless)
    assert summary["rows"] == len(tenant.truth)
    assert summary["status"] == (3 if tenant.hopeless else 0)
    return summary


def assert_whole(
    tenant: Tenant, output: Path, ids: Path, *, ordered: bool = False, swept: bool = True
) -> None:
    """`output` is exactly the truth, by its bytes, its failures, its summary and by ``harvester verify``.

    `swept`: and nothing of the work is left behind.
    """
    content = b"".join(map(read, parts_of(output)))
    assert_rows(tenant, content, ordered=ordered)
    assert_failures(tenant, beside(output, "failures.ndjson"))
    assert_summary(tenant, beside(output, "summary.json"))
    verdict = CliRunner().invoke(verify, [str(output), "--input", str(ids)], standalone_mode=False)
    assert verdict.return_value == 0, verdict.output
    assert ": whole, complete as to the list" in verdict.output
    if swept:
        assert_no_strays(output)


def assert_no_strays(output: Path) -> None:
    """Nothing of the work is left: no ledger, lock, log or partial file."""
    folder = output if output.is_dir() else output.parent
    strays = [
        p.name
        for p in folder.iterdir()
        if any(word in p.name for word in ("ledger", "lock", "partial", ".new"))
    ]
    assert not strays, strays
