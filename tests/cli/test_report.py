"""`harvester report`: what it finds, and where the page goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harvester.ledger import ledger_paths
from harvester.page.page import RUN_ONLY
from tests.cli.program import harvester
from tests.page.samples import summary
from tests.review.ledgers import REPORTING, Listed, make_ledger

ACCOUNTS = [Listed("a1", {"2026-11": 3}, {"sourceId": REPORTING}), Listed("a2", {}, {"sourceId": REPORTING})]
ANSWERED = "Nobody used 1 of 2 accounts that can be judged"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a finished harvest whose summary is in its ledger and next to it."""
    figures = summary(ledger=str(tmp_path / "usages.ndjson.ledger"))
    make_ledger(tmp_path / "usages.ndjson.ledger", ACCOUNTS, summary=figures)
    write(tmp_path / "usages.ndjson.summary.json", figures)
    (tmp_path / "usages.ndjson").write_text("")
    return tmp_path


def write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def report(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = harvester("report", *arguments, folder=folder)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("named", ["usages.ndjson", "usages.ndjson.ledger"])
def test_a_page_from_a_ledger(folder: Path, named: str) -> None:
    """Named by its output or itself; the summary next to it is not needed. A list is next to the page."""
    (folder / "usages.ndjson.summary.json").unlink()
    assert report(folder, named) == (0, "", "Wrote usages.ndjson.html and usages.ndjson.unused.csv\n")
    page = (folder / "usages.ndjson.html").read_text()
    assert ANSWERED in page
    assert '<details class="run">' in page
    assert (folder / "usages.ndjson.unused.csv").read_text().splitlines()[1].startswith("never,,a2,")


def test_a_page_from_a_summary_alone(folder: Path) -> None:
    """It shows the run only, and says why; it accuses nobody."""
    (folder / "usages.ndjson.ledger").unlink()
    for named in ("usages.ndjson.summary.json", "usages.ndjson"):
        assert report(folder, named, "-o", "page.html") == (0, "", "Wrote page.html\n")
        page = (folder / "page.html").read_text()
        assert RUN_ONLY in page
        assert "Nobody used" not in page
    assert not (folder / "page.unused.csv").exists()


def test_a_summary_whose_ledger_is_of_another_harvest(folder: Path) -> None:
    """Figures of one harvest do not go with the answer of the next."""
    write(folder / "old.summary.json", summary(ledger=str(folder / "usages.ndjson.ledger"), runId="another"))
    assert report(folder, "old.summary.json")[0] == 0
    page = (folder / "old.html").read_text()
    assert "The ledger now in its place is of another harvest" in page
    assert "Nobody used" not in page


def test_a_page_of_a_store(folder: Path) -> None:
    """Its ledger is in the state directory; the page goes into this one."""
    url, base_url = "s3://bucket/nightly/usages/", "https://acme.api.identitynow.com"
    variables = {"XDG_STATE_HOME": str(folder / "state"), "SAIL_BASE_URL": base_url}
    paths = ledger_paths(url, ledger=None, base_url=base_url, environ=variables, remote=True)
    assert paths is not None
    paths.prepare()
    make_ledger(paths.finished, ACCOUNTS, summary=summary())
    done = harvester("report", url, folder=folder, env=variables)
    assert done.stderr == b"Wrote usages.html and usages.unused.csv\n"
    assert ANSWERED in (folder / "usages.html").read_text()


def test_a_page_on_stdout(folder: Path) -> None:
    """Nothing else is written."""
    before = sorted(folder.iterdir())
    status, out, err = report(folder, "usages.ndjson", "-o", "-")
    assert (status, err) == (0, "")
    assert out.startswith("<!DOCTYPE html>")
    assert ANSWERED in out
    assert sorted(folder.iterdir()) == before


def test_an_unfinished_harvest_shows_its_run(folder: Path) -> None:
    """And says what is missing."""
    (folder / "usages.ndjson.ledger").unlink()
    path = folder / "usages.ndjson.ledger.partial"
    make_ledger(path, ACCOUNTS, summary=summary(), finished=False)
    assert report(folder, "usages.ndjson")[0] == 0
    page = (folder / "usages.ndjson.html").read_text()
    assert "This page shows the run only" in page
    assert "the harvest is unfinished" in page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.ndjson"], "there is no such ledger or output"),
        (["rows.ndjson"], "its ledger is not next to it"),
        (["nowhere.json"], "cannot be read"),
        (["usages.ndjson", "-o", "usages.ndjson.ledger"], "is the same file as the input"),
        (["usages.ndjson", "-o", "missing/page.html"], "cannot be written"),
    ],
)
def test_wrong_usage_is_one_sentence(folder: Path, arguments: list[str], says: str) -> None:
    """Status 2, and nothing is written."""
    (folder / "rows.ndjson").write_text("{}")
    before = sorted(folder.iterdir())
    status, out, err = report(folder, *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_a_directory_has_its_summary_inside(folder: Path) -> None:
    """`usages/` has `_summary.json`; the page goes next to the directory."""
    (folder / "parts").mkdir()
    shutil.copy(folder / "usages.ndjson.summary.json", folder / "parts" / "_summary.json")
    (folder / "usages.ndjson.ledger").rename(folder / "moved.ledger")
    assert report(folder, "parts/")[0] == 0
    assert RUN_ONLY in (folder / "parts.html").read_text()
