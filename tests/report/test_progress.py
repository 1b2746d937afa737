"""What a person sees of a running harvest: the snapshot, the live lines, the log lines between."""

from __future__ import annotations

import asyncio
import io
import json
import os
from dataclasses import replace
from typing import Any, TextIO

import pytest
from rich.console import Console

from harvester.events import (
    ClientDropped,
    LanePaused,
    OutageBegan,
    OutageProbed,
    RateChanged,
    Stopping,
    TokenFailed,
)
from harvester.model import Quota
from harvester.report.log import logging_to, say
from harvester.report.progress import Block, LiveBlock, mode_of, progress_shown
from harvester.report.snapshot import Monitor, Snapshot
from tests.report.samples import HUNDRED, Run
from tests.report.screen import Terminal, terminal

TYPICAL = Snapshot(
    done=12_404,
    total=20_000,
    rows=148_211,
    requests_per_second=9.94,
    permitted_per_second=10.0,
    in_flight=12,
    retries=31,
    failed=2,
    seconds_left=764.0,
    state="",
)


def monitor(run: Run, **quotas: Quota | None) -> Monitor:
    """Watches `run`; one lane under 100/10s unless said otherwise."""
    return Monitor(run.tally, quotas or {"a": HUNDRED}, lambda: 3, wall=run.clock.wall)


