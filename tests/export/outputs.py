"""Exporting in tests: outputs made, read back by other means than ours, and killed or starved at any step."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import zstandard

from harvester.events import Event
from harvester.export import Control, Exported, Output, OutputSpec, export, open_output
from harvester.ledger import LedgerReader
from harvester.settings.destination import Compression, Format, destination, resolve
from tests.export.ledgers import BEGUN, Answer

Row = tuple[str, str | None, str | None]
Content = dict[str, bytes]


def spec_of(
    dest: str | Path, *, form: Format | None = None, compress: Compression | None = None, **options: Any
) -> OutputSpec:
    """As settings make it."""
    return OutputSpec(resolve(destination(str(dest)), form, compress), **options)


def opened(dest: str | Path, control: Control | None = None, **options: Any) -> Output:
    events: list[Event] = []
    return open_output(
        spec_of(dest, form=options.pop("format", None), **options),
        begun=BEGUN,
        observer=events.append,
        control=control,
        rng=Random(1),
    )


def made(ledgers: Path | Sequence[Path], dest: str | Path, **options: Any) -> Exported:
    """One export, as a command does it: tried out, written, completed."""
    output = opened(dest, **options)
    output.try_out(repeated=runs_of(ledgers))
    return written(ledgers, output)


def runs_of(ledgers: Path | Sequence[Path]) -> list[str]:
    found = []
    for path in [ledgers] if isinstance(ledgers, Path) else ledgers:
        with LedgerReader(path) as reader:
            found.append(reader.runs()[0].id)
    return found


def written(ledgers: Path | Sequence[Path], output: Output, **options: Any) -> Exported:
    with ExitStack() as stack:
        paths = [ledgers] if isinstance(ledgers, Path) else ledgers
        readers = [stack.enter_context(LedgerReader(path)) for path in paths]
        exported = export(readers, output, **options)
        if exported.files:
            output.complete()
        return exported


def content(directory: Path) -> Content:
    """All files below a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# --- reading back


def expected(listed: Mapping[str, Answer]) -> list[Row]:
    """The rows of all accounts that were answered, in the order of the list; values as JSON has them."""
    found: list[Row] = []
    for account_id, answer in listed.items():
        if isinstance(answer, bytes):
            rows = json.loads(answer)
            found += [(account_id, row.get("date"), _text(row.get("count"))) for row in rows]
    return found


def expected_ndjson(listed: Mapping[str, Answer]) -> bytes:
    """The bytes themselves, put together a line at a time."""
    lines = []
    for account_id, answer in listed.items():
        for row in answer[1:-1].split(b",\n") if isinstance(answer, bytes) and answer != b"[]" else ():
            head = json.dumps({"accountId": account_id}, ensure_ascii=False).encode()[:-1]
            lines.append(head.replace(b": ", b":") + (b"," if row != b"{}" else b"") + row[1:] + b"\n")
    return b"".join(lines)


def rows_in(name: str, data: bytes) -> list[Row]:
    """The rows of one file, whatever its format."""
    if name.endswith(".parquet"):
        return [_parquet_row(row) for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    data = unpacked(name, data)
    if ".csv" in name:
        found = csv.DictReader(io.StringIO(data.decode(), newline=""))
        return [(row["accountId"], row["date"] or None, row["count"] or None) for row in found]
    rows = [json.loads(line) for line in data.splitlines()]
    if ".singer" in name:
        rows = [row["record"] for row in rows if row["type"] == "RECORD"]
    return [(row["accountId"], row.get("date"), _text(row.get("count"))) for row in rows]


def unpacked(name: str, data: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.decompress(data)
    if name.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def _parquet_row(row: dict[str, Any]) -> Row:
    return row["accountId"], None if row["date"] is None else row["date"].isoformat(), _text(row["count"])


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def rows_of(files: Content) -> list[Row]:
    """The rows of a directory or store that is complete: manifest and parts agree, byte by byte."""
    manifest = json.loads(files["_manifest.json"])
    assert files["_SUCCESS"] == b""
    found: list[Row] = []
    for part in manifest["parts"]:
        data = files[part["name"]]
        assert (part["bytes"], part["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        rows = rows_in(part["name"], data)
        assert part["rows"] == len(rows)
        found += rows
    assert manifest["rows"] == len(found)
    return found


# --- faults


class Killed(BaseException):
    """The process is gone: nothing that it would have done is done."""


class Plan:
    """Lets a fault happen at one step, and counts the steps."""

    def __init__(self, step: int = -1, fault: Callable[[], None] | None = None) -> None:
        self.step = step
        self.taken = 0
        self._fault = fault or self._kill
        self._dead = False

    def _kill(self) -> None:
        self._dead = True

    def at_step(self) -> None:
        if self.taken == self.step:
            self._fault()
        self.taken += 1
        if self._dead:
            raise Killed


def no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sigkill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


SYSTEM_CALLS = ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "chmod")
"""Where a directory or file changes. `pathlib` calls these, too."""


@contextmanager
def faults(plan: Plan, calls: Sequence[str] = SYSTEM_CALLS) -> Iterator[None]:
    """Each of these system calls is a step of `plan`, before it happens."""
    with ExitStack() as stack:
        for name in calls:
            original = getattr(os, name)
            stack.enter_context(patch.object(os, name, _stepping(plan, original)))
        yield


def _stepping(plan: Plan, original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any, **more: Any) -> Any:
        plan.at_step()
        return original(*values, **more)

    return call


def in_child(action: Callable[[], object]) -> int:
    """Run `action` in a process of its own; its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # whatever happens to whoever waits for it
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
