"""Signals and closed pipes: the run ends soon, with all it has got committed."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import IO

import pytest

from tests.e2e.processes import PROGRAM, Program, Tenant, program, run, surroundings, tenant, until
from tests.e2e.truth import assert_complete

STATUS = {SIGTERM: 143, SIGINT: 130}
NEVER = {"HARVESTER_STOP_GRACE": "10m"}
"""What is in flight may take longer than the test does: only leaving at once ends it."""


def stopped(running: Program, signum: Signals) -> None:
    """Send `signum`, and see that the run ends with its status and says how to go on."""
    running.signal(signum)
    assert running.end() == STATUS[signum]
    assert signum.name in running.err
    assert "un the same command again" in running.err


@pytest.mark.parametrize("signum", [SIGTERM, SIGINT])
def test_a_stopped_run_has_committed_all_it_was_answered(signum: Signals, tmp_path: Path) -> None:
    """Not one account has to be asked for again: every answer that came is in the output."""
    with tenant("--accounts", "400", "--latency", "30ms") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson.gz"
        harvest = ("run", ids, "-o", output, "--quota", "1000/10s")
        with program(*harvest, at=there) as running:
            until(lambda: there.requested > 60)
            stopped(running, signum)
        assert not output.exists()
        assert 0 < there.requested < 400
        status, _ = run(*harvest, "--quota", "none", at=there)
        assert status == 0
        assert there.requested == 400
        assert_complete(there, output)


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    """Who asks twice doesn't wait for what is in flight, and the ledger is still right."""
    with tenant("--accounts", "200", "--faults", "stall=0.1:2s", "--seed", "4") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        harvest = ("run", ids, "-o", output, "--quota", "none")
        with program(*harvest, at=there, environment=NEVER) as running:
            until(lambda: there.requested > 100)
            running.signal(SIGTERM)
            until(lambda: there.tally["in_flight"] <= there.tally["faults"].get("stall", 0))
            running.signal(SIGINT)
            assert running.end() == 130
        status, _ = run(*harvest, at=there)
        assert status == 0
        assert_complete(there, output)


@pytest.mark.parametrize(
    ("trouble", "sign"),
    [
        (("--faults", "outage=1h@#20"), "not reachable"),
        (("--quota", "20/20m"), "paused"),
        (("--quota", "20/20m", "--retry-after", "date"), "paused"),
        (("--faults", "stall=1", "--fault-streak", "0"), None),
    ],
    ids=["outage", "retry-after of 20 minutes", "retry-after a date in 20 minutes", "silence"],
)
def test_a_run_that_waits_can_be_stopped(trouble: tuple[str, ...], sign: str | None, tmp_path: Path) -> None:
    """A long wait for the tenant does not hold up the end."""
    with tenant("--accounts", "100", *trouble) as there:
        ids = there.list_file(tmp_path)
        log = tmp_path / "log"
        with log.open("wb") as stderr, harvest(there, ids, tmp_path / "usages.ndjson", stderr) as process:
            until(lambda: sign is None or sign in log.read_text())
            until(lambda: there.requested >= 5 if sign is None else True)
            process.send_signal(SIGTERM)
            assert process.wait(30) == 143
        assert "Traceback" not in log.read_text()


