"""What the tests of config/ share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.machine import Machine
from tests.e2e.processes import Tenant, tenant


@pytest.fixture(scope="session")
def some_fail() -> Iterator[Tenant]:
    """A tenant two of whose accounts always fail, so that every harvest of it ends with status 3."""
    with tenant("--accounts", "40", "--seed", "7", "--hopeless", "2:404") as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, some_fail: Tenant) -> Machine:
    """A machine of its own for each test."""
    return Machine(tmp_path, some_fail)
