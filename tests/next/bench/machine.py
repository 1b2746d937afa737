"""On what the figures were measured: without it they are worth nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("account-usage-harvester", "aiohttp", "uvloop", "orjson", "aiolimiter", "httpx", "sailpoint")
_PROGRAMS = {"nginx": "-v", "haproxy": "-v", "wrk": "-v", "curl": "-V"}
DEBIAN = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "curl": "curl"}
"""The Debian package of each program that the bench can use."""


def program(name: str) -> str | None:
    """The path of a server or load generator, in the folders of the administrator too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def machine() -> dict[str, Any]:
    """Processor, memory, system, versions, date and load."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "processor": f"{os.cpu_count()} x {_line('/proc/cpuinfo', 'model name') or platform.machine()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _package(name) for name in _PACKAGES},
        "programs": {name: _said(name, option) for name, option in _PROGRAMS.items()},
        "loadBefore": round(os.getloadavg()[0], 2),
    }


def sentence(found: dict[str, Any]) -> str:
    """All of it in a few lines."""
    versions = {"Python": found["python"], **found["packages"], **found["programs"]}
    named = ", ".join(f"{name} {value}" for name, value in versions.items() if value)
    return (
        f"{found['date']}, {found['processor']}, {found['memory']}, {found['system']}, "
        f"load before {found['loadBefore']}\n{named}"
    )


def _line(path: str, key: str) -> str | None:
    for line in Path(path).read_text().splitlines() if Path(path).exists() else ():
        if line.startswith(key):
            return " ".join(line.partition(":")[2].split())
    return None


def _memory() -> str:
    kilobytes = (_line("/proc/meminfo", "MemTotal") or "0").split()[0]
    return f"{int(kilobytes) / 1024**2:.0f} GB"


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _said(name: str, option: str) -> str | None:
    """The first version number that a program tells of itself; None when it isn't installed."""
    path = program(name)
    if path is None:
        return None
    said = subprocess.run([path, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found.group() if found else "?"
