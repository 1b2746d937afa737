"""Standard output as destination."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import orjson
import pytest

from harvester.errors import ClosedPipe, StoppedEarly
from harvester.settings.model import Settings
from harvester.sink.writer import open_writer
from tests.sink.stage import Line, Play, canonical, content, ignore, names, settle, true_failures, true_lines


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def harvest_into(fd: int, script: Play, settings: Settings) -> None:
    async def main() -> None:
        async with open_writer(settings, ignore, stdout=fd) as writer:
            await script.run(writer)

    asyncio.run(main())


def through_a_pipe(script: Play, settings: Settings, *, blocking: bool = True) -> bytes:
    """What a reader gets."""
    read, write = os.pipe()
    os.set_blocking(write, blocking)
    pieces: list[bytes] = []

    def drain() -> None:
        with open(read, "rb") as file:  # noqa: PTH123  # a file descriptor has no path
            pieces.append(file.read())

    reader = threading.Thread(target=drain)
    reader.start()
    try:
        harvest_into(write, script, settings)
    finally:
        os.close(write)
        reader.join()
    return pieces[0]


def parsed(data: bytes) -> list[Line]:
    return [orjson.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize("blocking", [True, False])
def test_rows_go_to_stdout_and_nothing_else_is_written(here: Path, *, blocking: bool) -> None:
    """Through a pipe smaller than the data, blocking or not; no ledger, lock or failures file."""
    ids = names(2000)
    data = through_a_pipe(Play(ids), Settings(), blocking=blocking)
    assert len(data) > 100_000
    assert canonical(parsed(data)) == canonical(true_lines(ids))
    assert list(here.iterdir()) == []


def test_stdout_can_be_compressed_and_ordered(here: Path) -> None:
    """As a file would be."""
    data = through_a_pipe(Play(names(200)), Settings(compress="gzip", ordered=True))
    (here / "x.gz").write_bytes(data)
    assert parsed(content(here / "x.gz")) == true_lines(names(200))


@pytest.mark.parametrize("stop_after", [None, 30])
def test_failures_go_to_the_file_that_was_named(here: Path, stop_after: int | None) -> None:
    """Also when the run stops early: there won't be a resume to complete it."""
    through_a_pipe(Play(names(40), stop_after), Settings(failures=Path("f.ndjson")))
    failed = [line["accountId"] for line in parsed((here / "f.ndjson").read_bytes())]
    if stop_after is None:
        assert failed == true_failures(names(40))
    else:
        assert failed
        assert set(failed) <= set(true_failures(names(40)))
    assert [path.name for path in here.iterdir()] == ["f.ndjson"]


async def test_a_closed_pipe_has_an_error_of_its_own() -> None:
    """So that the run can end quietly."""
    read, write = os.pipe()
    os.close(read)
    async with open_writer(Settings(), ignore, stdout=write) as writer:
        await writer.enroll(names(5))
        for ticket, account in enumerate(await writer.pending(-1, 5)):
            await writer.put(settle(account), ticket)
        with pytest.raises(ClosedPipe):
            await writer.flush()
        await writer.suspend()
    os.close(write)


async def test_a_full_device_behind_stdout_stops_the_run() -> None:
    """A redirect to a full disk is told as one."""
    full = os.open("/dev/full", os.O_WRONLY)
    async with open_writer(Settings(), ignore, stdout=full) as writer:
        await writer.enroll(names(5))
        for ticket, account in enumerate(await writer.pending(-1, 5)):
            await writer.put(settle(account), ticket)
        with pytest.raises(StoppedEarly, match="stdout: no space left"):
            await writer.flush()
    os.close(full)
