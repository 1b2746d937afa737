"""Metrics: the tally's figures as Prometheus and its tools accept them, in a file and behind a port."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import stat
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from harvester.errors import AccessDenied, OutputFault, SettingFault
from harvester.events import ClientDropped, ClientPaused, OutageBegan, RateChanged, TokenRenewed
from harvester.model import Quota
from harvester.report.metrics import metrics_kept
from harvester.report.metrics.exposition import last_success_in, text_of
from harvester.report.metrics.families import RunMetrics
from harvester.settings.model import Settings
from tests.ops.tenants import harvester, pat, sandbox_process
from tests.report.samples import SETTINGS, Run


def a_run() -> Run:
    """A run that had everything: rows, failures, retries, a pause, an outage, a dropped client."""
    run = Run()
    run.listed(7, earlier=2)
    for reason in (None, None, "server_error", "throttled", "not_found"):
        run.clock.now += 1.0
        run.request(0.3, reason=reason)
    run.retry()
    run.account(name="id1")
    run.account(0, name="id2")
    run.account(0, name="id3", reason="not_found", detail="gone")
    for event in (
        ClientPaused("a", 4.0, asked=True),
        RateChanged("a", 8.5),
        ClientDropped("b", "401"),
        TokenRenewed("a", 749.0),
        OutageBegan("refused"),
    ):
        run.tally.observe(event)
    run.clock.now += 3.0
    return run


def metrics_of(run: Run, **more: Any) -> RunMetrics:
    """The run's metrics, begun at the Unix time 1000."""
    return RunMetrics("nightly", run.tally, {"a": Quota(100, 10.0), "c": None}, lambda: 3, 1000.0, **more)


def samples(text: str) -> dict[tuple[str, str], float]:
    """Value by name and what labels say beside `harvest`, which all have."""
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = dict(one.labels)
            assert labels.pop("harvest")
            found[one.name, ",".join(labels.values())] = one.value
    return found


def test_every_figure_has_its_sample() -> None:
    """What the tally counted stands under its name, with the labels that tell clients and reasons apart."""
    found = samples(text_of(metrics_of(a_run()))[0].decode())
    expected = {
        ("harvester_running", ""): 1.0,
        ("harvester_list_accounts", ""): 7.0,
        ("harvester_list_finished_earlier_accounts", ""): 2.0,
        ("harvester_accounts_total", "harvested"): 1.0,
        ("harvester_accounts_total", "empty"): 1.0,
        ("harvester_accounts_total", "failed"): 1.0,
        ("harvester_failures_total", "not_found"): 1.0,
        ("harvester_rows_total", ""): 12.0,
        ("harvester_requests_total", "a"): 5.0,
        ("harvester_requests_unsuccessful_total", "throttled"): 1.0,
        ("harvester_retries_total", "server_error"): 1.0,
        ("harvester_requests_in_flight", ""): 3.0,
        ("harvester_request_duration_seconds_bucket", "0.25"): 0.0,
        ("harvester_request_duration_seconds_bucket", "0.5"): 4.0,
        ("harvester_request_duration_seconds_count", ""): 4.0,
        ("harvester_throttled_total", "a"): 1.0,
        ("harvester_paused_seconds_total", "a"): 3.0,
        ("harvester_client_dropped", "b"): 1.0,
        ("harvester_client_permitted_requests_per_second", "a"): 8.5,
        ("harvester_tokens_total", ""): 1.0,
        ("harvester_outage", ""): 1.0,
        ("harvester_outage_seconds_total", ""): 3.0,
    }
    assert {key: found[key] for key in expected} == expected
    assert found["harvester_request_duration_seconds_sum", ""] == pytest.approx(1.2)
    for absent in ("harvester_exit_status", "harvester_end_timestamp_seconds"):
        assert (absent, "") not in found


