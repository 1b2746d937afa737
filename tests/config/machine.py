"""A machine that the examples in config/ run on: a directory, the program, a simulated tenant."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.processes import PATIENCE, ROOT, Tenant, surroundings

CONFIG = ROOT / "config"
PROGRAM = "harvester"
WRONG = "not-the-secret"


class Machine:
    """A directory with the program in `bin/harvester`, and an environment without anybody's settings."""

    def __init__(self, directory: Path, tenant: Tenant) -> None:
        self.directory = directory
        self.tenant = tenant
        self.program = directory / "bin" / "harvester"
        self.program.parent.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {PROGRAM} "$@"\n')
        self.program.chmod(0o755)

    def environment(self, **variables: str) -> dict[str, str]:
        """Everything but credentials and the tenant's address, and `variables`."""
        bare = {name: value for name, value in surroundings(None).items() if not name.startswith("SAIL_")}
        path = f"{self.program.parent}:{bare['PATH']}"
        return bare | {"PATH": path, "HOME": str(self.directory), "HARVESTER_QUOTA": "none"} | variables

    def credentials(self, secret: str = "sandbox") -> dict[str, str]:
        """The variables that name the tenant and a client."""
        return {"SAIL_BASE_URL": self.tenant.url, "SAIL_CLIENT_ID": "any", "SAIL_CLIENT_SECRET": secret}

    def run(
        self, *command: str | Path, env: Mapping[str, str], cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with `env` in addition to the environment."""
        return subprocess.run(
            command,
            cwd=cwd or self.directory,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def documents(name: str) -> list[Any]:
    """The YAML documents of a file in config/."""
    return list(yaml.safe_load_all((CONFIG / name).read_text()))


def checked(tool: str, *arguments: str | Path, cwd: Path | None = None) -> str:
    """Run a file's own checker, which must find nothing; what it printed. Skips where it is not installed."""
    beside = Path(sys.executable).with_name(tool)
    program = str(beside) if beside.exists() else shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed")
    command: Sequence[str] = [program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
