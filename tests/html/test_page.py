"""What the page says, and how it says that it can't."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import InputFault, OutputFault, SettingFault
from harvester.report.html import page as page_module
from harvester.report.html.data_charts import data_charts
from harvester.report.html.facts import page_of
from harvester.report.html.keeping import leave_report, report_possible
from harvester.report.html.over_time import points
from harvester.report.html.page import html_page, read_summary, write_page
from harvester.report.html.run_charts import run_charts
from harvester.report.months import back, labelled, last_months, unused_for
from tests.html.samples import activity, summary
from tests.report.samples import a_troubled_report


def test_all_that_is_told_is_escaped() -> None:
    """IDs, reasons and the tenant's own texts can't become markup, in the charts neither."""
    evil = "<img src=x onerror=alert(1)>&"
    failures = {evil: {"count": 3, "accountId": evil, "detail": evil}}
    outputs = [{"name": evil, "rows": 1, "accounts": 1, "bytes": 1, "sha256": evil}]
    told = summary(tenant=evil, failuresByReason=failures, outputs=outputs, unsuccessfulByReason={evil: 1})
    told["stop"] = {"error": "StoppedEarly", "problem": evil, "mend": evil}
    page = html_page(told)
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;&amp;") > 8


def test_the_page_names_nothing_that_could_be_fetched() -> None:
    """No address of another place stands in it, but for the names of the SVG standard."""
    page = html_page(summary())
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in page
    assert not re.search(r"\sstyle=|@import|url\((?!#)", page)


def test_no_two_parts_of_the_page_share_a_name() -> None:
    """Drawings clip themselves by names, and must not take another drawing's."""
    page = html_page(summary())
    names = re.findall(r'\sid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(names)


def test_each_chart_has_its_figures_as_a_table() -> None:
    """Whoever can't see a chart reads it."""
    for chart in [*run_charts(summary()), *data_charts(activity())]:
        assert chart.spec is not None
        assert chart.table is not None
        assert all(len(row) == len(chart.table.heads) for row in chart.table.rows)


def test_the_unused_are_counted_by_whole_months() -> None:
    """Unused for three months: no active day in the month that runs nor in the three before it."""
    told = activity()
    assert [unused_for(told, months).accounts for months in (3, 6, 12)] == [
        1 + 5 + 7 + 19,
        1 + 5 + 19,
        1 + 19,
    ]
    assert unused_for(told, 3).since == "2026-08"


def test_what_was_not_asked_for_is_not_called_unused() -> None:
    """With --since, a span that begins before it has no number."""
    told = activity(since="2026-06")
    assert [unused_for(told, months).accounts is None for months in (3, 5, 6, 12)] == [
        False,
        False,
        True,
        True,
    ]
    tiles = page_of(summary(activity=told)).data_tiles
    assert [tile.number for tile in tiles[:3]] == ["32", "–", "–"]


def test_months_are_counted_across_years() -> None:
    """Backwards over a January, and labelled with the year where it changes."""
    assert (back("2026-02", 3), back("2026-11", 0), back("2026-01", 13)) == ("2025-11", "2026-11", "2024-12")
    assert [label for _, label in labelled(last_months("2026-02", 4))] == [
        "Nov 25",
        "Dec",
        "Jan 26",
        "Feb 26",
    ]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
def test_no_request_is_lost_when_points_are_put_together(most: int) -> None:
    """The totals stay, however few points are shown."""
    timeline = summary()["timeline"]
    shown = points(timeline, most)
    assert len(shown) <= most
    assert sum(point.requests for point in shown) == sum(timeline["requests"])
    assert sum(point.seconds for point in shown) == pytest.approx(4.4)


def test_a_last_point_that_is_too_short_for_a_rate_is_left_out() -> None:
    """A tenth of a second with one request is no ten a second."""
    timeline = summary()["timeline"] | {"secondsOfLastPoint": 0.1}
    assert [point.begin for point in points(timeline, 100)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "changed",
    [
        {"activity": None},
        {"activity": activity(accounts=0, months={}, lastActive={}, inactive=0)},
        {"activity": activity(lastActive={}, months={}, inactive=100)},
        {
            "latencySeconds": None,
            "requests": 0,
            "clients": {},
            "unsuccessfulByReason": {},
            "quotaShare": None,
        },
        {
            "throttled": 0,
            "secondsPaused": 0,
            "failuresByReason": {},
            "quota": None,
            "permittedPerSecond": None,
        },
        {"status": 130, "stop": {"error": "Interrupted", "problem": "stopped by SIGINT", "mend": ""}},
        {"outputs": [], "shard": "2/4", "seconds": 0.0, "end": "2026-11-24T00:00:00.000Z"},
        {"clients": {n: summary()["clients"]["a"] | {"dropped": n == "b"} for n in "ab"}},
    ],
)
def test_any_run_can_be_drawn(changed: dict[str, Any]) -> None:
    """Nothing harvested, nothing failed, stopped early, no quota, no rows: there is always a page."""
    assert html_page(summary(**changed)).endswith("</html>")


def test_a_summary_of_before_the_data_figures_is_drawn_without_them() -> None:
    """An older summary lacks some keys."""
    older = summary()
    del older["activity"], older["permittedPerSecond"], older["timeline"]["secondsOfLastPoint"]
    page = html_page(older)
    assert "The run" in page
    assert "The accounts" not in page


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "s.json:1: is no JSON"),
        (b"[]", "s.json: is no summary of a harvest"),
        (b'{"schemaVersion": 2, "counts": {}}', "s.json: is no summary of a harvest"),
        (None, "s.json: can't be read (No such file or directory)"),
    ],
)
def test_what_is_no_summary_is_said_so(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, with the file."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("s.json").write_bytes(content)
    with pytest.raises(InputFault) as caught:
        read_summary(Path("s.json"))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("key", ["counts", "timeline", "start", "clients"])
def test_a_damaged_summary_is_said_so(key: str) -> None:
    """Whatever is missing or mistyped, no traceback."""
    with pytest.raises(InputFault, match=r"^s\.json: is damaged"):
        html_page(summary(**{key: 7}), "s.json")


def test_a_missing_extra_is_named_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has the command that mends it."""
    monkeypatch.setattr(page_module, "find_spec", lambda name: None if name == "vl_convert" else object())
    with pytest.raises(
        SettingFault, match=r"needs vl_convert.*pip install 'account-usage-harvester\[report\]'"
    ):
        report_possible(a_troubled_report(report=Path("r.html")).settings)


def test_a_place_that_is_none_is_said_before_the_run(tmp_path: Path) -> None:
    """A folder that is not there, or a folder where the file would be."""
    for path, said in ((tmp_path / "no" / "r.html", "is not there"), (tmp_path, "this is a folder")):
        with pytest.raises(OutputFault, match=said):
            report_possible(a_troubled_report(report=path).settings)


def test_a_page_that_cant_be_written_is_said_so(tmp_path: Path) -> None:
    """With the file and the reason."""
    with pytest.raises(OutputFault, match=r"no/r\.html: the report can't be written"):
        write_page(tmp_path / "no" / "r.html", summary(), 0o600)


def test_a_run_leaves_its_page_without_a_secret(tmp_path: Path) -> None:
    """From the report of a run that has just ended; only its owner reads it."""
    path = tmp_path / "r.html"
    leave_report(a_troubled_report(report=path, output=str(tmp_path / "u.ndjson")))
    page = path.read_text()
    assert "2 accounts of 5 failed" in page
    assert "a-secret-of-some-length" not in page
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_page_that_fails_at_the_end_leaves_the_run_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning, with the command that tries it again, and no page."""

    def broken(_spec: object) -> str:
        raise RuntimeError("the drawing library has a bad day")

    monkeypatch.setattr(page_module, "_vega", lambda: broken)
    leave_report(a_troubled_report(report=tmp_path / "r.html"))
    assert "bad day); `harvester report SUMMARY` tries it again" in caplog.text
    assert not (tmp_path / "r.html").exists()