def test_the_names_follow_the_conventions() -> None:
    """Base units, `_total` on counters and on nothing else, help on everything, one prefix."""
    for family in metrics_of(a_run()).families():
        assert re.fullmatch(r"harvester_[a-z_]+", family.name)
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert family.help.endswith(".")
        assert not re.search(r"(?:milli|minutes|hours|kilo|percent)", family.name)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed"
)
def test_promtool_finds_no_fault() -> None:
    """Prometheus' own linter accepts the text."""
    run = metrics_of(a_run(), last_success=5.0)
    run.end(3, 2000.0)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text_of(run)[0], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_openmetrics_is_given_to_whoever_asks() -> None:
    """The newer format is negotiated, and is valid by its own strict parser."""
    text, content_type = text_of(metrics_of(a_run()), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    families = openmetrics(text.decode())  # type: ignore[no-untyped-call]  # the library's
    assert any(family.name == "harvester_requests" for family in families)


@pytest.mark.parametrize(("status", "whole"), [(0, True), (3, True), (4, False), (5, False), (143, False)])
def test_only_a_whole_output_moves_the_last_success(status: int, whole: bool) -> None:
    """Status 0 and 3 leave the output whole; any other keeps the time of a run before."""
    run = metrics_of(a_run(), last_success=500.0)
    run.end(status, 2000.0)
    found = samples(text_of(run)[0].decode())
    assert found["harvester_last_success_timestamp_seconds", ""] == (2000.0 if whole else 500.0)
    assert (found["harvester_exit_status", ""], found["harvester_running", ""]) == (status, 0.0)
    assert found["harvester_outage", ""] == 0.0


def test_the_last_success_is_found_in_the_file_of_the_run_before(tmp_path: Path) -> None:
    """What is no such file, or none at all, tells nothing and does no harm."""
    path = tmp_path / "nightly.prom"
    assert last_success_in(path) is None
    path.write_bytes(text_of(metrics_of(a_run(), last_success=1234567890.5))[0])
    assert last_success_in(path) == 1234567890.5
    for rubbish in (b"{{{", b"\xff\xfe", b"harvester_last_success_timestamp_seconds soon\n"):
        path.write_bytes(rubbish)
        assert last_success_in(path) is None


def settings(**values: Any) -> Settings:
    """Settings with metrics wanted."""
    return Settings(**{**SETTINGS, **values})


async def test_the_file_is_kept_up_to_date(tmp_path: Path) -> None:
    """Written at once, now and then, and at the end; readable by all, with nothing left beside it."""
    path, run = tmp_path / "h.prom", Run()
    begun: asyncio.Queue[float] = asyncio.Queue()
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        begun.put_nowait(seconds)
        await ended.get()

    kept = metrics_kept(settings(metrics=path), run.tally, {}, lambda: 0, now=lambda: 50.0, sleep=sleep)
    async with kept as tell:
        assert samples(path.read_text())["harvester_rows_total", ""] == 0.0
        run.account()
        assert await begun.get() == 15.0
        ended.put_nowait(None)
        await begun.get()
        assert samples(path.read_text())["harvester_rows_total", ""] == 12.0
        tell(0)
    assert samples(path.read_text())["harvester_end_timestamp_seconds", ""] == 50.0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["h.prom"]  # noqa: PTH208  # ruff would have it awaited
    assert 'harvest="h"' in path.read_text()


async def test_a_run_that_came_to_nothing_tells_its_status(tmp_path: Path) -> None:
    """An error that ends the run is in the metrics, and goes on its way."""
    path = tmp_path / "h.prom"
    with pytest.raises(AccessDenied):
        async with metrics_kept(settings(metrics=path), Run().tally, {}, lambda: 0):
            raise AccessDenied("no")
    assert samples(path.read_text())["harvester_exit_status", ""] == 4.0


async def test_a_place_that_will_not_do_is_told_before_the_first_request(tmp_path: Path) -> None:
    """No such folder: the run does not begin."""
    with pytest.raises(OutputFault, match="metrics can't be written"):
        async with metrics_kept(settings(metrics=tmp_path / "no" / "h.prom"), Run().tally, {}, lambda: 0):
            pytest.fail("the body must not run")


async def test_a_disk_that_fills_later_ends_no_harvest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a warning, and the harvest goes on to its end."""
    folder = tmp_path / "there"
    folder.mkdir()
    with caplog.at_level(logging.WARNING, "harvester"):
        async with metrics_kept(settings(metrics=folder / "h.prom"), Run().tally, {}, lambda: 0) as tell:
            shutil.rmtree(folder)
            tell(0)
    assert "the metrics can't be written" in caplog.text


async def test_the_port_serves_while_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """/metrics has the figures of the moment, anything else is 404, and afterwards nobody listens."""
    run = Run()
    with caplog.at_level(logging.INFO, "harvester"):
        async with metrics_kept(settings(metrics_port=0), run.tally, {}, lambda: 0):
            found = re.search(r"http://127\.0\.0\.1:\d+/metrics", caplog.text)
            assert found
            run.account()
            async with aiohttp.ClientSession() as session:
                async with session.get(found[0]) as response:
                    assert samples(await response.text())["harvester_rows_total", ""] == 12.0
                    assert response.headers["Content-Type"].startswith("text/plain; version=")
                async with session.get(found[0].replace("metrics", "")) as response:
                    assert response.status == 404
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(found[0])


async def test_a_port_that_is_taken_is_told(unused_tcp_port: int) -> None:
    """One sentence that names address, port and option."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", unused_tcp_port)
    try:
        with pytest.raises(SettingFault, match=f"--metrics-port: 127.0.0.1:{unused_tcp_port}.*in use"):
            async with metrics_kept(settings(metrics_port=unused_tcp_port), Run().tally, {}, lambda: 0):
                pytest.fail("the body must not run")
    finally:
        server.close()
        await server.wait_closed()


def test_a_harvest_leaves_the_figures_of_its_summary(tmp_path: Path) -> None:
    """The figures are those of the summary; a run that is refused keeps the last success."""
    with sandbox_process("--accounts", "40", "--quota", "none", "--hopeless", "2") as url:
        (tmp_path / "ids.txt").write_text(fetch(f"{url}/_sandbox/ids.txt"))
        arguments = (
            "run",
            "ids.txt",
            "-o",
            "u.ndjson",
            "--quota",
            "none",
            "--metrics",
            "u.prom",
            "--attempts",
            "1",
        )
        assert harvester(*arguments, folder=tmp_path, **pat(url)).returncode == 3
        summary = json.loads((tmp_path / "u.ndjson.summary.json").read_text())
        found = samples((tmp_path / "u.prom").read_text())
        counts = summary["counts"]
        for outcome in ("harvested", "empty", "failed"):
            assert found["harvester_accounts_total", outcome] == counts[outcome]
        assert found["harvester_rows_total", ""] == summary["rows"]
        assert found["harvester_requests_total", "any"] == summary["requests"]
        assert found["harvester_exit_status", ""] == summary["status"] == 3
        refused = harvester(*arguments, folder=tmp_path, **pat(url, secret="wrong"))
        assert refused.returncode == 4, refused.stderr
    later = samples((tmp_path / "u.prom").read_text())
    name = ("harvester_last_success_timestamp_seconds", "")
    assert (later["harvester_exit_status", ""], later[name]) == (4.0, found[name])


def fetch(url: str) -> str:
    """The text at a URL."""
    with urllib.request.urlopen(url) as response:
        text: bytes = response.read()
    return text.decode()
