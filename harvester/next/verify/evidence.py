"""What an output says of itself: the manifest of a directory, the summary next to a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.next.errors import InputError
from harvester.next.verify.verdict import Verdict

MANIFEST: Final = "_manifest.json"
_SUCCESS: Final = "_SUCCESS"
_CHUNK: Final = 1 << 20
_ADDED_UP: Final = ("harvested", "empty", "unreported", "failed")


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared of one file; what is not is None."""

    path: Path
    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is declared of an output: its files, and how its accounts ended.

    `digests` has the digest of the accounts' IDs by outcome, where a manifest gives it. `failures` is where
    the failures file is.
    """

    files: tuple[Declared, ...]
    failures: Path
    counts: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    run_ids: frozenset[str] = frozenset()
    ledger: Path | None = None


def evidence_of(output: Path, summary: Path | None, verdict: Verdict) -> Evidence:
    """What is declared of `output`, a file or a directory; findings where that contradicts itself.

    Raises:
        InputError: there is no such output, or what it says of itself cannot be read.
    """
    if output.is_dir():
        return _of_directory(output, verdict)
    if not output.is_file():
        unfinished = output.with_name(output.name + ".partial").exists()
        hint = "its harvest is unfinished: run the same command again" if unfinished else "check the path"
        raise InputError(str(output), "no such output", hint)
    return _of_file(output, summary, verdict)


def check_bytes(declared: Declared, verdict: Verdict) -> None:
    """Hold a file's size and checksum to what is declared of them."""
    size = declared.path.stat().st_size
    if declared.bytes is not None and size != declared.bytes:
        verdict.add(str(declared.path), f"has {size} bytes, but {declared.bytes} were written")
    elif declared.sha256 is not None and checksum(declared.path) != declared.sha256:
        verdict.add(str(declared.path), "was changed: its SHA-256 is not the one declared")


def checksum(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def partitions(output: Path) -> Iterator[Path]:
    """The directories of single days that an output with ``--partition-by harvested`` consists of."""
    if not (output / MANIFEST).exists():
        yield from sorted(one for one in output.glob("harvested=*") if one.is_dir())


# -- a directory


def _of_directory(output: Path, verdict: Verdict) -> Evidence:
    path = output / MANIFEST
    if not path.exists():
        verdict.add(str(output), f"is not complete: it has no {MANIFEST}")
        return Evidence((), output / "_failures.ndjson")
    manifest = _document(path)
    if not (output / _SUCCESS).exists():
        verdict.add(str(output), f"is not complete: it has no {_SUCCESS}")
    if manifest.get("complete") is False:
        verdict.add(str(path), "says that the harvest was unfinished")
    accounts = manifest.get("accounts") or {}
    _check_sum({name: one["count"] for name, one in accounts.items()}, str(path), verdict)
    return Evidence(
        files=tuple(_parts(output, manifest, verdict)),
        failures=output / "_failures.ndjson",
        counts={name: one["count"] for name, one in accounts.items()},
        digests={name: one["digest"] for name, one in accounts.items()},
        run_ids=frozenset(manifest.get("runIds") or ()),
    )


def _parts(output: Path, manifest: Mapping[str, Any], verdict: Verdict) -> Iterator[Declared]:
    named = set()
    for part in manifest.get("parts") or ():
        path = output / part["name"]
        named.add(path.name)
        if path.parent == output and path.is_file():
            yield Declared(path, part["rows"], part["bytes"], part["sha256"])
        else:
            verdict.add(str(path), "is missing, but the manifest names it")
    for path in sorted(output.glob("part-*")):
        if path.name not in named:
            verdict.add(str(path), "is not in the manifest: it belongs to another output")


# -- a file


def _of_file(output: Path, summary: Path | None, verdict: Verdict) -> Evidence:
    path = summary or output.with_name(output.name + ".summary.json")
    failures = output.with_name(output.name + ".failures.ndjson")
    if not path.exists():
        verdict.notes.append(f"{path}: there is no summary, so the bytes cannot be compared with it")
        return Evidence((Declared(output),), failures)
    document = _document(path)
    status = document.get("status")
    if status not in (0, 3):
        verdict.add(str(path), f"says that the harvest did not finish (status {status})")
    counts = document.get("counts") or {}
    counts = {"notAttempted": 0, **counts}
    _check_sum(counts, str(path), verdict)
    return Evidence(
        files=(_declared(output, path, document, verdict),),
        failures=Path(document["failures"]) if document.get("failures") else failures,
        counts={name: count for name, count in counts.items() if name != "notAttempted"},
        run_ids=frozenset({document["runId"]}) if document.get("runId") else frozenset(),
        ledger=Path(document["ledger"]) if document.get("ledger") else None,
    )


def _declared(output: Path, summary: Path, document: Mapping[str, Any], verdict: Verdict) -> Declared:
    for one in document.get("outputs") or ():
        if Path(one["name"]).name == output.name:
            return Declared(output, one["rows"], one["bytes"], one["sha256"])
    verdict.add(str(summary), f"does not mention {output.name}: it is the summary of another output")
    return Declared(output)


def _check_sum(counts: Mapping[str, int], place: str, verdict: Verdict) -> None:
    if counts.get("notAttempted"):
        verdict.add(place, f"says that {counts['notAttempted']} accounts were not attempted")
    total = sum(counts.get(name, 0) for name in (*_ADDED_UP, "notAttempted"))
    if "distinct" in counts and total != counts["distinct"]:
        verdict.add(place, f"counts {counts['distinct']} accounts, but they add up to {total}")


def _document(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read ({error})", "restore it, or harvest again") from error
    if not isinstance(found, dict):
        raise InputError(str(path), "is not a JSON object", "restore it, or harvest again")
    return found
