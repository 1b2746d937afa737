"""The program as a process, in a directory and an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from tests.forked import forked_command

ROOT = Path(__file__).parents[2]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """An environment without anybody's settings."""
    own = ("HARVESTER_", "SAIL_", "_HARVESTER", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), **variables}


def harvester(*arguments: str | bytes, folder: Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end; `env` adds variables, `stdout` and `stderr` may be files."""
    variables = more.pop("env", {})
    streams: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "stdin": subprocess.DEVNULL,
    } | more
    return subprocess.run(
        [forked_command(), *arguments],
        env=environment(folder, **variables),
        cwd=folder,
        timeout=60,
        check=False,
        **streams,
    )
