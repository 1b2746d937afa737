"""System calls that fail, or in the middle of which the process is killed, by ``strace -e inject``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.e2e.processes import PATIENCE, Tenant, until
from tests.e2e.truth import assert_true, beside
from tests.e2e.warm import WarmPrograms

NAMING = r"/^(fsync|fdatasync|rename(at2?)?|f?truncate|unlink(at)?)$"
"""What makes files durable, names them, cuts them and removes them."""
WRITING = r"/^p?write(64|v|v2)?$"

_CALL = re.compile(rb"(?P<thread>\d+) +(?P<call>\w+)\((?P<arguments>.*)")
_PATH = re.compile(rb'"(/[^"]*)"|\d+<(/[^>]*)>')


def require_strace() -> None:
    """Skip loudly where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("LEFT OUT: failing system calls, for strace is not installed (tests/setup/parts)")
    if subprocess.run(
        ["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("LEFT OUT: failing system calls, for this machine lets no process be traced")


@dataclass(frozen=True, slots=True)
class Site:
    """The `number`-th time that a thread makes this call on this path."""

    call: str
    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.call}({self.path.name}) #{self.number}"


@dataclass(frozen=True, slots=True)
class Command:
    """A run to be repeated until its output is complete. `clear` empties `folder`, which has its files."""

    arguments: tuple[str | Path, ...]
    folder: Path
    output: Path
    clear: Callable[[], None]


class Tracer:
    """Runs one command under strace, with a fault or without."""

    def __init__(self, programs: WarmPrograms, tenant: Tenant, command: Command, scratch: Path) -> None:
        self.programs = programs
        self.tenant = tenant
        self.command = command
        self._log = scratch / "log"
        self._trace = scratch / "trace"
        self.struck = 0
        """Faults that have struck: a call need not be made in each run."""
        self._files: set[Path] = set()
        """What an undisturbed run leaves."""

    @property
    def said(self) -> str:
        """What the last run has said."""
        return self._log.read_text()

    def run(self) -> int:
        """Without a fault and without strace; its status."""
        return self.programs.run(self.command.arguments, self._log)

    def sites(self, calls: str) -> list[Site]:
        """Every call of this kind that an undisturbed run makes on the command's files."""
        self.command.clear()
        status = self._traced("-e", f"trace={calls}")
        assert status == self._complete, self.said
        assert_true(self.tenant, self.command.output)
        self._files = self._there()
        return list(self._found())

    def _found(self) -> Iterator[Site]:
        seen: Counter[tuple[bytes, bytes, bytes]] = Counter()
        most: Counter[tuple[bytes, bytes]] = Counter()
        for line in self._trace.read_bytes().splitlines():
            call = _CALL.match(line)
            path = _PATH.search(call["arguments"]) if call else None
            if call is None or path is None:
                continue
            name = path[1] or path[2]
            if Path(os.fsdecode(name)).is_relative_to(self.command.folder):
                seen[call["thread"], call["call"], name] += 1
                number = seen[call["thread"], call["call"], name]
                if number > most[call["call"], name]:
                    most[call["call"], name] = number
                    yield Site(call["call"].decode(), Path(os.fsdecode(name)), number)

    def disturb(self, site: Site, fault: str) -> bool:
        """Run with `fault` (EIO, ENOSPC, SIGKILL) at `site`, and look at what is left; whether it struck.

        A killed run has simply ended; any other has ended with a status that is documented, and its
        summary says the same and names only what exists.
        """
        before = self.tenant.requested
        kind = "signal" if fault.startswith("SIG") else "error"
        status = self._traced(
            "-P", str(site.path), "-e", f"trace={site.call}",
            "-e", f"inject={site.call}:{kind}={fault}:when={site.number}",
        )  # fmt: skip  # as it stands on a command line
        if kind == "signal":
            assert status in (-9, self._complete), self.said
            return status == -9
        assert "Traceback" not in self.said, self.said
        struck = b"(INJECTED)" in self._trace.read_bytes()
        fine = {5, self._complete} if struck else {self._complete}
        if fault == "EIO" and self.tenant.requested == before:
            fine.add(2)  # nothing has begun: something is wrong with the path
        assert status in fine, (status, self.said)
        self._look_at_summary(status, site)
        return struck

    def _look_at_summary(self, status: int, site: Site) -> None:
        path = beside(self.command.output, "summary.json")
        if status == 2 or "summary" in site.path.name or not path.exists():
            return
        summary = orjson.loads(path.read_bytes())
        assert summary["status"] == status, (summary["status"], self.said)
        for one in summary["outputs"]:
            assert (self.command.output / one["name"]).exists(), one  # a part's name, or an absolute one

    def survives(self, site: Site, fault: str) -> str:
        """Nothing if the program takes this fault as it should, and can be run again; else what is wrong."""
        self.command.clear()
        try:
            self.struck += self.disturb(site, fault)
            self.assert_repeated()
        except AssertionError as error:
            return f"{site}, {fault}: {error}"
        return ""

    def assert_repeated(self) -> None:
        """The same command again completes the job, and leaves nothing over."""
        status = self.run()
        assert status == self._complete, self.said
        assert_true(self.tenant, self.command.output)
        assert self._there() == self._files

    def _there(self) -> set[Path]:
        return set(self.command.folder.rglob("*"))

    @property
    def _complete(self) -> int:
        return 3 if self.tenant.hopeless else 0

    def _traced(self, *options: str) -> int:
        pid = self.programs.prepare(self.command.arguments, self._log)
        with _attached(pid, self._trace, *options):
            return self.programs.go()


@contextmanager
def _attached(pid: int, trace: Path, *options: str) -> Iterator[None]:
    command = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-p", str(pid), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            until(lambda: _tracer(pid) or strace.poll() is not None, every=0.001)
            yield
            strace.wait(PATIENCE)
        finally:
            strace.kill()


def _tracer(pid: int) -> int:
    """The process that traces `pid`; 0 if none does."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("TracerPid:")).split()[1])
