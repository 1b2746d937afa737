"""The lock of the development environment has all that pyproject.toml asks for, by version and hash."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.docs.manual import ROOT

LOCK = "requirements-dev.txt"
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
_WANTED = [
    Requirement(line)
    for line in chain(
        _PROJECT["project"]["dependencies"],
        *_PROJECT["project"]["optional-dependencies"].values(),
        _PROJECT["dependency-groups"]["dev"],
    )
]
_PYTHONS = re.findall(r"Python :: (3\.\d+)", " ".join(_PROJECT["project"]["classifiers"]))


def _entries() -> Iterator[tuple[Requirement, list[str]]]:
    """Each locked package, with its hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / LOCK).read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", "").splitlines():
        name, *hashes = re.split(r"\s+--hash=", line)
        yield Requirement(name), hashes


def test_every_package_is_locked_by_version_and_hash() -> None:
    """Next year, a fresh machine gets these files and no others."""
    entries = list(_entries())
    assert len(entries) > len(_WANTED)
    for locked, hashes in entries:
        assert [one.operator for one in locked.specifier] == ["=="], locked
        assert hashes, locked
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), locked


@pytest.mark.parametrize("python", _PYTHONS)
def test_the_lock_fits_what_the_project_requires(python: str) -> None:
    """On each Python that is supported; if not, run `make lock`."""
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    locked: dict[str, Version] = {}
    for one, _ in _entries():
        if one.marker is None or one.marker.evaluate(machine):
            assert one.name not in locked, f"two versions of {one.name} on Python {python}"
            (pin,) = one.specifier
            locked[one.name] = Version(pin.version)
    for wanted in _WANTED:
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        assert name in locked, f"{name} is not locked for Python {python}"
        assert wanted.specifier.contains(locked[name]), f"{wanted}: {locked[name]} is locked"
