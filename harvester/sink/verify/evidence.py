"""What an output says of itself: the files that belong to it, and what should be in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from harvester.errors import OutputFault
from harvester.ledger import IdDigest
from harvester.sink.disk import at
from harvester.sink.layout.base import partial
from harvester.sink.layout.file import beside
from harvester.sink.layout.names import FolderNames
from harvester.sink.manifest import joint_manifest
from harvester.sink.verify.verdict import Verdict

_PART = frozenset({"name", "rows", "accounts", "bytes", "sha256"})
_SUMMARY = frozenset({"status", "outputs"})
_MANIFEST = frozenset({"parts", "rows", "accounts"})
_SHARD = _MANIFEST | {"shard", "runId", "options", "failures"}
_FINISHED = (0, 3)
"""The statuses with which a run ends that has come to the end of its list."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One file, and what is said of it: a part's entry in a manifest or summary, or nothing."""

    path: Path
    entry: dict[str, Any] | None


@dataclass(slots=True)
class Evidence:
    """`accounts` is the `Proof` as JSON, None where nothing is known."""

    claims: list[Claim] = field(default_factory=list)
    failures: list[Path] = field(default_factory=list)
    accounts: dict[str, Any] | None = None
    differences_only: bool = False
    """Rows known from before were left out, so that accounts may have none."""

    def claimed(self, outcome: str) -> IdDigest | None:
        """Which accounts should have ended so."""
        tally = (self.accounts or {}).get(outcome)
        return None if tally is None else IdDigest(tally["digest"], tally["count"])


def gather(output: Path, verdict: Verdict, *, summary: Path | None, failures: Path | None) -> Evidence:
    """Find out what belongs to `output`; what is amiss with that goes to `verdict`.

    Raises OutputFault when there is nothing at all.
    """
    evidence = _of_folder(output, verdict) if output.is_dir() else _of_file(output, verdict, summary)
    if failures is not None:
        evidence.failures = [failures]
    for path in evidence.failures:
        if not path.is_file():
            verdict.add(str(path), "the failures file is not there")
    return evidence


# -- one file


def _of_file(output: Path, verdict: Verdict, summary: Path | None) -> Evidence:
    unfinished = [path for path in (partial(output), beside(output, ".ledger")) if path.exists()]
    for path in unfinished:
        verdict.add(str(path), "incomplete: a harvest to this output has not come to its end")
    if not output.is_file():
        if not unfinished:
            raise OutputFault(
                f"{output}: is not there", "name a file or folder that `harvester run` has written"
            )
        return Evidence()
    told = _summary(output, verdict, summary)
    evidence = Evidence([Claim(output, _entry(told, output, verdict))], accounts=told.get("accounts"))
    evidence.differences_only = bool(told.get("differencesOnly"))
    failed = evidence.claimed("failed")
    path = beside(output, ".failures.ndjson")
    if path.is_file() or (failed is not None and failed.count):
        evidence.failures = [path]
    return evidence


def _summary(output: Path, verdict: Verdict, summary: Path | None) -> dict[str, Any]:
    path = summary or beside(output, ".summary.json")
    if summary is None and not path.is_file():
        verdict.notes.append(f"{path} is not there: checksum and completeness can't be compared with it")
        return {}
    told = _document(path, verdict, _SUMMARY)
    if told and told.get("status") not in _FINISHED:
        problem = f"incomplete: the run it tells of ended with status {told.get('status')}"
        verdict.add(str(path), problem)
    return told


def _entry(told: dict[str, Any], output: Path, verdict: Verdict) -> dict[str, Any] | None:
    entries: list[dict[str, Any]] = told.get("outputs") or []
    entry = next((one for one in entries if Path(one["name"]).name == output.name), None)
    if told and entry is None:
        verdict.add(str(output), "the summary says nothing of this file")
    return entry


# -- a folder


def _of_folder(folder: Path, verdict: Verdict) -> Evidence:
    names = FolderNames(folder)
    days = sorted(folder.glob("harvested=*/_manifest*.json"))
    if days and not names.manifest.is_file():
        raise OutputFault(
            f"{folder}: holds a harvest a day, each a whole of its own",
            f"name one, such as {days[-1].parent}/",
        )
    _see_whether_ended(folder, names, verdict)
    shards = _shard_manifests(folder, verdict)
    overall = _document(names.manifest, verdict, _MANIFEST) if names.manifest.is_file() else {}
    told = joint_manifest(shards) if shards else overall
    if not shards and not names.manifest.is_file():
        verdict.add(str(folder), "there is no _manifest.json")
    if shards and overall and _essence(overall) != _essence(told):
        verdict.add(str(names.manifest), "is not the sum of the shards' manifests")
    claims = [Claim(folder / part["name"], part) for part in told.get("parts", [])]
    claimed = {claim.path for claim in claims}
    for path in sorted([*folder.glob("part-*"), *folder.glob("month=*/part-*")]):
        if path not in claimed:
            verdict.add(str(path), "is in no manifest")
            claims.append(Claim(path, None))
    differences_only = bool((told.get("options") or {}).get("--changes"))
    return Evidence(claims, _failures(folder, told), told.get("accounts"), differences_only)


def _see_whether_ended(folder: Path, names: FolderNames, verdict: Verdict) -> None:
    for path in sorted(folder.glob("_ledger*")):
        if not path.name.endswith(("-wal", "-journal")):
            verdict.add(str(path), "incomplete: a harvest to this output has not come to its end")
    if not names.success.is_file():
        verdict.add(str(folder), "incomplete: there is no _SUCCESS")


def _shard_manifests(folder: Path, verdict: Verdict) -> list[dict[str, Any]]:
    """Those of all shards that are there; says which are not."""
    paths = sorted(folder.glob("_manifest.*of*.json"))
    documents = [document for path in paths if (document := _document(path, verdict, _SHARD))]
    counts = {int(str(document["shard"]).partition("/")[2]) for document in documents}
    present = {document["shard"] for document in documents}
    for count in counts:
        for index in range(1, count + 1):
            if f"{index}/{count}" not in present:
                verdict.add(str(folder), f"incomplete: shard {index}/{count} is not there")
    return documents


def _essence(document: dict[str, Any]) -> tuple[Any, ...]:
    parts = sorted((part["name"], part["sha256"]) for part in document["parts"])
    return document["accounts"], document["rows"], parts


def _failures(folder: Path, told: dict[str, Any]) -> list[Path]:
    names = told.get("failures") or []
    return [folder / name for name in ([names] if isinstance(names, str) else names)]


def _document(path: Path, verdict: Verdict, keys: frozenset[str]) -> dict[str, Any]:
    """A document that has these keys; nothing, and a finding, when it is not as this program writes them."""
    with at(path):
        content = path.read_bytes()
    try:
        document = orjson.loads(content)
        missing = keys - document.keys()
        for part in document.get("parts") or document.get("outputs") or []:
            missing |= _PART - part.keys()
        for tally in (document.get("accounts") or {}).values():
            IdDigest(tally["digest"], tally["count"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        verdict.add(str(path), f"is no document that harvester wrote ({error})")
        return {}
    if missing:
        verdict.add(str(path), f"lacks {', '.join(sorted(missing))}")
        return {}
    return dict(document)
