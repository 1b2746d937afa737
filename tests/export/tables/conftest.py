from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from pyiceberg import catalog
from pyiceberg.utils.config import Config

from tests.export.tables.killed import Killer
from tests.export.tables.kits import DeltaKit, IcebergKit, Kit, PostgresKit
from tests.export.tables.server import Server, running

_SCHEMAS = count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Starts in two seconds."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def killer() -> Iterator[Killer]:
    with Killer() as killer:
        yield killer


@pytest.fixture
def postgres(server: Server) -> PostgresKit:
    return PostgresKit(server, f"night_{next(_SCHEMAS)}")


@pytest.fixture
def delta(tmp_path: Path) -> DeltaKit:
    return DeltaKit(tmp_path)


@pytest.fixture
def iceberg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IcebergKit]:
    kit = IcebergKit(tmp_path)
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    with kit.catalogs:
        yield kit


@pytest.fixture(params=["delta", "iceberg", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    found: Kit = request.getfixturevalue(request.param)
    return found