def drawn(snapshot: Snapshot, width: int, encoding: str = "utf-8") -> list[str]:
    """The live lines as text."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, record=True, force_terminal=True)
    console.print(Block(snapshot))
    return console.export_text().splitlines()


def test_a_snapshot_has_rate_share_and_time_left() -> None:
    """Ten a second for twenty seconds: two hundred of a thousand done, the rest takes eighty more."""
    run = Run()
    watched = monitor(run)
    run.listed(1000)
    for _ in range(20):
        run.clock.now += 1
        for _ in range(10):
            run.request()
            run.account()
        snapshot = watched.snapshot()
    assert snapshot.requests_per_second == pytest.approx(10)
    assert snapshot.seconds_left == pytest.approx(80)
    assert (
        snapshot.sentence()
        == "200 of 1,000 accounts (20.0%), 10.0/s of 10.0/s, 2,400 rows, 3 in flight, 1 min 20 s left"
    )


def test_without_a_list_there_is_no_share() -> None:
    """While the list is read, there is no total and no time left."""
    snapshot = monitor(Run()).snapshot()
    assert (snapshot.accounts, snapshot.share, snapshot.seconds_left) == ("reading the list", None, None)


def test_a_list_that_is_done_needs_no_time() -> None:
    """The last account, or none at all, is the whole; what earlier runs settled counts as done."""
    run = Run()
    run.listed(0)
    assert (monitor(run).snapshot().share, monitor(run).snapshot().seconds_left) == (1.0, 0.0)
    run.listed(10, earlier=4)
    assert monitor(run).snapshot().accounts == "4 of 10 accounts"


def test_rates_follow_the_last_moments() -> None:
    """An hour of work does not hide that nothing comes any more, and memory stays bounded."""
    run = Run()
    watched = monitor(run)
    for _ in range(3600):
        run.clock.now += 1
        run.request()
        watched.snapshot()
    run.clock.now += 60
    assert watched.snapshot().requests_per_second == 0
    assert len(watched._moments) < 130


def test_a_snapshot_says_what_holds_the_run_up() -> None:
    """Pauses with the moment they end, missing tokens, outages with the next probe, and the stop."""
    run = Run()
    run.tally.observe(LanePaused("a", 429, 65.0, asked=True))
    local = run.clock.wall().astimezone().replace(minute=1, second=5)
    assert monitor(run).snapshot().state == f"paused until {local:%H:%M:%S}"
    assert monitor(run, a=HUNDRED, b=HUNDRED).snapshot().state == "1 of 2 lanes paused"
    run.tally.observe(TokenFailed("a", "503", 2.0))
    assert monitor(run).snapshot().state == "client a has no token"
    run.tally.observe(OutageBegan("refused"))
    run.clock.now += 32
    assert monitor(run).snapshot().state == "tenant not reachable for 32 s"
    run.tally.observe(OutageProbed("refused", 5.0))
    assert monitor(run).snapshot().state == "tenant not reachable for 32 s, next probe in 5 s"
    run.tally.observe(Stopping("deadline", 5.0))
    assert monitor(run).snapshot().state == "stopping"


def test_the_permitted_rate_is_that_of_the_lanes_at_work() -> None:
    """Adapted rates count as they are, dropped lanes no more, and one without a quota has no limit."""
    run = Run()
    run.tally.observe(RateChanged("a", 4.0))
    run.tally.observe(ClientDropped("c", "401"))
    assert monitor(run, a=HUNDRED, b=HUNDRED, c=HUNDRED).permitted_per_second() == 14
    assert monitor(run, a=HUNDRED, b=None).permitted_per_second() is None


def test_the_live_lines_on_a_wide_terminal() -> None:
    """Everything is there, in two lines."""
    first, second = drawn(TYPICAL, 100)
    assert first.startswith("12,404 of 20,000 accounts  62%  12 min 44 s left  ━")
    assert second == "9.9/s of 10.0/s · 2 failed · 148,211 rows · 31 retried · 12 in flight"


@pytest.mark.parametrize("width", [*range(1, 60), 79, 80, 120, 300])
def test_the_live_lines_fit_any_window(width: int) -> None:
    """Two lines, whatever the width: the least wanted is cut off."""
    lines = drawn(TYPICAL, width)
    assert len(lines) == 2
    assert max(map(len, lines)) < max(width, 2)
    if width > 26:
        assert lines[0].startswith("12,404 of 20,000 accounts")


def test_the_live_lines_in_a_locale_of_ascii() -> None:
    """In the C locale nothing is drawn that it does not have."""
    for width in (20, 40, 100):
        assert all(line.isascii() for line in drawn(replace(TYPICAL, state="stopping"), width, "ascii"))


async def test_live_lines_and_log_do_not_garble_each_other() -> None:
    """Log lines stay above in their order, the live ones are there once, and nothing is left in the end."""
    run = Run()
    run.listed(1000)
    with terminal(60) as screen, logging_to(screen.stream) as lines:
        ticks = asyncio.Semaphore(0)

        async def tick(_: float) -> None:
            await ticks.acquire()

        async with progress_shown("live", monitor(run), lines, sleep=tick):
            for number in range(5):
                await asyncio.sleep(0)
                say(30, "stopping", f"line {number} with an [id] :smile: and so long that it goes on below")
                run.account()
                ticks.release()
                await asyncio.sleep(0)
            shown = screen.shown()
            assert shown[-2].startswith("5 of 1,000 accounts  0%  ━")
            assert shown[-1] == "0.0/s of 10.0/s · 60 rows · 3 in flight"
            assert [line[9:25] for line in shown[:-2:2]] == [f"warning  line {n} " for n in range(5)]
            assert "[id] :smile:" in shown[0]
        assert screen.shown() == shown[:-2]
        say(30, "stopping", "afterwards")
        assert screen.shown()[-1].endswith("afterwards")


async def test_live_lines_follow_the_window() -> None:
    """A window made narrower or wider is met at the next refresh."""
    with terminal(100) as screen, LiveBlock(screen.stream) as block:
        block.show(TYPICAL)
        assert "12 min 44 s left  ━" in screen.shown()[0]
        screen.resize(30)
        block.show(TYPICAL)
        assert screen.shown()[-2:] == ["12,404 of 20,000 accounts  62", "9.9/s of 10.0/s · 2 failed ·"]
        screen.resize(120)
        block.show(TYPICAL)
        assert screen.shown()[-1].endswith("12 in flight")


def test_no_color_means_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR no color is sent; the lines are drawn all the same."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal(80) as screen, LiveBlock(screen.stream) as block:
        block.show(replace(TYPICAL, state="stopping"))
        assert len(screen.shown()) == 2
        colors = {screen.window.buffer[y][x].fg for y in range(3) for x in range(80)}
    assert colors == {"default"}


async def test_a_terminal_that_goes_away_ends_the_show_only() -> None:
    """The harvest goes on when the window it was watched in is closed, before or during the show."""
    with terminal(60) as screen:
        stream = os.fdopen(os.dup(screen.stream.fileno()), "w")
        for _ in range(2):
            with logging_to(stream) as lines:
                async with progress_shown("live", monitor(Run()), lines):
                    await asyncio.sleep(0)
                    stream.close()
                    await asyncio.sleep(0)
                    say(30, "stopping", "unheard")


async def test_elsewhere_a_line_is_logged_now_and_then() -> None:
    """The first line comes after 5 s, the next ones every 30 s, with fields for programs."""
    run, waits, stream, enough = Run(), list[float](), io.StringIO(), asyncio.Event()
    run.listed(10)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 3:
            enough.set()
            await asyncio.Event().wait()

    with logging_to(stream, log_format="json") as lines:
        async with progress_shown("log", monitor(run), lines, sleep=sleep):
            await enough.wait()
    assert waits == [5, 30, 30, 30]
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in said] == ["progress"] * 3
    assert said[0]["message"] == "0 of 10 accounts (0.0%), 0.0/s of 10.0/s, 0 rows, 3 in flight"
    assert (said[0]["total"], said[0]["permittedPerSecond"], said[0]["secondsLeft"]) == (10, 10.0, None)


async def test_progress_that_is_off_shows_nothing() -> None:
    """No line, no task."""
    stream = io.StringIO()
    with logging_to(stream) as lines:
        async with progress_shown("off", monitor(Run()), lines):
            assert [task.get_name() for task in asyncio.all_tasks()].count("progress") == 0
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("settings", "err", "out", "mode"),
    [
        ({}, Terminal, io.StringIO, "live"),
        ({}, Terminal, Terminal, "live"),
        ({}, io.StringIO, Terminal, "log"),
        ({"output": "-"}, Terminal, Terminal, "log"),
        ({"output": "-"}, Terminal, io.StringIO, "live"),
        ({"output": "-", "wanted": "on"}, Terminal, Terminal, "live"),
        ({"wanted": "on"}, io.StringIO, io.StringIO, "log"),
        ({"wanted": "off"}, Terminal, Terminal, "off"),
        ({"log_format": "json"}, Terminal, Terminal, "log"),
        ({"verbosity": -1}, Terminal, Terminal, "off"),
        ({"verbosity": -1, "wanted": "on"}, Terminal, Terminal, "live"),
    ],
)
def test_what_is_shown_where(
    settings: dict[str, Any], err: type[TextIO], out: type[TextIO], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live only where a person looks and nothing else scrolls; `on` and `off` are obeyed."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", err())
    monkeypatch.setattr("sys.stdout", out())
    assert mode_of(**{"wanted": "auto", "output": "usages.ndjson", **settings}) == mode


def test_a_terminal_without_a_cursor_gets_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb can't be drawn on."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stderr", Terminal())
    assert mode_of("auto", output="f") == "log"
