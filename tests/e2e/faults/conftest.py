"""A tenant, and commands that a user in trouble gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.processes import Tenant, tenant
from tests.e2e.warm import WarmPrograms, warm_programs


class Done(NamedTuple):
    """How a command ended, and what it said; without a traceback, whatever it was."""

    status: int
    said: str
    requests: int
    """To the tenant, whether for a token or for anything else."""


class Commands:
    """Commands in a directory with a list and a finished harvest (`ids.txt`, `done.ndjson`)."""

    def __init__(self, there: Tenant, programs: WarmPrograms, home: Path) -> None:
        self.there = there
        self.home = home
        self._programs = programs

    def __call__(self, *arguments: str | Path, **more: Any) -> Done:
        """Run one to its end; see `WarmPrograms.prepare`."""
        log, before = self.home / "log", self._requests()
        if arguments[0] in ("run", "accounts", "sources", "check"):
            arguments += ("--quota", "none")
        status = self._programs.run(arguments, log, **more)
        said = log.read_text(errors="surrogateescape")
        assert "Traceback" not in said, said
        assert "never awaited" not in said, said
        return Done(status, said, self._requests() - before)

    def _requests(self) -> int:
        return sum(self.there.tally["statuses"].values())


@pytest.fixture(scope="package")
def there() -> Iterator[Tenant]:
    """A tenant with a few accounts."""
    with tenant("--accounts", "30", "--rows", "12") as running:
        yield running


@pytest.fixture(scope="package")
def commands(there: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Everything relative is in one directory."""
    home = tmp_path_factory.mktemp("trouble")
    there.list_file(home)
    with warm_programs(there, home) as programs:
        found = Commands(there, programs, home)
        assert found("run", "ids.txt", "-o", "done.ndjson").status == 0
        yield found


@pytest.fixture
def place(commands: Commands, request: pytest.FixtureRequest) -> Path:
    """A directory of a test's own."""
    place: Path = commands.home / request.node.name.translate({ord(one): "_" for one in "[]/ <>\\"})[:80]
    place.mkdir()
    return place
