"""A PostgreSQL server of its own for the tests: in a temporary directory, on loopback, never run by root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Server:
    """Runs between `start` and `stop`, which may be called again; its data stays."""

    def __init__(self, directory: Path, user: str | None) -> None:
        self._directory = directory
        self._user = user
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgresql://harvester@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        self._run("initdb", "-D", self._data, "-U", "harvester", "-A", "trust", "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._directory}"
        log = str(self._directory / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def psql(self, statement: str) -> list[list[str]]:
        """The rows that psql prints."""
        command = [str(_PROGRAMS[-1] / "psql"), "-XAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", self.url]
        done = subprocess.run([*command, "-c", statement], check=True, capture_output=True, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(_PROGRAMS[-1] / program), *arguments]
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.DEVNULL,  # the server would keep a pipe open
            stderr=subprocess.STDOUT,
            user=self._user,
            cwd=self._directory,
            timeout=60,
        )
        assert done.returncode == 0, f"{program} failed"


@contextmanager
def running() -> Iterator[Server]:
    """A server with an empty database; skips where there is none."""
    if not _PROGRAMS:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    user = "nobody" if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="harvester-postgres-"))
    if user is not None:
        os.chown(directory, pwd.getpwnam(user).pw_uid, -1)
    server = Server(directory, user)
    try:
        server.create()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
