"""The page that `run --report` writes at its end, and the demo."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.e2e.killing import RATE
from tests.e2e.processes import Tenant, run, tenant
from tests.e2e.truth import assert_nothing_left_over, content_of, truth_of


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A small tenant that answers everything."""
    with tenant("--accounts", "300") as found:
        yield found


def counted(text: str) -> list[str]:
    """The accounts not used, and those that can be judged, as a page says them."""
    found = re.search(r"Nobody used ([\d,]+) of ([\d,]+) accounts", text)
    assert found is not None
    return list(found.groups())


@pytest.mark.parametrize("options", [[], ["--no-keep-ledger"], ["-o", "-"]])
def test_the_page_at_the_end_of_a_run(there: Tenant, tmp_path: Path, options: list[str]) -> None:
    """The answer is the same whether the ledger stays, goes, or was only temporary."""
    output, page = tmp_path / "usages.ndjson", tmp_path / "page.html"
    arguments = ("run", "--list", "-o", output, "--quota", RATE, "--report", page)
    status, done = run(*arguments, *options, at=there)
    assert status == 0, done.err
    states = [orjson.loads(line)["state"] for line in there._lines("states.ndjson")]
    unused = sum(state in ("unused", "never") for state in states)
    judged = sum(state not in ("unknown", "excluded") for state in states)
    assert counted(page.read_text()) == [str(unused), str(judged)]
    assert len((tmp_path / "page.unused.csv").read_text().splitlines()) == unused + 1


def test_the_page_of_a_run_is_that_of_its_ledger(there: Tenant, tmp_path: Path) -> None:
    """`run --report` and `report` afterwards: the same bytes."""
    output = tmp_path / "usages.ndjson"
    run("run", "--list", "-o", output, "--quota", RATE, "--report", tmp_path / "page.html", at=there)
    status, done = run("report", output, "-o", tmp_path / "later" / "page.html")
    assert status == 2, done.err
    (tmp_path / "later").mkdir()
    status, done = run("report", output, "-o", tmp_path / "later" / "page.html")
    assert status == 0, done.err
    for name in ("page.html", "page.unused.csv"):
        assert (tmp_path / "later" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_page_that_cannot_be_written_keeps_nothing_else_back(there: Tenant, tmp_path: Path) -> None:
    """Status 5; output, summary and ledger are published all the same, and the page can be made later."""
    output = tmp_path / "usages.ndjson"
    status, done = run("run", "--list", "-o", output, "--quota", RATE, "--report", "/dev/full", at=there)
    assert status == 5
    assert "no space left for the report" in done.err
    assert "make the page with `harvester report`" in done.err
    assert sorted(content_of(output).splitlines()) == sorted(truth_of(there).splitlines())
    summary = orjson.loads(Path(f"{output}.summary.json").read_bytes())
    assert summary["status"] == 5
    assert summary["ledger"] == f"{output}.ledger"
    assert run("unused", output, "--format", "ids")[0] == 0
    assert_nothing_left_over(output)


def test_a_page_is_tried_before_the_first_request(there: Tenant, tmp_path: Path) -> None:
    """Wherever the page or the list next to it cannot go, the run does not begin."""
    before = there.tally["requests"]
    (tmp_path / "page.unused.csv").mkdir()
    for page in (tmp_path / "gone" / "page.html", tmp_path / "page.html"):
        status, done = run("run", "--list", "-o", tmp_path / "out.ndjson", "--report", page, at=there)
        assert status == 2, done.err
        assert "cannot be written" in done.err
    assert there.tally["requests"] == before
    assert not (tmp_path / "out.ndjson").exists()


def test_the_demo_answers(tmp_path: Path) -> None:
    """Nothing to configure: rows, the list of unused accounts, the table and the command that made it."""
    status, done = run(
        "demo", "-o", tmp_path / "demo", environment={"SAIL_CLIENT_ID": "", "SAIL_CLIENT_SECRET": ""}
    )
    assert status == 0, done.err
    assert done.out.splitlines()[0].split()[:2] == ["sourceName", "accounts"]
    assert len(done.out.splitlines()) == 9
    assert f"$ harvester unused {tmp_path}/demo/usages.ndjson --by sourceName" in done.err
    assert "nothing is missing, and there are no duplicates" in done.err
    assert len((tmp_path / "demo" / "usages.ndjson").read_bytes().splitlines()) >= 5000
    assert run("verify", tmp_path / "demo" / "usages.ndjson")[0] == 0
    assert (tmp_path / "demo" / "unused.csv").read_text().startswith("state,reason,accountId,")
