"""Devices, pipes, links, directories: what every option of every command makes of them."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.faults.conftest import Commands

WRITERS = [
    ("accounts", "-o"),
    ("sources", "-o"),
    ("run", "ids.txt", "-o"),
    ("run", "ids.txt", "--fresh", "-o", "x.ndjson", "--failures"),
    ("run", "ids.txt", "--fresh", "-o", "x.ndjson", "--summary"),
    ("run", "ids.txt", "--fresh", "-o", "x.ndjson", "--report"),
    ("export", "done.ndjson", "-o"),
    ("unused", "done.ndjson", "-o"),
    ("report", "done.ndjson", "-o"),
]
"""Every command and option that writes a file of its own."""

every_writer = pytest.mark.parametrize("writer", WRITERS, ids=lambda one: f"{one[0]} {one[-1]}")


@contextmanager
def read(fifo: Path) -> Iterator[list[bytes]]:
    """Read a FIFO to its end meanwhile."""
    os.mkfifo(fifo)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()
    yield found
    reader.join(30)


@every_writer
def test_a_link_is_followed(commands: Commands, place: Path, writer: tuple[str, ...]) -> None:
    """Its target gets the content, and it stays a link."""
    link, target = place / "link", place / "target"
    target.write_text("stale")
    link.symlink_to("target")
    done = commands(*writer, link)
    assert done.status == 0, done.said
    assert link.is_symlink()
    assert target.read_text() != "stale"


@every_writer
def test_a_fifo_is_written_to(commands: Commands, place: Path, writer: tuple[str, ...]) -> None:
    """Its reader gets all, and nothing is put next to it but what the command was asked for."""
    with read(place / "fifo") as found:
        done = commands(*writer, place / "fifo")
    assert done.status == 0, done.said
    assert (place / "fifo").is_fifo()
    assert [one.name for one in place.iterdir() if "log" not in one.name] == ["fifo"]
    assert found[0] or "--failures" in writer  # nothing has failed


@every_writer
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_stays_one(commands: Commands, place: Path, writer: tuple[str, ...]) -> None:
    """It is neither replaced nor removed."""
    null = place / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"")
    except OSError:
        pytest.skip("device nodes cannot be used here")
    done = commands(*writer, null)
    assert done.status == 0, done.said
    assert null.is_char_device()
    assert len(list(place.iterdir())) == 1


@every_writer
@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_stdout_is_appended_to(commands: Commands, place: Path, writer: tuple[str, ...], name: str) -> None:
    """`>> all` keeps what is there."""
    before = "kept\n"
    (place / "all").write_text(before)
    done = commands(*writer, name, stdout=str(place / "all"))
    assert done.status == 0, done.said
    content = (place / "all").read_text()
    assert content.startswith(before)
    assert len(content) > len(before) or "--failures" in writer
    assert len(list(place.iterdir())) == 1


@every_writer
def test_a_directory_is_refused(commands: Commands, place: Path, writer: tuple[str, ...]) -> None:
    """Where a file is expected; before the first request."""
    (place / "directory.d").mkdir()
    done = commands(*writer, place / "directory.d")
    assert (done.status, done.requests) == (2, 0), done.said
    assert "Is a directory" in done.said
    assert "harvesting" not in done.said


@every_writer
@pytest.mark.parametrize("name", ["", "no/such/directory", "ids.txt/x", "n" * 256])
def test_what_cannot_be_a_file_is_refused(commands: Commands, writer: tuple[str, ...], name: str) -> None:
    """Blank, nowhere, below a file, too long: one sentence before the first request, and nothing begins."""
    done = commands(*writer, name)
    assert (done.status, done.requests) == (2, 0), done.said
    assert "harvesting" not in done.said


@pytest.mark.parametrize("kind", ["fifo", "directory", "stdout"])
def test_a_ledger_needs_a_regular_file(commands: Commands, place: Path, kind: str) -> None:
    """Anything else is refused, and left as it is."""
    named = place / kind
    if kind == "fifo":
        os.mkfifo(named)
    elif kind == "directory":
        named.mkdir()
    else:
        named = Path("/dev/stdout")
    done = commands("run", "ids.txt", "-o", place / "x.ndjson", "--ledger", named)
    assert (done.status, done.requests) == (2, 0)
    assert f"--ledger: {named} is not a regular file" in done.said
    assert [one.name for one in place.iterdir()] in ([kind], [])


@pytest.mark.parametrize("command", [("run", "ids.txt"), ("export", "done.ndjson")])
def test_a_database_needs_a_regular_file(commands: Commands, place: Path, command: tuple[str, str]) -> None:
    """A FIFO is not replaced by one."""
    os.mkfifo(place / "fifo.db")
    done = commands(*command, "-o", place / "fifo.db")
    assert (done.status, done.requests) == (2, 0)
    assert "is not a regular file" in done.said
    assert (place / "fifo.db").is_fifo()
