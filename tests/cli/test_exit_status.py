"""However a command ends, its status and its words come from one place, and no traceback is reachable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from harvester import cli
from harvester.errors import (
    AccessDenied,
    ClosedPipe,
    InternalError,
    Interrupted,
    InvalidAccountId,
    NoCredentials,
    OutputError,
    SettingError,
    StoppedEarly,
)
from tests.cli.program import environment, harvester

WRITING = [
    ["--help"],
    ["-h"],
    ["--version"],
    ["config", "show"],
    ["config", "show", "--json"],
    ["config", "show", "--help"],
    ["config", "init", "-"],
    ["completion", "bash"],
]
"""A call of every command that writes to stdout."""
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


def _interrupted_import() -> RuntimeError:
    error = RuntimeError("Error calling __set_name__")
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SettingError("--quota", "is wrong", "fix it"), 2, "harvester: --quota: is wrong: fix it\n"),
        (OutputError("x exists"), 2, "harvester: x exists\n"),
        (NoCredentials("credentials", "none found"), 4, "harvester: credentials: none found\n"),
        (AccessDenied("no"), 4, "harvester: no\n"),
        (StoppedEarly("later"), 5, "harvester: later\n"),
        (Interrupted(15, "stopped"), 143, "harvester: stopped\n"),
        (ClosedPipe("gone"), 141, ""),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (KeyboardInterrupt(), 130, ""),
        (_interrupted_import(), 130, ""),
        (click.exceptions.Abort(), 130, ""),
        (click.UsageError("not so"), 2, "harvester: not so\n"),
        (click.FileError("x", "gone"), 2, "harvester: Could not open file 'x': gone\n"),
        (InvalidAccountId("'' is empty"), 2, "harvester: '' is empty\n"),
        (InternalError("sums differ"), 1, "harvester: sums differ\n"),
        (
            PermissionError(13, "Permission denied", "/x"),
            5,
            "harvester: [Errno 13] Permission denied: '/x'\n",
        ),
        (OSError("odd"), 5, "harvester: odd\n"),
        (MemoryError(), 5, "harvester: there is not enough memory\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_the_table(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each error has its status and one sentence, or none where the cause is known."""

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(cli.harvester, "main", fails)
    assert cli._run([]) == status
    assert capsys.readouterr().err == said


def test_github_shows_what_ended_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failing step has an annotation and a line in its summary."""
    page = tmp_path / "summary.md"
    for name, value in {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)}.items():
        monkeypatch.setenv(name, value)
    assert cli._run(["rnu-nothing"]) == 2
    assert "::error" in capsys.readouterr().err
    assert "(exit status 2)" in page.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["run", "--nosuch"],
            "No such option '--nosuch'. Did you mean '--no-fresh'? See `harvester run",
        ),
        (["unused"], "Missing argument 'LEDGER'. See `harvester unused --help`"),
        (["unused", "x", "--grace", "y"], "Invalid value for '--grace': 'y' is not a duration"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong and where to look, on one line."""
    assert cli._run(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"harvester: {sentence}")
    assert said.count("\n") == 1


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no row fits keeps its traceback, which a report of the bug needs."""

    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.harvester, "main", fails)
    with pytest.raises(ZeroDivisionError):
        cli._run([])


@pytest.mark.parametrize(("result", "status"), [(3, 3), (None, 0), (0, 0)])
def test_a_command_may_say_how_it_ended(
    result: int | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command returns is the exit status; nothing is 0."""
    monkeypatch.setattr(cli.harvester, "main", lambda *_, **__: result)
    assert cli._run([]) == status


