"""Runs of the program that need not import it first: a process that has, and forks one run after the other.

Hundreds of runs with an injected fault each take a tenth of a second this way, instead of half a second.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

import orjson

from tests.e2e.processes import PATIENCE, Tenant, surroundings


class WarmPrograms:
    """Starts runs, one at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def prepare(self, arguments: tuple[str | Path, ...], log: Path, **more: Any) -> int:
        """A process that is about to run the program, its stdout and stderr going to `log`; its ID.

        `stdout` is another file for stdout (None: it is closed), `environment` adds variables, and `files` is
        how many the process may have open.
        """
        named = [os.fsencode(one).decode("latin-1") for one in arguments]
        self._send(orjson.dumps({"arguments": named, "log": str(log), **more}))
        return self._answer()

    def go(self) -> int:
        """Let it run; its exit status, negative for a signal."""
        self.begin()
        return self._answer()

    def begin(self) -> None:
        """Let it run, without waiting for it."""
        self._send(b"go")

    def ended(self) -> int | None:
        """The exit status of what `begin` has begun; None while it runs."""
        assert self._process.stdout is not None
        return self._answer() if select([self._process.stdout], [], [], 0)[0] else None

    def run(self, arguments: tuple[str | Path, ...], log: Path, **more: Any) -> int:
        """A run from start to end."""
        self.prepare(arguments, log, **more)
        return self.go()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    def _answer(self) -> int:
        assert self._process.stdout is not None
        assert select([self._process.stdout], [], [], PATIENCE)[0], "the run hangs"
        return int(self._process.stdout.readline())


@contextmanager
def warm_programs(at: Tenant, cwd: Path | None = None) -> Iterator[WarmPrograms]:
    """Programs with the credentials of a tenant, in the directory `cwd`."""
    command = [sys.executable, "-W", "error", "-m", "tests.e2e.warm"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=cwd, env=surroundings(at)
    ) as process:
        try:
            yield WarmPrograms(process)
        finally:
            process.kill()


def _serve() -> None:
    """For each line on stdin: fork a run, say its process ID and, once it has ended, its status."""
    from harvester import cli  # noqa: PLC0415  # this is what is warm
    from harvester.cli import run  # noqa: F401, PLC0415

    while line := sys.stdin.buffer.readline():
        request = orjson.loads(line)
        gate, opener = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(opener)
            os.read(gate, 1)
            _redirect(request["log"], request.get("stdout", request["log"]))
            os.environ.update(request.get("environment", {}))
            if files := request.get("files"):
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            cli.main([os.fsdecode(one.encode("latin-1")) for one in request["arguments"]])
        os.write(1, b"%d\n" % pid)
        sys.stdin.buffer.readline()
        for fd in (opener, gate):  # which opens it
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


def _redirect(log: str, stdout: str | None) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    out = said if stdout in (log, None) else os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for fd, target in ((nothing, 0), (out, 1), (said, 2)):
        os.dup2(fd, target)
    for fd in {nothing, said, out}:
        os.close(fd)
    if stdout is None:
        os.close(1)


if __name__ == "__main__":
    _serve()
