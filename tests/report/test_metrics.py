"""Metrics are what Prometheus reads, in a file that is complete at every moment; GitHub gets its page."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harvester.errors import OutputError, StoppedEarly
from harvester.events import Event, LanePaused, RateChanged, TokenRenewed, Warned
from harvester.report.closing import closing_of
from harvester.report.github import tell_closing, tell_error
from harvester.report.metrics import MetricsFile, last_success_in, metrics_kept
from harvester.report.redaction import Redactor
from harvester.report.summary import summary_document
from tests.report.samples import HUNDRED, SECRET, Run, a_report, a_troubled_report, counts_of

RETRY = "To retry the failed accounts, run the same command with --retry-failed"
ABOUT = {"tenant": "acme", "version": "2"}


def samples(text: str) -> dict[tuple[str, str], float]:
    """Each value by its name and its labels but `harvest`."""

    def found() -> Iterator[tuple[tuple[str, str], float]]:
        for family in text_string_to_metric_families(text):
            assert family.documentation
            for sample in family.samples:
                assert sample.labels.pop("harvest") == "night"
                yield (sample.name, ",".join(sample.labels.values())), sample.value

    return dict(found())


def names(folder: Path) -> list[str]:
    """What is in a directory."""
    return [path.name for path in folder.iterdir()]


def kept_in(path: Path, run: Run, now: float = 50.0, **more: Any) -> MetricsFile:
    """The metrics of `run`, at a moment that stays."""
    return MetricsFile(path, run.tally, {}, lambda: 0, now=lambda: now, **more)


async def forever(_seconds: float) -> None:
    await asyncio.Event().wait()


def a_run() -> Run:
    """A run of everything."""
    run = Run()
    run.listed(10, earlier=4)
    run.request(0.3, purpose="token")
    run.request()
    run.request(reason="throttled")
    run.retry()
    run.account(12)
    run.account(0)
    run.account(0, reason="not_found")
    for event in (
        LanePaused("a", 429, 5.0, asked=True),
        RateChanged("a", 4.0),
        TokenRenewed("a", 749.0),
        Warned("code", "x"),
    ):
        run.tally.observe(event)
    run.clock.now += 2
    return run


def test_all_figures_are_there_in_the_words_of_the_design() -> None:
    """Outcomes, requests by purpose, lanes, the tenant; the counts of the harvest once it has ended."""
    run = a_run()
    path, quotas = Path("night.prom"), {"a": HUNDRED, "b": None}
    metrics = MetricsFile(path, run.tally, quotas, lambda: 7, ABOUT, now=lambda: 200.0)
    before = samples(metrics.text().decode())
    assert before["harvester_info", "acme,2"] == 1
    assert before["harvester_running", ""] == 1
    assert before["harvester_requests_total", "usage"] == 2
    assert before["harvester_requests_total", "token"] == 1
    assert before["harvester_accounts_total", "harvested"] == 1
    assert before["harvester_failures_total", "not_found"] == 1
    assert before["harvester_paused_seconds_total", "a"] == 2
    assert before["harvester_lane_permitted_requests_per_second", "a"] == 4
    assert ("harvester_lane_permitted_requests_per_second", "b") not in before
    assert before["harvester_requests_in_flight", ""] == 7
    assert before["harvester_request_duration_seconds_bucket", "0.1"] == 1
    assert not {name for name, _ in before} & {"harvester_exit_status", "harvester_harvest_accounts"}
    metrics.run_ended(3, counts_of(10, 4, 2, 1, unreported=2))
    after = samples(metrics.text().decode())
    outcomes = {label: n for (name, label), n in after.items() if name == "harvester_harvest_accounts"}
    assert outcomes == {"harvested": 4, "empty": 2, "unreported": 2, "failed": 1, "not_attempted": 1}
    assert (after["harvester_running", ""], after["harvester_exit_status", ""]) == (0, 3)
    assert after["harvester_last_success_timestamp_seconds", ""] == 200
    assert after["harvester_requests_in_flight", ""] == 0


async def test_the_file_is_kept_while_the_run_goes_on(tmp_path: Path) -> None:
    """Written at the start, every 15 seconds, and at the end; never half, and with the mode asked for."""
    path = tmp_path / "night.prom"
    run, waits, ticks, written = a_run(), list[float](), asyncio.Semaphore(0), asyncio.Event()

    async def tick(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 1:
            written.set()
        await ticks.acquire()

    file = kept_in(path, run, about=ABOUT, mode=0o644)
    async with metrics_kept(file, tick):
        assert samples(path.read_text())["harvester_rows_total", ""] == 12
        run.account(30)
        ticks.release()
        await written.wait()
        assert samples(path.read_text())["harvester_rows_total", ""] == 42
        await file.end(0, counts_of(10, 10))
    assert set(waits) == {15}
    assert samples(path.read_text())["harvester_exit_status", ""] == 0
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["night.prom"]


async def test_the_last_success_survives_a_failed_run(tmp_path: Path) -> None:
    """An alert on its age sees the last good night, whatever came after; a `StopRun` leaves its status."""
    path = tmp_path / "night.prom"
    path.write_text("not ours")
    assert last_success_in(path) is None
    file = kept_in(path, a_run())
    async with metrics_kept(file, forever):
        await file.end(3)
    assert last_success_in(path) == 50
    with pytest.raises(StoppedEarly):
        async with metrics_kept(kept_in(path, a_run(), 90.0), forever):
            raise StoppedEarly("the deadline has passed")
    assert last_success_in(path) == 50
    assert samples(path.read_text())["harvester_exit_status", ""] == 5


async def test_a_file_that_cannot_be_written_is_an_error_at_the_start_and_a_warning_later(
    tmp_path: Path,
) -> None:
    """Status 2 before the first request; during the run one warning; at the end 5."""
    with pytest.raises(OutputError, match=r"a\.prom: the metrics file cannot be written"):
        async with metrics_kept(kept_in(tmp_path / "x" / "a.prom", Run()), forever):
            pass
    folder = tmp_path / "gone"
    folder.mkdir()
    told: list[Event] = []
    file = kept_in(folder / "a.prom", Run(), observe=told.append)
    async with metrics_kept(file, forever):
        (folder / "a.prom").unlink()
        folder.rmdir()
        await file.write_or_warn()
        await file.write_or_warn()
        with pytest.raises(StoppedEarly, match="the metrics file cannot be written"):
            await file.end(0)
    assert [event.code for event in told if isinstance(event, Warned)] == ["metrics"]


def test_github_gets_a_page_and_an_annotation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Markdown that the tenant's texts cannot break out of, and one line for the annotation."""
    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "page.md"), "GITHUB_ACTIONS": "true"}
    tell_closing(closing_of(summary_document(a_troubled_report()), Redactor([SECRET])), environ)
    tell_error("--quota: 100%\nis <b>bad</b>", 2, environ)
    page = (tmp_path / "page.md").read_text()
    assert "### ⚠️ harvester\n\nFinished in 24 s: 2 of 5 accounts failed (exit status 3).\n" in page
    assert r"| 1 | no such account (404) | id4 (no\\nsuch \\x1b\[31maccount) |" in page
    assert r"is \<b\>bad\</b\>" in page
    assert SECRET not in page
    assert capsys.readouterr().err.splitlines() == [
        f"::warning title=harvester::Finished in 24 s: 2 of 5 accounts failed. {RETRY}",
        r"::error title=harvester::--quota: 100%25\nis <b>bad</b>",
    ]


def test_elsewhere_github_gets_nothing_and_nothing_is_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its variables, with a good end, and where its page cannot be written."""
    good = closing_of(summary_document(a_report(Run(), counts_of(0))))
    tell_closing(good, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "x" / "y")})
    tell_error("x", 2, {})
    assert capsys.readouterr().err == ""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    tell_error("x", 2, {"GITHUB_ACTIONS": "true"})
