"""From a ledger to the page: the figures that it opens with, and the list next to it."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import OutputError, StoppedEarly
from harvester.page import page as page_module
from harvester.page.answer import Figures
from harvester.page.page import write_report
from harvester.review import Question, Review
from tests.page.samples import summary
from tests.review.ledgers import LATE, REPORTING, SILENT, Listed, reader_of

EVIL = "<script>alert(1)</script>\x1b[31m\u202e=1\nx"


def kept(source: str, manager: str | None = None, **more: Any) -> dict[str, Any]:
    return {"sourceId": source, **({"managerName": manager} if manager else {}), **more}


ACCOUNTS = [
    Listed("a1", {"2026-11": 3}, kept(REPORTING, "Ada")),
    Listed("a2", {"2026-05": 3}, kept(REPORTING, "Ada", name=EVIL)),
    Listed("a3", {"2026-06": 3}, kept(REPORTING, "Béla")),
    Listed("a4", {}, kept(REPORTING)),
    Listed("a5", {}, kept(SILENT, "Ada")),
    Listed("a6", {}, kept(LATE)),
    Listed("a7", None, kept(REPORTING)),
    Listed("a8", {}, kept(REPORTING, disabled=True)),
    Listed("a9", {}, kept(REPORTING, created="2026-11-01")),
]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Pages are not drawn; what would be on them is kept."""
    pages: list[dict[str, Any]] = []

    def keep(summary: Any, answer: Figures | None, **how: Any) -> str:
        pages.append({"answer": answer, **how})
        return ""

    monkeypatch.setattr(page_module, "html_page", keep)
    monkeypatch.setattr(page_module, "require_drawing", lambda _: None)
    return pages


def test_the_page_opens_with_the_answer(tmp_path: Path, undrawn: list[dict[str, Any]]) -> None:
    """Totals of sources and managers, coverage, reasons, months, and the accounts that matter."""
    with reader_of(tmp_path, ACCOUNTS) as reader:
        listed = write_report(tmp_path / "page.html", summary(), reader)
    (page,) = undrawn
    answer: Figures = page["answer"]
    assert (answer.since, answer.as_of) == ("2026-08", "2026-11")
    assert answer.totals.states == {
        "excluded": 1,
        "active": 1,
        "unused": 2,
        "new": 1,
        "never": 1,
        "unknown": 3,
    }
    assert answer.totals.unused_share == 0.6
    assert answer.totals.reasons == {
        "unknown: source_without_usage": 1, "unknown: coverage_too_short": 1,
        "unknown: harvest_failed": 1, "excluded: disabled": 1,
    }  # fmt: skip
    assert {(name, one.accounts, one.not_used) for name, one in answer.sources} == {
        ("Salesforce", 7, 3), ("Workday", 1, 0), ("Okta", 1, 0),
    }  # fmt: skip
    assert {(name, one.accounts, one.not_used) for name, one in answer.managers} == {
        ("Ada", 3, 1), ("Béla", 1, 1), ("", 5, 1),
    }  # fmt: skip
    assert answer.last_active == {"2026-11": 1, "2026-05": 1, "2026-06": 1}
    assert (answer.sources_reporting, answer.sources_known) == (2, 4)
    assert [one["accountId"] for one in answer.accounts] == ["a4", "a2", "a3"]
    assert answer.accounts[0]["lastActiveMonth"] == "none since 2025-12"
    assert (answer.selected, answer.accounts_file) == (3, "page.unused.csv")
    assert listed == tmp_path / "page.unused.csv"
    with listed.open(newline="") as file:
        assert [row["accountId"] for row in csv.DictReader(file)] == ["a2", "a3", "a4"]


def test_figures_are_those_of_the_command(tmp_path: Path, undrawn: list[dict[str, Any]]) -> None:
    """The page and `harvester unused` count the same accounts."""
    accounts = [
        Listed(f"a{n}", {"2026-05": 1} if n % 3 else {}, kept(REPORTING, f"M{n % 7}")) for n in range(5000)
    ]
    with reader_of(tmp_path, accounts) as reader:
        write_report(tmp_path / "page.html", summary(), reader)
        totals = Review(reader, Question()).totals()
    answer: Figures = undrawn[0]["answer"]
    assert answer.totals == totals
    assert len(answer.accounts) == 25
    assert answer.selected == 5000
    assert sum(one.accounts for _, one in answer.managers) == 5000


def test_a_list_without_managers_or_sources_has_no_such_tables(
    tmp_path: Path, undrawn: list[dict[str, Any]]
) -> None:
    """What is not known is not shown as nothing."""
    with reader_of(tmp_path, [Listed("a", {})], sources=[]) as reader:
        write_report(tmp_path / "page.html", summary(), reader)
    answer: Figures = undrawn[0]["answer"]
    assert answer.managers == ()
    assert answer.sources_known is None


def test_a_harvest_that_cannot_answer_shows_its_run(tmp_path: Path, undrawn: list[dict[str, Any]]) -> None:
    """And says why: it is unfinished, or it began too late."""
    with reader_of(tmp_path, ACCOUNTS, facts={"since": "2026-10"}) as reader:
        assert write_report(tmp_path / "page.html", summary(), reader) is None
    assert undrawn[0]["answer"] is None
    assert undrawn[0]["note"].startswith(
        "This page shows the run only: the harvest has rows since 2026-10 only"
    )
    assert not (tmp_path / "page.unused.csv").exists()


def test_a_stream_has_no_list_next_to_it(tmp_path: Path, undrawn: list[dict[str, Any]]) -> None:
    """The page alone."""
    with reader_of(tmp_path, ACCOUNTS) as reader:
        assert write_report(Path("/dev/null"), summary(), reader) is None
    assert undrawn[0]["answer"].accounts_file is None
    assert undrawn[0]["answer"].selected == 3


def test_names_are_harmless_on_the_page(tmp_path: Path) -> None:
    """Markup, escape sequences and marks of direction are text; the page is really drawn."""
    path = tmp_path / "page.html"
    with reader_of(tmp_path, ACCOUNTS) as reader:
        write_report(path, summary(), reader)
    page = path.read_text()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    assert "3 of 5 accounts that can be judged" in page
    assert "2 of 4 sources report usage; 55.6% of the accounts can be judged." in page
    assert re.search(r"all of them are in\s+page\.unused\.csv|The accounts that matter", page)


@pytest.mark.parametrize(("started", "kind"), [(False, OutputError), (True, StoppedEarly)])
def test_what_cannot_be_written(tmp_path: Path, started: bool, kind: type[Exception]) -> None:
    """Wrong usage before the harvest; once it has begun, something that can be repeated."""
    with reader_of(tmp_path, ACCOUNTS) as reader, pytest.raises(kind, match="the list of accounts cannot be"):
        write_report(tmp_path / "gone" / "page.html", summary(), reader, started=started)
