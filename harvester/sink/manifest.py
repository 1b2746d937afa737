"""What a whole output says of itself.

The document stands in a folder as ``_manifest.json`` (``_manifest.1of4.json`` for a shard), keys::

    schemaVersion  1
    program, version, runId, completedAt (RFC 3339)
    shard          "1/4", or null
    options        the options that changed the data, by flag
    accounts       {"distinct", "harvested", "empty", "failed"}, each {"count", "digest"}: the digest is the
                   sum, modulo 2**256, of the SHA-256 of each ID, so that a list can be proved complete
    rows           of all parts
    parts          [{"name", "rows", "accounts", "bytes", "sha256"}]
    failures       name of the failures file, or null

In a folder of shards, the overall document has ``shards`` (how many) and sums the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from harvester.ledger import IdDigest, PartRecord, Proof
from harvester.model import OutputFile

SCHEMA_VERSION = 1
_PROGRAM = "account-usage-harvester"


def output_file(part: PartRecord) -> OutputFile:
    """A part as reports name it."""
    return OutputFile(part.name, part.rows, part.accounts, part.size, part.sha256)


def manifest(
    *,
    run_id: str,
    shard: str | None,
    options: dict[str, Any],
    proof: Proof,
    parts: Sequence[OutputFile],
    failures: str | None,
) -> dict[str, Any]:
    """The document of one whole harvest."""
    return {
        **_head(),
        "runId": run_id,
        "shard": shard,
        "options": options,
        "accounts": proof.to_json(),
        "rows": sum(part.rows for part in parts),
        "parts": [asdict(part) for part in parts],
        "failures": failures,
    }


def joint_manifest(shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The document of a folder in which all shards of a list are whole."""
    return {
        **_head(),
        "shards": len(shards),
        "runIds": [shard["runId"] for shard in shards],
        "options": {name: value for name, value in shards[0]["options"].items() if name != "--shard"},
        "accounts": {
            name: _joint_tally([shard["accounts"][name] for shard in shards])
            for name in ("distinct", "harvested", "empty", "failed")
        },
        "rows": sum(shard["rows"] for shard in shards),
        "parts": [part for shard in shards for part in shard["parts"]],
        "failures": [shard["failures"] for shard in shards if shard["failures"]],
    }


def to_bytes(document: dict[str, Any]) -> bytes:
    """The document as it is written."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _head() -> dict[str, Any]:
    return {
        "schemaVersion": SCHEMA_VERSION,
        "program": _PROGRAM,
        "version": _version(),
        "completedAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _joint_tally(tallies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total = IdDigest()
    for tally in tallies:
        total.merge(IdDigest(tally["digest"], tally["count"]))
    return {"count": total.count, "digest": str(total)}


def _version() -> str:
    try:
        return version(_PROGRAM)
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
