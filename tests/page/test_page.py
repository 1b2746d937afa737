"""What the page says, and how it says that it can't."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import InputError, OutputError, SettingError
from harvester.page import answer as texts
from harvester.page import page as page_module
from harvester.page import run
from harvester.page.page import RUN_ONLY, html_page, read_summary, tenant_name, write_report
from tests.page.samples import ANSWER, answer, summary, totals
from tests.report.samples import SECRET

TIMELINE: dict[str, Any] = {
    "secondsPerPoint": 1.0,
    "secondsOfLastPoint": 0.4,
    "granted": [30, 34, 20, 30, 6],
    "throttled": [0, 4, 0, 0, 0],
    "settled": [28, 28, 18, 25, 4],
    "failed": [0, 1, 1, 1, 0],
    "paused": [0.0, 0.5, 1.0, 0.0, 0.0],
}
NOTHING = {key: [0] if isinstance(value, list) else value for key, value in TIMELINE.items()}


def shown(page: str) -> str:
    """The words that a reader sees, drawings included."""
    body = page.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.fixture(scope="module")
def page() -> str:
    """The page with its answer, drawn once."""
    return html_page(summary(), ANSWER)


def test_the_page_opens_with_the_answer(page: str) -> None:
    """First which accounts nobody uses and of how many that can be said, then the charts, last the run."""
    text = shown(page)
    parts = [
        "Account usage of acme",
        "Nobody used 312 of 2,324 accounts that can be judged (13.4%) from Aug 2026 to Nov 2026.",
        "3 of 4 sources report usage; 60.9% of the accounts can be judged.",
        "310 used earlier, no active day in the window",
        "Accounts by the month in which they were last used",
        "Accounts not used, by source",
        "By source",
        "By manager",
        "The accounts that matter (the first 25 of 312; all of them are in report.unused.csv)",
        "unknown: source without usage",
        "The run",
        "Finished in 24 s: 2 of 5 accounts failed",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert '<details class="run">' in page
    assert "acme.api" not in page


def test_from_a_summary_alone_the_page_shows_the_run_and_says_why() -> None:
    """No word of unused accounts over what is only empty; the run is open."""
    page = html_page(summary())
    text = shown(page).replace(RUN_ONLY, "")
    assert RUN_ONLY in shown(page)
    assert not re.search("unused|nobody uses|never", text, flags=re.IGNORECASE)
    assert '<details class="run">' not in page
    assert "answered, without usage" in text


def test_a_page_says_why_else_there_is_no_answer() -> None:
    """The reason is the caller's, who knows it."""
    assert "The harvest is not finished." in shown(html_page(summary(), note="The harvest is not finished."))


def test_bars_carry_their_figures(page: str) -> None:
    """A bar a thousand times smaller than the largest is drawn, and its figure stands beside it."""
    (last, sources) = texts.charts(ANSWER)
    none, *months = last.bars
    assert (none.name, none.label) == ("none", "2 (0.1%)")
    assert "".join(bar.name[:3] for bar in months) == "FebMarAprMayJunJulAugSepOctNov"
    assert len({bar.color for bar in last.bars}) == 3
    assert [last.width(bar) for bar in (none, months[-1], months[1])] == [0.8, 100.0, 0.0]
    assert [bar.name for bar in sources.bars] == ["Salesforce", "Workday", "Workday"]
    text = shown(page)
    for label in ("1,999 (86.0%)", "310 (17.1%)", "1 (0.2%)"):
        assert label in text


def test_what_cannot_be_judged_accuses_nobody() -> None:
    """Without a source that reports usage there is no headline figure and no chart."""
    unknown = answer(
        totals=totals(unknown=9), sources=(), managers=(), accounts=(), last_active={}, selected=0
    )
    assert texts.charts(unknown) == []
    assert texts.headline(unknown) == "No account can be judged."
    assert texts.coverage(unknown) == "3 of 4 sources report usage; 0.0% of the accounts can be judged."
    assert "No account can be judged." in html_page(summary(), unknown)


def test_totals_that_are_too_many_are_added_up() -> None:
    """Twenty-five managers, the most unused first, and one line for the rest."""
    managers = [(f"m{n:02}", totals(unused=n, active=1)) for n in reversed(range(40))]
    (table,) = (t for t in texts.tables(answer(managers=managers)) if t.title == "By manager")
    assert [row[0] for row in table.rows][:2] == ["m39", "m38"]
    assert table.rows[-1][:2] == ("15 more", f"{sum(range(15)) + 15:,}")
    assert all(len(row) == len(table.heads) for row in table.rows)


EVIL = "<img src=x onerror=alert(1)>&\u202egnp\x1b[2J\n\x00\ufffe\ud800"


