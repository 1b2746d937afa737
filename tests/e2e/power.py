"""A place whose power can be cut; see `forgetful`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest

from tests.e2e.processes import PATIENCE, ROOT, until


def require_fuse() -> None:
    """Skip loudly where no file system of our own can be mounted."""
    for what, there in (
        ("/dev/fuse is missing", Path("/dev/fuse").exists()),
        ("fusermount is not installed (tests/setup/parts)", shutil.which("fusermount3")),
    ):
        if not there:
            pytest.skip(f"LEFT OUT: power loss, for {what}")
    pytest.importorskip(
        "mfusepy", reason="LEFT OUT: power loss, for mfusepy is not installed", exc_type=ImportError
    )


class Power:
    """The switch of a mounted file system."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.is_cut = False

    def changes(self) -> int:
        """Changes to the file system so far."""
        return int(self._ask("count"))

    def arm(self, after: int, seed: int) -> None:
        """Cut the power at the `after`-th change from now."""
        self.is_cut = False
        self._ask(f"arm {after} {seed}")

    def cut(self, seed: int) -> None:
        """Cut the power now."""
        self._ask(f"cut {seed}")
        self.is_cut = True

    def restart(self) -> None:
        """Turn it on again."""
        self._ask("restart")

    def was_cut(self) -> bool:
        """Whether the armed cut has happened."""
        assert self._process.stdout is not None
        if not self.is_cut and select([self._process.stdout], [], [], 0)[0]:
            self.is_cut = self._process.stdout.readline() == b"cut\n"
        return self.is_cut

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n".encode())
        while True:
            assert select([self._process.stdout], [], [], PATIENCE)[0], line
            answer = self._process.stdout.readline().decode().strip()
            if answer != "cut":
                return answer
            self.is_cut = True


@contextmanager
def forgetful(place: Path) -> Iterator[Power]:
    """The file system, mounted at `place`."""
    place.mkdir()
    command = [sys.executable, "-m", "tests.e2e.forgetful", str(place)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, cwd=ROOT
    ) as process:
        try:
            until(lambda: place.is_mount() or process.poll() is not None)
            if process.poll() is not None:
                pytest.skip("LEFT OUT: power loss, for this machine lets no file system be mounted")
            yield Power(process)
        finally:
            subprocess.run(["fusermount3", "-u", "-z", str(place)], capture_output=True, check=False)
            process.kill()
