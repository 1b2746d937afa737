"""Published Singer targets, each in an environment of its own: their dependencies exclude each other."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[2] / ".venv-singer"
"""Kept between runs; `make clean` removes it."""

REQUIREMENTS = {
    "target-jsonl": ("target-jsonl==0.1.4",),
    "target-duckdb": ("target-duckdb==0.8.0",),
}
"""The one that most people try a tap with, and one that upserts into a database by the key properties."""


def target(name: str) -> Path:
    """The program of a target, installed from the index if it isn't there yet; skips if it can't be."""
    folder = ENVIRONMENTS / name
    stamp = folder / ".installed"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not stamp.exists():
            install(folder, REQUIREMENTS[name])
            stamp.touch()
    return folder / "bin" / name


def install(folder: Path, requirements: tuple[str, ...]) -> None:
    """Make the environment, or say loudly why it can't be made."""
    quiet = ("--quiet", "--disable-pip-version-check")
    for command in (
        (sys.executable, "-m", "venv", "--clear", str(folder)),
        (str(folder / "bin" / "pip"), "install", *quiet, *requirements),
    ):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            pytest.skip(f"NOT TESTED AGAINST {requirements[0]}: it can't be installed: {ended.stderr[-500:]}")
