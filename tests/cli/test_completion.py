"""Shells complete commands, options, words and files by the script that the program prints."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import environment, harvester


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder on the PATH with `harvester` in it."""
    program = tmp_path / "bin" / "harvester"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m harvester "$@"\n')
    program.chmod(0o755)
    return program.parent


def in_bash(lines: list[str], programs: Path) -> list[list[str]]:
    """What a real bash offers after each line: its completion function is called as bash would."""
    script = 'eval "$(harvester completion bash)"; complete -p harvester > /dev/null || exit 1\n'
    for line in lines:
        words = line.split(" ")
        script += f"""
            COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1} COMPREPLY=()
            _harvester_completion harvester {shlex.quote(words[-1])} {shlex.quote(words[-2])}
            echo "${{COMPREPLY[@]}}"
        """
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment(programs, PATH=path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes(programs: Path) -> None:
    """Commands of the lazy group, their options, and the words of a choice."""
    commands, config, flags, words = in_bash(
        [
            "harvester ",
            "harvester con",
            "harvester config show --max",
            "harvester config show --log-format j",
        ],
        programs,
    )
    assert {"config", "completion"} <= set(commands)
    assert config == ["config"]
    assert flags == ["--max-outage", "--max-failures"]
    assert words == ["json"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(programs: Path, tmp_path: Path) -> None:
    """A command, with the line about it."""
    script = tmp_path / "harvester.fish"
    script.write_bytes(harvester("completion", "fish", folder=tmp_path).stdout)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete -C 'harvester verif'"],
        env=environment(programs, PATH=f"{programs}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "verify\tProve that an output is complete and intact.\n"


def test_zsh_is_given_what_its_script_asks_for(tmp_path: Path) -> None:
    """Kind, word and description, each on a line of its own."""
    asked = {"_HARVESTER_COMPLETE": "zsh_complete", "COMP_WORDS": "harvester verif", "COMP_CWORD": "1"}
    done = harvester(folder=tmp_path, env=asked)
    assert done.stdout.decode().split("\n")[:2] == ["plain", "verify"]


@pytest.mark.parametrize(("shell", "check"), [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_each_script_is_one_its_shell_can_read(shell: str, check: list[str], tmp_path: Path) -> None:
    """The script names the program and its variable, and the shell finds no fault in it."""
    done = harvester("completion", shell, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"_HARVESTER_COMPLETE={shell}_complete" in done.stdout.decode()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was only looked at")
    script = tmp_path / f"harvester.{shell}"
    script.write_bytes(done.stdout)
    read = subprocess.run([shell, *check, str(script)], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_no_other_shell(tmp_path: Path) -> None:
    """A shell that is not known is wrong usage."""
    assert harvester("completion", "tcsh", folder=tmp_path).returncode == 2
