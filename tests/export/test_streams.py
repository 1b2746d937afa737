"""Stdout and what is like it: pipes, FIFOs, devices, descriptors; slow, closed and full ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harvester.errors import ClosedPipe, StoppedEarly, StopRun
from harvester.export import Control
from tests.export.ledgers import accounts, finished
from tests.export.outputs import expected_ndjson, in_child, made, opened, unpacked, written

LISTED = accounts(400)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("ledger") / "l.ledger", LISTED)


class Reading:
    """Reads a descriptor to its end on a thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.data = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while piece := os.read(self._fd, 65536):
            self.data += piece

    def end(self) -> bytes:
        self._thread.join(20)
        os.close(self._fd)
        return self.data


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            with suppress(OSError):
                os.close(fd)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("options", [{}, {"compress": "gzip"}], ids=["plain", "gzip"])
def test_a_pipe_gets_every_row(ledger: Path, blocking: bool, options: dict[str, str]) -> None:
    """Also one that somebody has set not to block: it is waited for."""
    with pipe() as (reading, writing):
        os.set_blocking(writing, blocking)
        reader = Reading(reading)
        exported = made(ledger, f"/dev/fd/{writing}", **options)
        os.close(writing)
        name = "x.gz" if options else "x"
        assert unpacked(name, reader.end()) == expected_ndjson(LISTED)
        assert exported.files[0].bytes == len(reader.data)


def test_a_fifo_is_written_to(ledger: Path, tmp_path: Path) -> None:
    """And stays one."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(path.read_bytes()))
    thread.start()
    made(ledger, path)
    thread.join(20)
    assert found == [expected_ndjson(LISTED)]
    assert path.is_fifo()


def test_a_full_device_stops_the_run(ledger: Path) -> None:
    """Resumable (5), in one sentence."""
    with pytest.raises(StoppedEarly, match="/dev/full: no space left") as error:
        made(ledger, "/dev/full")
    assert error.value.exit_status == 5


def test_a_device_takes_everything(ledger: Path) -> None:
    """And is still there."""
    assert made(ledger, "/dev/null").rows > 0
    assert Path("/dev/null").is_char_device()


def on_stdout(ledger: Path, fd: int, reading: int | None = None) -> int:
    """The exit status of an export to stdout, which is `fd`; only we have the other end, `reading`."""

    def action() -> None:
        os.dup2(fd, 1)
        if reading is not None:
            os.close(reading)
        try:
            made(ledger, "-")
        except StopRun as stop:
            os._exit(stop.exit_status)

    return in_child(action)


def read_some(fd: int) -> None:
    os.read(fd, 1000)
    os.close(fd)


def test_a_reader_of_stdout_may_close_it(ledger: Path) -> None:
    """Before or amid the rows: status 141."""
    with pipe() as (reading, writing):
        os.close(reading)
        assert on_stdout(ledger, writing) == 141
    with pipe() as (reading, writing):
        closing = threading.Thread(target=read_some, args=(reading,))
        closing.start()
        assert on_stdout(ledger, writing, reading) == 141
        closing.join()
    assert ClosedPipe.exit_status == 141


def test_stdout_may_be_a_file(ledger: Path, tmp_path: Path) -> None:
    """It is written to from where it is, as a shell's ``>>`` wants it."""
    path = tmp_path / "out"
    path.write_bytes(b"before\n")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert on_stdout(ledger, fd) == 0
    os.close(fd)
    assert path.read_bytes() == b"before\n" + expected_ndjson(LISTED)


def test_a_closed_stdout_is_refused(tmp_path: Path) -> None:
    """Before the first request; and one that is open for reading only, too."""
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)
    with pytest.raises(StopRun):
        opened(f"/dev/fd/{fd}").try_out()
    (tmp_path / "read").touch()
    fd = os.open(tmp_path / "read", os.O_RDONLY)
    with pytest.raises(StopRun, match="cannot be written"):
        opened(f"/dev/fd/{fd}").try_out()
    os.close(fd)


@pytest.mark.parametrize("blocking", [True, False])
def test_an_export_ends_at_once_though_its_reader_is_stuck(ledger: Path, blocking: bool) -> None:
    """A thread that hangs in a write could not be ended."""
    with pipe() as (_, writing):
        os.set_blocking(writing, blocking)
        control = Control()
        why = StoppedEarly("stopped")
        positions: list[int] = []
        errors: list[BaseException] = []

        def action() -> None:
            try:
                written(ledger, opened(f"/dev/fd/{writing}", control), on_position=positions.append)
            except StoppedEarly as error:
                errors.append(error)

        thread = threading.Thread(target=action)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        control.stop(why)
        thread.join(10)
        assert errors == [why]
        assert positions == sorted(positions)
        assert not positions or positions[-1] < len(LISTED) - 1
