"""The program and the simulated tenant as real processes, as a user runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import orjson

from tests.forked import forked_command

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-W", "error", "-m", "harvester")
CLIENT_ID = "robot-7f3a"
SECRET = "sandbox"
PATIENCE = 60.0
"""Seconds after which anything here is considered to hang."""

Input: TypeAlias = IO[bytes] | int | None


class Tenant:
    """A running ``harvester sandbox``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ids = self._lines("ids.txt")
        self.truth = self._lines("truth.ndjson")
        """The rows of all accounts, in the order of `ids`, as an output has them."""
        self.hopeless = {
            line["accountId"]: line["status"] for line in map(orjson.loads, self._lines("hopeless.ndjson"))
        }
        """Accounts that always fail, with the status they are answered with."""

    @property
    def tally(self) -> dict[str, Any]:
        """What it has seen so far; see the sandbox's own tally."""
        found: dict[str, Any] = orjson.loads(self._fetch("tally"))
        return found

    @property
    def requested(self) -> int:
        """Usage requests so far."""
        usages: int = self.tally["usages"]
        return usages

    def list_file(self, folder: Path, name: str = "ids.txt") -> Path:
        """All IDs in a file."""
        path = folder / name
        path.write_bytes(b"\n".join(self.ids) + b"\n")
        return path

    def _lines(self, name: str) -> list[bytes]:
        return self._fetch(name).splitlines()

    def _fetch(self, name: str) -> bytes:
        """What the tenant says of itself, once it is reachable."""
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/_sandbox/{name}", timeout=PATIENCE) as response:
                    content: bytes = response.read()
                    return content
            except (urllib.error.URLError, ConnectionError) as fault:
                if isinstance(fault, urllib.error.HTTPError):
                    raise
                time.sleep(0.02)


@contextmanager
def tenant(*options: str) -> Iterator[Tenant]:
    """A simulated tenant; without a quota unless `options` say otherwise."""
    command = [*PROGRAM, "sandbox", "--quota", "none", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield Tenant(process.stdout.readline().decode().strip())
        finally:
            process.kill()


class Program:
    """One run of ``harvester``; its stderr, and its stdout unless it goes elsewhere, are kept."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.out = self.err = ""

    def end(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.out, self.err = (out or b"").decode(), (err or b"").decode()
        assert "Traceback" not in self.err, self.err
        return self.process.returncode

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(signum)

    def kill(self) -> int:
        """SIGKILL, as the kernel or a pod's eviction sends it."""
        self.process.kill()
        return self.end()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None


@contextmanager
def program(
    *arguments: str | Path,
    at: Tenant | None = None,
    cwd: Path | None = None,
    stdin: Input = subprocess.DEVNULL,
    stdout: Input = subprocess.PIPE,
    environment: dict[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
    command: Sequence[str] = PROGRAM,
) -> Iterator[Program]:
    """Start ``harvester`` with the tenant's credentials; it is killed if it still runs at the end.

    `prepare` is called in the child before the program begins.
    """
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=surroundings(at) | (environment or {}),
        preexec_fn=prepare,  # noqa: PLW1509  # the tests have no threads when they use it
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait()


def run(*arguments: str | Path, **how: Any) -> tuple[int, Program]:
    """Run ``harvester`` to its end: the exit status, and what it said."""
    command = PROGRAM if "prepare" in how else (str(forked_command()),)  # a fork need not import it first
    with program(*arguments, command=command, **how) as running:
        return running.end(), running


def surroundings(at: Tenant | None) -> dict[str, str]:
    """An environment that has what the program needs and nothing of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
    own = {
        "HOME": "/nonexistent",
        "PYTHONPATH": str(ROOT),
        "SAIL_CLIENT_ID": CLIENT_ID,
        "SAIL_CLIENT_SECRET": SECRET,
    }
    return kept | own | ({"SAIL_BASE_URL": at.url} if at is not None else {})


def until(holds: Callable[[], Any], *, every: float = 0.005) -> Any:
    """Wait until `holds()` is true, and return it."""
    latest = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < latest, "waited in vain"
        time.sleep(every)
    return found
