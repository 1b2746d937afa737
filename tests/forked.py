"""`harvester` as a command that starts in no time: a process that has imported it forks each run.

Tests start it hundreds of times, in shells, pipes, and terminals too. The command that stands in for it hands
over its streams, directory, environment, and arguments, forwards signals, and ends as the run ends.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

_COMMAND = """\
#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
run = {{"arguments": sys.argv[1:], "directory": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(server, [json.dumps(run).encode()], [0, 1, 2])
server.shutdown(socket.SHUT_WR)
answers = server.makefile()
process = int(answers.readline())
for number in signal.SIGHUP, signal.SIGINT, signal.SIGTERM:
    signal.signal(number, lambda number, _: os.kill(process, number))
status = int(answers.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
_ROOT = Path(__file__).parents[1]
_START = 30.0
"""Seconds that importing the program may take."""


@contextmanager
def forked(command: Path) -> Iterator[Path]:
    """`command`, which is made, runs the program as long as the context lasts."""
    address = command.with_suffix(".socket")
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.forked", str(address)], cwd=_ROOT
    ) as server:
        try:
            latest = time.monotonic() + _START
            while not address.exists():
                assert server.poll() is None
                assert time.monotonic() < latest
                time.sleep(0.01)
            command.write_text(_COMMAND.format(python=sys.executable, address=str(address)))
            command.chmod(0o755)
            yield command
        finally:
            server.kill()


@cache
def forked_command() -> Path:
    """Such a command for as long as this process lives."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(TemporaryDirectory())
    return stack.enter_context(forked(Path(folder) / "harvester"))


def _serve(address: str) -> None:
    """For each connection: a process that runs the program, and one that waits for it."""
    import harvester.cli as program  # noqa: PLC0415  # this is what is imported beforehand
    from harvester.cli import accounts, export, run, unused, verify  # noqa: F401, PLC0415

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address + ".new")
    listening.listen()
    os.rename(address + ".new", address)  # noqa: PTH104  # connecting works from here on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        connection, _ = listening.accept()
        content, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if os.fork():
            for stream in streams:
                os.close(stream)
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        while more := connection.recv(1 << 20):
            content += more
        if not (process := os.fork()):
            break
        for stream in streams:
            os.close(stream)
        connection.sendall(b"%d\n" % process)
        _, status = os.waitpid(process, 0)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    wanted = json.loads(content)
    os.chdir(wanted["directory"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    program.main(wanted["arguments"])


if __name__ == "__main__":
    _serve(sys.argv[1])
