"""Destinations of any kind, atomic files, paths that must be distinct, and the system's errors."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harvester.errors import ClosedPipe, OutputError, SettingError, StoppedEarly
from harvester.files import (
    descriptor_of,
    disk_error,
    distinct_paths,
    open_destination,
    resolve,
    try_out,
    write_atomically,
)

ROOT = Path(__file__).parents[1]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@contextmanager
def descriptor(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


# --- regular files


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    """It grows as `.partial`, an older one stays until then, and it has the mode that was asked for."""
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with open_destination(path, 0o640) as destination:
        destination.write(b"new ")
        destination.write(b"content")
        assert names(tmp_path) == ["out", "out.partial"]
        assert path.read_bytes() == b"old"
        assert destination.path == path
    assert names(tmp_path) == ["out"]
    assert path.read_bytes() == b"new content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_fails_midway_is_not_made(tmp_path: Path) -> None:
    """With an exception, the older file stays, and no `.partial` is left."""
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def pieces() -> Iterator[bytes]:
        yield b"new"
        raise KeyError("the source failed")

    with pytest.raises(KeyError):
        write_atomically(path, pieces())
    assert names(tmp_path) == ["out"]
    assert path.read_bytes() == b"old"
    write_atomically(path, [b"new", b"er"])
    assert path.read_bytes() == b"newer"


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    """A leftover `.partial` is written anew, and never through a link that somebody put there."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for link in (False, True):
        if link:
            (tmp_path / "out.partial").symlink_to(victim)
        else:
            (tmp_path / "out.partial").write_bytes(b"x" * 100)
        write_atomically(tmp_path / "out", [b"whole"])
        assert (tmp_path / "out").read_bytes() == b"whole"
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_followed_to_its_target(tmp_path: Path, dangling: bool) -> None:
    """The target is replaced and the link stays, also where the target is not there yet."""
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "target"
    if not dangling:
        target.write_bytes(b"old")
    (tmp_path / "link").symlink_to("there/target")
    (tmp_path / "chain").symlink_to("link")
    write_atomically(tmp_path / "chain", [b"new"])
    assert (tmp_path / "chain").is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "there") == ["target"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    """One sentence, not a traceback; so is a path with a NUL."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "x\0y"):
        with pytest.raises(OutputError, match="is not a usable path"):
            resolve(path)
        with pytest.raises(OutputError):
            open_destination(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """Before the first request, and when it is opened; also behind a link."""
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path, tmp_path / "link"):
        for attempt in (open_destination, try_out):
            with pytest.raises(OutputError, match=r"the output cannot be written \(Is a directory\)"):
                attempt(path)


@pytest.mark.parametrize("attempt", [open_destination, try_out])
@pytest.mark.parametrize("name", ["missing/out", "file/out", "n" * 300])
def test_where_no_file_can_be_made(tmp_path: Path, attempt: Callable[[Path], None], name: str) -> None:
    """A missing directory, a file in its place, and a name that is too long: each one sentence (2)."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        attempt(tmp_path / name)
    assert caught.value.exit_status == 2
    assert str(tmp_path / name) in caught.value.problem
    assert names(tmp_path) == ["file"]


def test_a_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    """File names are bytes."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try_out(path)
    write_atomically(path, [b"x"])
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9"]  # noqa: PTH208  # as bytes


def test_a_read_only_file_system_is_noticed_before_the_first_request(tmp_path: Path) -> None:
    """Root may write to any directory but not here."""
    place = tmp_path / "readonly"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: a read-only file system cannot be mounted here ({error})")
    try:
        with pytest.raises(OutputError, match="Read-only file system"):
            try_out(place / "out")
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_trying_out_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a new file nor a change to an old one."""
    (tmp_path / "old").write_bytes(b"old")
    before = (tmp_path / "old").stat()
    for name in ("old", "new"):
        try_out(tmp_path / name)
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old").stat() == before


# --- what is not a regular file


def test_stdout_is_written_to_by_any_of_its_names(tmp_path: Path) -> None:
    """`-`, `/dev/stdout`, `/dev/fd/1` and links to them append to what stdout is, and leave it open."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    script = (
        "import sys; from harvester.files import open_destination\n"
        "for name in sys.argv[1:]:\n"
        "    with open_destination(name) as destination: destination.write(name[-4:].encode() + b'\\n')\n"
        "print('still open')"
    )
    spelled = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "link")]
    expected = b"before\n-\ndout\nfd/1\nfd/1\nlink\nstill open\n"
    with (tmp_path / "out").open("wb") as out:
        out.write(b"before\n")
        out.flush()
        subprocess.run([sys.executable, "-c", script, *spelled], stdout=out, check=True, cwd=ROOT)
    assert (tmp_path / "out").read_bytes() == expected
    piped = subprocess.run(
        [sys.executable, "-c", script, *spelled], capture_output=True, check=True, cwd=ROOT
    )
    assert b"before\n" + piped.stdout == expected
    assert names(tmp_path) == ["link", "out"]


def test_a_descriptor_is_written_to_where_it_stands(tmp_path: Path) -> None:
    """`/dev/fd/N` of a file continues at its position instead of truncating it."""
    with descriptor(tmp_path / "file") as fd:
        os.write(fd, b"first ")
        for name in (f"/dev/fd/{fd}", f"/proc/{os.getpid()}/fd/{fd}"):
            try_out(name)
            with open_destination(name) as destination:
                destination.write(b"more ")
                assert destination.path is None
        os.write(fd, b"last")
    assert (tmp_path / "file").read_bytes() == b"first more more last"


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    """One sentence, before the first request."""
    for attempt in (open_destination, try_out):
        with pytest.raises(OutputError, match="Bad file descriptor"):
            attempt("/dev/fd/987")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("-", 1),
        ("/dev/stderr", 2),
        ("/dev/../dev/fd/7", 7),
        ("/proc/thread-self/fd/3", 3),
        ("/proc/1/fd/1", None),
        ("/dev/null", None),
        ("out", None),
    ],
)
def test_descriptors_are_known_by_their_names(path: str, expected: int | None) -> None:
    """Those of this process, however they are spelled; not those of others."""
    if path == "/proc/1/fd/1" and os.getpid() == 1:
        pytest.skip("NOT TESTED: the descriptors of another process, as this one is the first")
    assert descriptor_of(Path(path)) == expected


def test_a_device_is_written_to() -> None:
    """`/dev/null` takes anything and stays a device; `/dev/full` is a full disk (5)."""
    write_atomically(Path("/dev/null"), [b"x" * 100_000])
    try_out("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(StoppedEarly, match="/dev/full: no space left for the output") as caught:
        with open_destination("/dev/full") as destination:
            destination.write(b"x")
    assert caught.value.exit_status == 5


def test_a_fifo_is_written_to(tmp_path: Path) -> None:
    """Its reader gets the bytes; trying it out beforehand neither waits for a reader nor shows it an end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    try_out(fifo)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    with open_destination(fifo) as destination:
        destination.write(b"x" * 200_000)
    reader.join(10)
    assert received == [b"x" * 200_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert names(tmp_path) == ["fifo"]


def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    """Somebody else may have made stdout's pipe non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received = bytearray()

    def read() -> None:
        while piece := os.read(reading, 65536):
            received.extend(piece)

    reader = threading.Thread(target=read)
    with open_destination(f"/dev/fd/{writing}") as destination:
        os.close(writing)
        reader.start()
        destination.write(b"x" * 1_000_000)
    reader.join(10)
    os.close(reading)
    assert received == b"x" * 1_000_000


def test_a_reader_of_stdout_that_leaves_ends_the_run_quietly() -> None:
    """That is ClosedPipe (141) for stdout, and an error of the output for any other pipe."""
    script = (
        "import sys\n"
        "from harvester.files import open_destination\n"
        "from harvester.errors import StopRun\n"
        "sys.stdin.read()\n"
        "try:\n"
        "    with open_destination('-') as destination: destination.write(b'x')\n"
        "except StopRun as error: sys.exit(error.exit_status)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.close()
    assert process.returncode == ClosedPipe.exit_status
    reading, writing = os.pipe()
    os.close(reading)
    with (
        pytest.raises(OutputError, match="Broken pipe"),
        open_destination(f"/dev/fd/{writing}") as destination,
    ):
        destination.write(b"x")
    os.close(writing)


# --- errors


@pytest.mark.parametrize(
    ("number", "started", "status"),
    [
        (errno.ENOSPC, False, 5),
        (errno.EDQUOT, False, 5),
        (errno.EFBIG, True, 5),
        (errno.EACCES, False, 2),
        (errno.EROFS, False, 2),
        (errno.EIO, False, 2),
        (errno.EIO, True, 5),
        (errno.EACCES, True, 5),
    ],
)
def test_the_status_depends_on_what_can_be_resumed(number: int, started: bool, status: int) -> None:
    """A full disk is always 5, anything else only once the harvest has started; each has a hint."""
    error = disk_error(OSError(number, os.strerror(number)), "/x/y", "the summary", started=started)
    assert error.exit_status == status
    assert error.problem.startswith("/x/y: ")
    assert "the summary" in error.problem
    assert os.strerror(number) in error.problem
    assert error.hint


@pytest.mark.parametrize("step", ["write", "fsync", "rename", "sync_directory"])
def test_any_step_that_fails_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever system call fails, there is one sentence, and the older file or the newer one, whole."""
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    target = {
        "write": "os.write",
        "fsync": "os.fsync",
        "rename": "pathlib.Path.replace",
        "sync_directory": "harvester.files.sync_directory",
    }[step]
    monkeypatch.setattr(target, fail)
    with pytest.raises(StoppedEarly, match="the summary cannot be written"):
        write_atomically(path, [b"new"], what="the summary", started=True)
    monkeypatch.undo()
    assert path.read_bytes() == (b"new" if step == "sync_directory" else b"old")
    assert names(tmp_path) == ["out"]


# --- distinct paths


def test_distinct_paths_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each path comes back under its name, absolute and without links; descriptors as they are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("target")
    found = distinct_paths({"-o": Path("-"), "--summary": Path("a/../s"), "--failures": Path("link")})
    assert found == {"-o": Path("-"), "--summary": tmp_path / "s", "--failures": tmp_path / "target"}


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("spelling", ["same", "relative", "dots", "link", "hard link", "linked directory"])
def test_one_file_cannot_serve_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, spelling: str
) -> None:
    """Two options that name one file in different ways are refused, and so is an input as an output."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    if exists or spelling == "hard link":
        file.write_bytes(b"x")
    other = {
        "same": file,
        "relative": Path("file"),
        "dots": tmp_path / "missing" / ".." / "file",
        "link": tmp_path / "link",
        "hard link": tmp_path / "hard",
        "linked directory": tmp_path / "directory" / "file",
    }[spelling]
    if spelling == "link":
        other.symlink_to("file")
    elif spelling == "hard link":
        other.hardlink_to(file)
    elif spelling == "linked directory":
        other.parent.symlink_to(tmp_path)
    with pytest.raises(SettingError, match=r"--summary: .* is the same file as -o") as caught:
        distinct_paths({"-o": file, "--failures": Path("third"), "--summary": other})
    assert caught.value.exit_status == 2
    with pytest.raises(SettingError, match=r"-o: .* is the same file as the input"):
        distinct_paths({"-o": file}, inputs=[other])
    distinct_paths({"-o": file, "--summary": Path("fourth")}, inputs=[Path("fifth")])


def test_devices_may_serve_many_times_and_pipes_once(tmp_path: Path) -> None:
    """Anybody may send everything to /dev/null, but two outputs in one pipe are of no use to anybody."""
    distinct_paths({"-o": Path("/dev/null"), "--summary": Path("/dev/null")}, inputs=[Path("/dev/null")])
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SettingError, match=r"--summary: .* is the same file as -o"):
        distinct_paths({"-o": tmp_path / "fifo", "--summary": tmp_path / "fifo"})
    with descriptor(tmp_path / "file") as fd:
        with pytest.raises(SettingError, match="--summary"):
            distinct_paths({"-o": Path(f"/dev/fd/{fd}"), "--summary": Path(f"/proc/self/fd/{fd}")})
        with pytest.raises(SettingError, match="--summary"):
            distinct_paths({"-o": Path(f"/dev/fd/{fd}"), "--summary": tmp_path / "file"})
        other = os.dup(fd)
        with pytest.raises(SettingError, match="--summary"):
            distinct_paths({"-o": Path(f"/dev/fd/{fd}"), "--summary": Path(f"/dev/fd/{other}")})
        os.close(other)