@needs_full
@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_full_disk_behind_stdout(arguments: list[str], tmp_path: Path) -> None:
    """It is 5, and one sentence."""
    with FULL.open("wb") as full:
        done = harvester(*arguments, folder=tmp_path, stdout=full)
    said = done.stderr.decode()
    assert (done.returncode, said.count("\n")) == (5, 1), said
    assert said.startswith("harvester: stdout cannot be written (No space left on device): make room")


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_closed_stdout(arguments: list[str], tmp_path: Path) -> None:
    """It is 5, and one sentence."""
    line = 'exec "$0" -m harvester "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, *arguments],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip  # one call
    assert done.returncode == 5
    assert done.stderr == b"harvester: stdout is closed: make room, or redirect it to a file\n"


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_reader_that_is_gone(arguments: list[str], tmp_path: Path) -> None:
    """It ends any command quietly, with 141."""
    reading, writing = os.pipe()
    os.close(reading)
    done = harvester(*arguments, folder=tmp_path, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_closed_stdout_that_is_not_needed(tmp_path: Path) -> None:
    """A command that writes a file does not miss it, and the file does not get its number."""
    line = 'exec "$0" -m harvester config init x.toml >&- <&-'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip  # one call
    assert (done.returncode, (tmp_path / "x.toml").stat().st_size > 1000) == (0, True)


@needs_full
def test_a_full_disk_behind_stderr(tmp_path: Path) -> None:
    """The command does its work; that something was not said is status 5, unless it failed anyway."""
    with FULL.open("wb") as full:
        assert harvester("config", "init", "x.toml", folder=tmp_path, stderr=full).returncode == 5
        assert (tmp_path / "x.toml").exists()
        assert harvester("config", "init", "x.toml", folder=tmp_path, stderr=full).returncode == 2
        assert harvester("rnu", folder=tmp_path, stderr=full).returncode == 2
        assert harvester("config", "show", folder=tmp_path, stdout=full, stderr=full).returncode == 5


def test_a_pipe_that_does_not_block(tmp_path: Path) -> None:
    """A reader that set the pipe so and is slow gets everything all the same."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    line = (
        "import sys; from harvester.cli.streams import take_over_streams as t; t();"
        "sys.stdout.write('x' * 300_000); sys.stdout.flush()"
    )
    with subprocess.Popen([sys.executable, "-c", line], env=environment(tmp_path), stdout=writing) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert len(pipe.read()) == 300_000
        assert process.wait(60) == 0


def with_command(callback: str, folder: Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The program with one more command, `odd`, which does what the Python expression says."""
    program = (
        "import os, signal, sys, types, click; from harvester import cli, errors\n"
        "def fail(error): raise error\n"
        "module = types.ModuleType('harvester.cli.odd')\n"
        f"module.command = click.Command('odd', callback=lambda: {callback})\n"
        "sys.modules[module.__name__] = module; cli._COMMANDS['odd'] = 'x'\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cli.main(['odd'])"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment(folder), capture_output=True, timeout=60, check=False, **more,
    )  # fmt: skip  # one call


def test_ctrl_c_ends_any_command_with_130(tmp_path: Path) -> None:
    """Without a traceback, through click's own handling of it."""
    done = with_command("os.kill(os.getpid(), signal.SIGINT)", tmp_path)
    assert (done.returncode, done.stderr.strip()) == (130, b"")


def test_what_was_printed_before_an_error_is_printed(tmp_path: Path) -> None:
    """Buffered or not, it comes out; the status is that of the error."""
    done = with_command("sys.stdout.write('half') and fail(errors.AccessDenied('no'))", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (4, b"half", b"harvester: no\n")


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_any_locale_and_any_name(locale: str, tmp_path: Path) -> None:
    """Dashes print, and so does the name of a file that is not UTF-8."""
    more = {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for arguments in (
        ["config", "show", "-o", b"caf\xe9"],
        ["config", "show", "--json", "-o", b"caf\xe9"],
        ["-h"],
    ):
        done = harvester(*arguments, folder=tmp_path, env=more)
        assert (done.returncode, done.stderr) == (0, b"")
    done = harvester("config", "show", "--config", b"caf\xe9", folder=tmp_path, env=more)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


def test_nothing_is_configured_and_nobody_is_at_home(tmp_path: Path) -> None:
    """A user without passwd entry and HOME: the program works from its environment."""
    program = (
        "import os, pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody; os.environ.pop('HOME')\n"
        "from harvester.cli import main; main(['config', 'show'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip  # one call
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"configuration file: none\n")
