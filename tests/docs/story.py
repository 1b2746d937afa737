"""Runs the examples of a page as one story: in order, in one directory, against a sandbox.

What a page may contain, by the word after the fence:

- ``sh``: run as it is; each must end with status 0, or 141 after `| head`.
- ``console``: commands after ``$``, run in a terminal; what follows is compared with what they print.
  Numbers, dates and IDs may differ; a line ``…`` stands for any number of lines. A command followed by
  ``$ echo $?`` may end with any status.
- ``python``: run as a script; words behind it are packages that it needs.
- ``sql duckdb``: run in DuckDB, in one database for the page.
- anything else is not run.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.manual import ROOT, Block
from tests.e2e.processes import Tenant

TENANT = "https://acme.api.identitynow.com"
_BETWEEN = "\x1e"
_CLOSED = 141
"""What ends with `| head` may end like this."""
_TIMEOUT = 60
"""Seconds. timeout(1) ends the children, too."""


@dataclass
class Story:
    """A directory and an environment in which the examples of a page run."""

    directory: Path
    url: str
    environment: dict[str, str]
    ids: Sequence[str] = ()
    """Account IDs of the sandbox."""

    def run(self, block: Block) -> None:
        """Run one block, and compare what it prints with what the page shows."""
        match block.info.split():
            case ["sh"]:
                self._shell(block)
            case ["console"]:
                self._console(block)
            case ["python", *needed]:
                for name in needed:
                    pytest.importorskip(name)
                self._python(block)
            case ["sql", "duckdb"]:
                self._sql(block)

    def _shell(self, block: Block) -> None:
        command = ["bash", "-euo", "pipefail", "-c", self._here(block.text)]
        done = self._done(command)
        assert done.returncode in (0, _CLOSED), (
            f"{block.where}: status {done.returncode}\n{done.stdout}{done.stderr}"
        )
        assert "Traceback" not in done.stderr, block.where

    def _console(self, block: Block) -> None:
        shown = list(_commands(block.text))
        script = "".join(
            f"{self._here(command)}\n__s=$?; printf '{_BETWEEN}%d{_BETWEEN}' $__s; (exit $__s)\n"
            for command, _ in shown
        )
        pieces = self._in_terminal(script).split(_BETWEEN)
        assert len(pieces) == 2 * len(shown) + 1, f"{block.where}: {pieces}"
        for at, (command, expected) in enumerate(shown):
            printed, status = pieces[2 * at], pieces[2 * at + 1]
            asked = at + 1 < len(shown) and shown[at + 1][0] == "echo $?"
            assert status == "0" or asked, f"{block.where}: `{command}` ended with {status}\n{printed}"
            difference = _difference(expected, printed)
            assert not difference, f"{block.where}: `{command}` {difference}\n{printed}"

    def _python(self, block: Block) -> None:
        script = self.directory / ".example.py"
        script.write_text(self._here(block.text))
        done = self._done([sys.executable, str(script)])
        assert done.returncode == 0, f"{block.where}\n{done.stdout}{done.stderr}"

    def _sql(self, block: Block) -> None:
        code = "import duckdb, sys; duckdb.connect('page.duckdb').execute(sys.stdin.read())"
        done = self._done([sys.executable, "-c", code], stdin=block.text)
        assert done.returncode == 0, f"{block.where}\n{done.stderr}"

    def _here(self, text: str) -> str:
        """The text with the sandbox, its secret, and its accounts in place of the tenant's."""
        text = re.sub(r"SECRET=\S+", "SECRET=sandbox", text.replace(TENANT, self.url))
        return re.sub(r"[0-9a-f]{32}", lambda found: self.ids[int(found[0], 16) % len(self.ids)], text)

    def _done(self, command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["timeout", "-k", "5", str(_TIMEOUT), *command],
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def _in_terminal(self, script: str) -> str:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 120, 0, 0))
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            with subprocess.Popen(
                ["timeout", "-k", "5", str(_TIMEOUT), "bash", "-c", script],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
            ) as process:
                os.close(theirs)
                try:
                    printed = b"".join(_until_closed(terminal.fileno()))
                    process.wait()
                finally:
                    process.kill()
        return printed.decode().replace("\r\n", "\n")


def _until_closed(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last writer has gone
            return
        if not chunk:
            return
        yield chunk


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines shown under it."""
    command, expected = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:], []
        elif command.endswith("\\"):
            command += "\n" + line
        else:
            expected.append(line)
    yield command, expected


def _difference(expected: list[str], printed: str) -> str:
    """What is wrong, or nothing. A page that shows no output promises none."""
    if not expected:
        return ""
    left = [_masked(line) for line in printed.splitlines() if line.strip()]
    any_number = False
    for line in filter(str.strip, expected):
        if line.strip() == "…":
            any_number = True
            continue
        wanted = _masked(line)
        if any_number and wanted in left:
            del left[: left.index(wanted)]
        if not left or left[0] != wanted:
            return f"did not print\n  {wanted}\nbut\n  {left[0] if left else 'nothing more'}"
        del left[0]
        any_number = False
    return "" if any_number or not left else f"printed more: {left[0]}"


_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8,}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d(?:-\d\d)?"), "DATE"),
    (re.compile(r"\b127\.0\.0\.1(?::\d+)?|acme\.api\.identitynow\.com"), "HOST"),
    (re.compile(r"\d[\d,.]*"), "N"),
    (re.compile(r"N\s*(?:ms|s|min|h|days?)\b(?:\s*N\s*(?:s|min))?"), "SPAN"),
    (re.compile(r"N\s*(?:bytes|kB|MB)"), "SIZE"),
    (re.compile(r"\s+"), " "),
)


def _masked(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, word in _MASKS:
        line = pattern.sub(word, line)
    return line.strip()


def told(directory: Path, program: Path, at: Tenant, **variables: str) -> Story:
    """A story in `directory`, where `harvester` is `program` and the tenant is a sandbox."""
    home = directory / "work"
    home.mkdir()
    environment = {
        "PATH": f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "NO_COLOR": "1",
        "SAIL_BASE_URL": at.url,
        "SAIL_CLIENT_ID": "5f5e1a2b",
        "SAIL_CLIENT_SECRET": "sandbox",
        "HARVESTER_QUOTA": "20000/10s",
        "HARVESTER_BURST": "1000",
        "HARVESTER_PROGRESS": "off",
        "DLT_DATA_DIR": str(directory / ".dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        **variables,
    }
    return Story(home, at.url, environment, [one.decode() for one in at.ids])
