"""What an unlucky operator meets on a machine: each test says what was tried, and what came of it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copy2
from time import sleep

import orjson
import pytest

from tests.e2e.processes import PROGRAM, ROOT, Tenant, program, run, surroundings, tenant, until
from tests.e2e.truth import assert_complete, ledger_of, truth_of

FAST = ("--quota", "none")


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant with some accounts."""
    with tenant("--accounts", "60", "--rows", "12") as running:
        yield running


@pytest.mark.parametrize("locale", ["C", "tr_TR.UTF-8", "nonsense"])
def test_a_locale_without_utf_8(locale: str, there: Tenant, tmp_path: Path) -> None:
    """LC_ALL=C (or one that does not exist) with Python's own help switched off: the same bytes as ever."""
    output = tmp_path / "ü.csv"
    environment = {"LC_ALL": locale, "LANG": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = ("run", there.list_file(tmp_path), "-o", output, *FAST)
    status, done = run(*command, at=there, environment=environment)
    assert status == 0, done.err
    assert len(output.read_bytes().splitlines()) == 1 + len(there.truth)
    assert run("verify", output, environment=environment)[0] == 0


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A directory on a file system that is mounted read-only."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_read_only_working_directory(there: Tenant, tmp_path: Path) -> None:
    """Nothing is written unasked: stdout works, so does an output elsewhere; one that is here is refused."""
    ids = there.list_file(tmp_path)
    with read_only(tmp_path / "here") as here:
        status, done = run("run", ids, *FAST, at=there, cwd=here)
        assert (status, done.out.encode()) == (0, truth_of(there)), done.err
        assert run("run", ids, "-o", tmp_path / "u.ndjson", *FAST, at=there, cwd=here)[0] == 0
        before = there.requested
        for arguments in (
            ("run", ids, "-o", "u.ndjson"),
            ("run", ids, "-o", "u/"),
            ("accounts", "-o", "a.ndjson"),
            ("unused", tmp_path / "u.ndjson", "-o", "u.csv"),
        ):
            status, done = run(*arguments, at=there, cwd=here)
            assert (status, "Read-only file system" in done.err) == (2, True), done.err
        assert there.requested == before


def test_a_temporary_directory_that_is_not_there(there: Tenant, tmp_path: Path) -> None:
    """A harvest into stdout needs $TMPDIR: a wrong one is not fatal, since another is found."""
    environment = {"TMPDIR": "/nonexistent"}
    status, done = run("run", there.list_file(tmp_path), *FAST, at=there, environment=environment)
    assert (status, done.out.encode()) == (0, truth_of(there)), done.err


def test_a_mount_that_vanishes(tmp_path: Path) -> None:
    """The file system of output and ledger is gone in the middle: status 5; once it is back, it goes on."""
    mount = tmp_path / "mount"
    with tenant("--accounts", "200", "--rows", "12", "--latency", "20ms") as there:
        command = ("run", there.list_file(tmp_path), "-o", mount / "u.ndjson", "--quota", "600/10s")
        with read_only(mount):
            subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
            with program(*command, at=there) as running:
                until(lambda: there.requested > 30)
                remounted = subprocess.run(
                    ["mount", "-o", "remount,ro", mount], capture_output=True, check=False
                )
                if remounted.returncode:
                    subprocess.run(["umount", "-l", mount], check=True)
                    subprocess.run(["mount", "-t", "tmpfs", "none", mount], check=True)
                assert running.end() in (0, 5), running.err
            subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
            status, done = run(*command[:-1], "none", at=there)
            assert status == 0, done.err
            assert_complete(there, mount / "u.ndjson")


def test_two_runs_in_the_same_second(there: Tenant, tmp_path: Path) -> None:
    """Cron starts the same command twice: one harvests, the other is refused; the output is complete."""
    ids, before = there.list_file(tmp_path), there.requested
    command = ("run", ids, "-o", tmp_path / "u.ndjson", "--quota", "300/10s")
    with program(*command, at=there) as one, program(*command, at=there) as other:
        assert sorted([one.end(), other.end()]) == [0, 2]
        assert "another run is writing this harvest" in one.err + other.err
    assert there.requested == before + len(there.ids)
    assert_complete(there, tmp_path / "u.ndjson")


@pytest.mark.parametrize("suffix", ["ledger", "ledger.partial"])
@pytest.mark.parametrize("version", [0, 99])
def test_a_ledger_of_another_version(suffix: str, version: int, there: Tenant, tmp_path: Path) -> None:
    """Upgraded or downgraded: what reads it says so with 2 and leaves it alone; a new harvest works."""
    output = tmp_path / "u.ndjson"
    command = ("run", there.list_file(tmp_path), "-o", output, *FAST)
    assert run(*command, at=there)[0] == 0
    ledger = ledger_of(output).rename(f"{output}.{suffix}")
    with closing(sqlite3.connect(ledger)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = ledger.read_bytes()
    readers = [("unused", ledger), ("export", ledger, "-o", "-"), ("report", ledger, "-o", "-")]
    if suffix == "ledger.partial":
        readers.append(command)
    for arguments in readers:
        status, done = run(*arguments, at=there)
        assert (status, "version" in done.err) == (2, True), done.err
    assert ledger.read_bytes() == before
    fresh = ("--fresh",) if suffix == "ledger.partial" else ()
    status, done = run(*command, *fresh, at=there)
    assert status == 0, done.err
    assert_complete(there, output)


def test_a_ledger_that_was_copied_in_mid_run(tmp_path: Path) -> None:
    """A backup took the database, with or without its log: it goes on from there, or is refused."""
    with tenant("--accounts", "150", "--rows", "12", "--latency", "20ms") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "u.ndjson"
        partial = Path(f"{output}.ledger.partial")
        with program("run", ids, "-o", output, "--quota", "400/10s", at=there) as running:
            until(lambda: there.requested > 60)
            for name, suffixes in (("with", ("", "-wal")), ("without", ("",))):
                (tmp_path / name).mkdir()
                for suffix in suffixes:
                    copy2(f"{partial}{suffix}", tmp_path / name)
            assert running.end() == 0
        for name in ("with", "without"):
            copied = tmp_path / name / "u.ndjson"
            status, done = run("run", ids, "-o", copied, *FAST, at=there)
            if status == 2:
                assert "--fresh" in done.err or "ledger" in done.err
                status, done = run("run", ids, "-o", copied, *FAST, "--fresh", at=there)
            assert status == 0, done.err
            assert_complete(there, copied)


def test_a_process_that_was_suspended(tmp_path: Path) -> None:
    """SIGSTOP for longer than the timeout of a request, as on a laptop that sleeps: no account is lost."""
    with tenant("--accounts", "150", "--rows", "12", "--latency", "50ms") as there:
        command = ("run", there.list_file(tmp_path), "-o", tmp_path / "u.ndjson", "--quota", "400/10s")
        with program(*command, "--timeout", "1", at=there) as running:
            until(lambda: there.requested > 40)
            running.signal(signal.SIGSTOP)
            sleep(2)
            running.signal(signal.SIGCONT)
            assert running.end() == 0, running.err
        assert_complete(there, tmp_path / "u.ndjson")


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """SIGHUP ends the run in good order with 129 and a summary; under nohup it changes nothing."""
    with tenant("--accounts", "100", "--rows", "12", "--latency", "20ms") as there:
        output = tmp_path / "u.ndjson"
        command = ("run", there.list_file(tmp_path), "-o", output, "--quota", "200/10s")
        with program(*command, at=there) as running:
            until(lambda: there.requested > 5)
            running.signal(signal.SIGHUP)
            assert running.end() == 129
            assert "stopped by SIGHUP" in running.err
        assert orjson.loads(Path(f"{output}.summary.json").read_bytes())["status"] == 129

        def ignored() -> None:  # as nohup does
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        with program(*command[:-1], "none", at=there, prepare=ignored) as running:
            until(lambda: there.requested > 40)
            running.signal(signal.SIGHUP)
            assert running.end() == 0
        assert_complete(there, output)


@pytest.mark.parametrize("megabytes", [300, 700])
def test_little_address_space(megabytes: int, there: Tenant, tmp_path: Path) -> None:
    """`ulimit -v`, as on a 32-bit machine: it works, or ends with a status and a sentence."""
    ids = there.list_file(tmp_path)
    line = f'ulimit -v {megabytes * 1024}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *PROGRAM, "run", ids, "-o", tmp_path / "u.ndjson", *FAST],
        env=surroundings(there), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip  # one call
    assert done.returncode in (0, 5), done.stderr
    assert "Traceback" not in done.stderr


_CLOCK = """
import time
real, begun = time.time, time.monotonic()
time.time = lambda: real() + ({offset} if time.monotonic() - begun > 1.5 else 0)
"""


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_clock_that_is_set_in_mid_run(offset: int, tmp_path: Path) -> None:
    """An hour forward or back: no pause of an hour, no token given up, and a killed run is resumed."""
    (tmp_path / "sitecustomize.py").write_text(_CLOCK.format(offset=offset))
    with tenant("--accounts", "120", "--rows", "12", "--token-life", "3s") as there:
        command = ("run", there.list_file(tmp_path), "-o", tmp_path / "u.ndjson", "--quota", "40/1s")
        environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
        with program(*command, at=there, environment=environment) as running:
            until(lambda: there.requested > 90)
            running.kill()
        status, done = run(*command, at=there)
        assert status == 0, done.err
        assert there.requested <= 120 * 1.3
        assert_complete(there, tmp_path / "u.ndjson")


_READ_ONLY_ROOT = (
    "for place in / /tmp /var/tmp /dev/shm; do"
    ' mount --bind $place $place && mount -o remount,ro,bind $place; done 2>/dev/null; exec "$@"'
)


def test_nothing_can_be_written_anywhere(there: Tenant, tmp_path: Path) -> None:
    """A container with a read-only root and no /tmp: what only reads works, the rest is refused."""
    ids, output = there.list_file(tmp_path), tmp_path / "u.ndjson"
    assert run("run", ids, "-o", output, *FAST, at=there)[0] == 0
    inside = ["unshare", "-m", "sh", "-c", _READ_ONLY_ROOT, "sh"]
    if subprocess.run([*inside, "test", "!", "-w", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    before = there.requested
    for arguments, status in (
        (("accounts",), 0),
        (("verify", output), 0),
        (("unused", output), 0),
        (("export", output, "-o", "-"), 0),
        (("run", ids), 2),
        (("run", ids, "-o", output), 2),
        (("run", ids, "-o", "s3://bucket/prefix/"), 2),
        (("demo",), 2),
    ):
        done = subprocess.run(
            [*inside, *PROGRAM, *arguments],
            env=surroundings(there), cwd="/", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip  # one call
        assert done.returncode == status, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert there.requested == before
