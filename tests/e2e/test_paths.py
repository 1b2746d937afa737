"""Two of a run's paths that are the same file: refused before any request, and nothing is destroyed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest

from tests.e2e.processes import Tenant, tenant
from tests.e2e.warm import WarmPrograms, warm_programs

OPTIONS = ("-o", "--failures", "--summary", "--report", "--metrics", "--ledger", "input")
FILE = "one.prom"
"""A name that all of them take: --metrics must end like this."""
DERIVED = (
    "partial",
    "ledger",
    "ledger.partial",
    "failures.ndjson",
    "failures.ndjson.partial",
    "summary.json",
    "summary.json.partial",
    "ledger.partial-wal",
    "ledger.partial-shm",
    "ledger.partial-journal",
)
"""What a run makes next to DEST, for good or on the way."""
OWN = {"--failures": "failures.ndjson", "--summary": "summary.json", "--ledger": "ledger"}
"""Named, these are the defaults; and what they are written as is made only for them."""


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant that nobody must ask for anything here."""
    with tenant("--accounts", "3") as running:
        yield running


@pytest.fixture(scope="module")
def programs(there: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPrograms]:
    """Runs in a directory of their own."""
    with warm_programs(there, tmp_path_factory.mktemp("here")) as running:
        yield running


def _same(place: Path) -> str:
    return f"{place.name}/{FILE}"


def _absolute(place: Path) -> str:
    return f"{place}/../{place.name}/{FILE}"


def _link(place: Path) -> str:
    (place / "link.prom").symlink_to(FILE)
    return f"{place.name}/link.prom"


def _linked_directory(place: Path) -> str:
    (place / "here").symlink_to(place)
    return f"{place}/here/{FILE}"


def _hard_link(place: Path) -> str:
    os.link(place / FILE, place / "other.prom")
    return f"{place.name}/other.prom"


SPELLINGS = (_same, _absolute, _link, _linked_directory, _hard_link)


def snapshot(place: Path) -> dict[Path, bytes | None]:
    """All files with their content."""
    return {path: path.read_bytes() if path.is_file() else None for path in place.rglob("*")}


def refused(
    programs: WarmPrograms, there: Tenant, place: Path, paths: dict[str, str], log: Path
) -> tuple[str, int]:
    """Run with these paths; what was said, and the exit status; whatever was there is as it was."""
    arguments = ["run"]
    for option, path in ({"input": "ids.txt"} | paths).items():
        arguments += [path] if option == "input" else [option, path]
    if "-o" not in paths:
        arguments += ["-o", f"{place.name}/usages.ndjson"]
    before, requested = snapshot(place), there.requested
    status = programs.run((*arguments, "--quota", "none"), log)
    assert snapshot(place) == before
    assert there.requested == requested
    return log.read_text(), status


@pytest.mark.parametrize(
    ("spelling", "exists"),
    [*((one, True) for one in SPELLINGS), (_absolute, False), (_link, False)],
    ids=lambda one: one if isinstance(one, bool) else one.__name__.strip("_"),
)
def test_every_pair_of_paths(
    there: Tenant,
    programs: WarmPrograms,
    tmp_path_factory: pytest.TempPathFactory,
    spelling: Callable[[Path], str],
    exists: bool,
) -> None:
    """However it is spelled, one file is refused under two names: status 2, and the sentence says why."""
    here = next(one for one in tmp_path_factory.getbasetemp().iterdir() if one.name.startswith("here"))
    log = tmp_path_factory.mktemp("log") / "log"
    list_ = there.list_file(here)
    problems = []
    for number, pair in enumerate(combinations(OPTIONS, 2)):
        if not exists and "input" in pair:
            continue
        place = here / f"{spelling.__name__}-{exists}-{number}"
        place.mkdir()
        if exists:
            (place / FILE).write_bytes(list_.read_bytes())
        paths = {pair[0]: f"{place.name}/{FILE}", pair[1]: spelling(place)}
        said, status = refused(programs, there, place, paths, log)
        if status != 2 or "same file" not in said:
            problems.append((pair, status, said))
    assert problems == []


@pytest.mark.parametrize("option", ["--failures", "--summary", "--report", "--ledger", "input"])
def test_a_path_that_the_run_itself_would_make(
    there: Tenant, programs: WarmPrograms, tmp_path_factory: pytest.TempPathFactory, option: str
) -> None:
    """What it makes next to DEST, for good or on the way, must not be named for anything else."""
    here = next(one for one in tmp_path_factory.getbasetemp().iterdir() if one.name.startswith("here"))
    log = tmp_path_factory.mktemp("log") / "log"
    list_ = there.list_file(here)
    problems = []
    for derived in DERIVED:
        place = here / f"{option}-{derived}"
        place.mkdir()
        path = place / f"usages.ndjson.{derived}"
        path.write_bytes(list_.read_bytes())
        if derived.removesuffix(".partial") == OWN.get(option):
            continue
        if option == "--ledger" and "-" in derived:  # then SQLite's own are elsewhere
            continue
        said, status = refused(programs, there, place, {option: f"{place.name}/{path.name}"}, log)
        if status != 2:
            problems.append((derived, status, said))
    assert problems == []


def test_a_file_that_an_output_directory_consists_of(
    there: Tenant, programs: WarmPrograms, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The failures of the last output there are not the list of the next one, which would remove them."""
    here = next(one for one in tmp_path_factory.getbasetemp().iterdir() if one.name.startswith("here"))
    log = tmp_path_factory.mktemp("log") / "log"
    list_ = there.list_file(here)
    place = here / "inside"
    place.mkdir()
    for name in ("_failures.ndjson", "part-00001.ndjson"):
        (place / name).write_bytes(list_.read_bytes())
        for option in ("input", "--report"):
            paths = {"-o": f"{place.name}/", option: f"{place.name}/{name}"}
            said, status = refused(programs, there, place, paths, log)
            assert status == 2, said
            assert "that the output" in said