def test_all_that_is_told_is_escaped() -> None:
    """Names, IDs, reasons and details can't become markup, turn the text around, or break out of a chart."""
    failures = {EVIL: {"count": 3, "accountId": EVIL, "detail": EVIL}}
    told = summary(
        tenant=EVIL,
        failuresByReason=failures,
        unsuccessfulByReason={EVIL: 1},
        outputs=[{"name": EVIL, "rows": 1, "accounts": 1, "bytes": 1, "sha256": EVIL}],
        stop={"error": "StoppedEarly", "problem": EVIL, "hint": EVIL},
    )
    evil = (EVIL, totals(unused=5))
    accounts = (dict.fromkeys(ANSWER.accounts[0], EVIL),)
    page = html_page(told, answer(sources=(evil,), managers=(evil,), accounts=accounts, accounts_file=EVIL))
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;&amp;") > 12
    assert "\u202e" not in page
    assert not re.search("[\x00\x1b\ufffe]", page)


def test_the_page_names_nothing_that_could_be_fetched(page: str) -> None:
    """No address of another place is in it, except the names of the SVG standard."""
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in page
    assert not re.search(r"\sstyle=|@import|url\((?!#)", page)


def test_no_two_parts_of_the_page_share_an_id(page: str) -> None:
    """Drawings clip themselves by IDs, and must not take another drawing's."""
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_each_chart_has_its_figures_as_a_table() -> None:
    """Whoever can't see a chart reads it."""
    for chart in [*run.charts(summary()), *texts.charts(ANSWER)]:
        assert chart.bars or (chart.table and chart.table.rows)


@pytest.mark.parametrize(("last", "begins"), [(0.4, [0, 1, 2, 3, 4]), (0.1, [0, 1, 2, 3])])
def test_a_last_point_that_is_too_short_for_a_rate_is_left_out(last: float, begins: list[int]) -> None:
    """A tenth of a second with one request is no ten a second."""
    points = run._points(TIMELINE | {"secondsOfLastPoint": last})
    assert [point.begin for point in points] == begins
    assert points[-1].granted / points[-1].seconds == pytest.approx(6 / 0.4 if last == 0.4 else 30)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"latencySeconds": None, "requests": 0, "unsuccessfulByReason": {}}, "No request was answered."),
        ({"quotaShare": None, "permittedPerSecond": None}, "7 requests in 24 s."),
        ({"outages": 2, "secondsOfOutage": 61.0}, "tenant not reachable for 1 min 01 s"),
        ({"shard": "1/2", "end": "2026-08-02T01:00:00.000Z"}, "2 August 2026, 01:00 UTC, API v2024, shard"),
        ({"secondsPaused": 7.0, "throttled": 1}, "1 request answered with 429. Lanes were paused for 7.0 s."),
        ({"seconds": 0.0, "timeline": NOTHING}, "No account was requested."),
    ],
)  # fmt: skip  # one case a line
def test_every_kind_of_run_has_a_page(changed: dict[str, Any], says: str) -> None:
    """What did not happen is not shown, and what did is told."""
    assert says in shown(html_page(summary(**changed)))


def test_a_run_that_stopped_says_why_and_what_next() -> None:
    """With the mood that fits."""
    stop = {"error": "StoppedEarly", "problem": "the deadline has passed", "hint": "run it again"}
    counts = summary()["counts"] | {"notAttempted": 1, "distinct": 6}
    stopped = html_page(summary(stop=stop, status=5, counts=counts))
    assert "Stopped after 24 s: the deadline has passed Run it again" in shown(stopped)
    assert 'class="verdict bad"' in stopped
    good = html_page(summary(status=0, counts=counts | {"failed": 0, "notAttempted": 0, "distinct": 1}))
    assert "Harvested 1 account in 24 s" in shown(good)
    assert 'class="verdict good"' in good


def test_the_tenant_is_called_by_its_name() -> None:
    """Not by its address; a sandbox has none."""
    hosts = ("acme.api.identitynow.com", "127.0.0.1", "localhost", "[::1]", "")
    assert [tenant_name(host) for host in hosts] == ["acme", *["a local tenant"] * 4]


def test_a_page_is_written_privately_and_in_one_step(tmp_path: Path) -> None:
    """Readable by its owner only; what is no summary, or no place for a page, is one sentence."""
    write_report(tmp_path / "report.html", summary(), None)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600
    assert SECRET in (tmp_path / "report.html").read_text()  # the caller masks; see `summary_json`
    with pytest.raises(OutputError, match="the report cannot be written"):
        write_report(tmp_path / "missing" / "report.html", summary(), None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", r"s\.json:1: is not valid JSON"),
        ("[1]", "is not a summary of a harvest"),
        ('{"counts": {}, "schemaVersion": 1}', r"is a summary of another version of harvester \(1\)"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_summary_is_refused(tmp_path: Path, content: str | None, problem: str) -> None:
    """With the file, what is wrong, and what to give instead."""
    path = tmp_path / "s.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=problem) as refused:
        read_summary(path)
    assert "ledger" in refused.value.hint


def test_a_damaged_summary_is_refused() -> None:
    """Something missing in the middle is one sentence, too."""
    damaged = summary()
    del damaged["timeline"]["granted"]
    with pytest.raises(InputError, match="is damaged: something that a summary has is missing"):
        html_page(json.loads(json.dumps(damaged)))


def test_what_draws_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it says what to install."""
    monkeypatch.setattr(page_module, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match=r"--report: an HTML report needs jinja2.*pip install"):
        page_module.require_drawing("--report")