def harvest(there: Tenant, ids: Path, output: Path, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """A run whose log can be read while it goes on."""
    return subprocess.Popen(
        [*PROGRAM, "run", ids, "-o", output, "--quota", "none"],
        env=surroundings(there) | {"HARVESTER_STOP_GRACE": "0.5s"},
        stdin=subprocess.DEVNULL,
        stderr=stderr,
    )


@pytest.mark.parametrize("own", [True, False], ids=["own list", "list with sources"])
def test_the_deadline_holds_before_the_first_account(own: bool, tmp_path: Path) -> None:
    """While the tenant is asked for its accounts, or about the sources of a list."""
    with tenant("--accounts", "5", "--latency", "60s") as there:
        listed, output = tmp_path / "ids.ndjson", tmp_path / "usages.ndjson"
        listed.write_text('{"id":"a","sourceId":"s"}\n')
        what = ("--list",) if own else (listed,)
        began = time.monotonic()
        status, said = run("run", *what, "-o", output, "--deadline", "2s", at=there)
        assert status == 5, said.err
        assert time.monotonic() - began < 20
        assert "the deadline has passed" in said.err
        assert not output.exists()


@pytest.mark.parametrize("lines", [0, 3], ids=["nothing has come", "some has come"])
def test_a_run_whose_stdin_is_idle_can_be_stopped(lines: int, tmp_path: Path) -> None:
    """Waiting for the rest of a list on a pipe does not hold up the end."""
    with tenant("--accounts", "5") as there:
        reading, writing = os.pipe()
        with program("run", "-", "-o", tmp_path / "usages.ndjson", at=there, stdin=reading) as running:
            os.close(reading)
            os.write(writing, b"".join(one + b"\n" for one in there.ids[:lines]))
            until((tmp_path / "usages.ndjson.ledger.partial").exists)
            until(lambda: _signals_are_caught(running.process.pid))
            stopped(running, SIGINT)
        os.close(writing)


def _signals_are_caught(pid: int) -> bool:
    """Whether the program has its own answer to SIGTERM by now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return True
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (SIGTERM - 1) & 1)


def test_a_closed_stdout_ends_the_run_quietly(tmp_path: Path) -> None:
    """`harvester run … | head -n 3` gives three lines, says nothing, and does not harvest the rest."""
    with tenant("--accounts", "3000", "--rows", "12") as there:
        ids = there.list_file(tmp_path)
        line = '"$@" | head -n 3; echo "${PIPESTATUS[*]}"'
        done = subprocess.run(
            ["bash", "-c", line, "bash", *PROGRAM, "run", ids, "-q", "--source-status", "off",
             "--quota", "4000/10s"],
            env=surroundings(there), capture_output=True, check=True, timeout=60,
        )  # fmt: skip  # as it stands on a command line
        *rows, statuses = done.stdout.splitlines()
        assert (len(rows), statuses) == (3, b"141 0")
        assert set(rows) <= set(there.truth)
        assert done.stderr == b""
        assert there.requested < 3000


@pytest.mark.parametrize(
    ("closed", "output", "status"),
    [(">&-", "-", 5), (">&-", "out.ndjson", 0), ("<&- >&- 2>&-", "out.ndjson", 0), ("2>&-", "-", 0)],
)
def test_streams_closed_from_the_beginning(closed: str, output: str, status: int, tmp_path: Path) -> None:
    """A closed stream is told where it is needed, and never becomes one of the program's own files."""
    with tenant("--accounts", "20", "--rows", "12") as there:
        ids = there.list_file(tmp_path)
        done = subprocess.run(
            ["bash", "-c", f'"$@" {closed}', "bash", *PROGRAM, "run", ids, "-o", output],
            env=surroundings(there), cwd=tmp_path, capture_output=True, check=False, timeout=60,
        )  # fmt: skip  # as above
        assert done.returncode == status, done.stderr
        assert b"Traceback" not in done.stderr
        assert (b"stdout" in done.stderr) == (status == 5)
        if output != "-":
            assert_complete(there, tmp_path / output)


def test_a_list_from_a_stdin_that_is_closed(tmp_path: Path) -> None:
    """A closed stdin is no list: a sentence, status 2."""
    with tenant("--accounts", "1") as there:
        done = subprocess.run(
            ["bash", "-c", '"$@" <&-', "bash", *PROGRAM, "run", "-"],
            env=surroundings(there), cwd=tmp_path, capture_output=True, check=False, timeout=60,
        )  # fmt: skip  # as above
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.splitlines()[-1].startswith(b"harvester: stdin: cannot be read")
