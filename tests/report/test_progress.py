"""What a person sees of a running harvest: the view, the live block, the lines between."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import pytest
from rich.console import Console

from harvester.events import ClientDropped, ClientPaused, OutageBegan, OutageProbed, RateChanged, Stopping
from harvester.model import Quota
from harvester.report.live import Block, LiveBlock
from harvester.report.log import logging_to, say
from harvester.report.progress import mode_of, progress_shown
from harvester.report.watch import View, Watch
from harvester.settings.model import Settings
from tests.report.samples import SETTINGS, Run

pyte: Any = pytest.importorskip("pyte", reason="the terminal that tests look at")

HUNDRED = Quota(100, 10.0)
TYPICAL = View(
    done=12_404,
    known=20_000,
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


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@dataclass
class Screen:
    """A real pseudo-terminal, and what its window shows."""

    stream: TextIO
    master: int
    window: Any
    feed: Any

    def shown(self) -> list[str]:
        """The lines that a person sees now."""
        os.set_blocking(self.master, False)
        try:
            while chunk := os.read(self.master, 65536):
                self.feed.feed(chunk)
        except BlockingIOError:
            pass
        return [line.rstrip() for line in self.window.display if line.strip()]

    def resize(self, columns: int) -> None:
        """Make the window narrower or wider."""
        size = struct.pack("HHHH", self.window.lines, columns, 0, 0)
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, size)
        self.window.resize(columns=columns)


@contextmanager
def terminal(columns: int) -> Iterator[Screen]:
    """A terminal of so many columns, and 20 lines."""
    master, slave = pty.openpty()
    window = pyte.Screen(columns, 20)
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        screen = Screen(stream, master, window, pyte.ByteStream(window))
        screen.resize(columns)
        yield screen
    os.close(master)


def watch(run: Run, **quotas: Quota | None) -> Watch:
    """Looks at `run`; one client under 100/10s unless said otherwise."""
    return Watch(run.tally, quotas or {"a": HUNDRED}, now=run.clock.wall)


def drawn(view: View, width: int) -> list[str]:
    """The live block as text."""
    console = Console(file=io.StringIO(), width=width, record=True, force_terminal=True)
    console.print(Block(view))
    return console.export_text().splitlines()


def test_a_view_has_rate_share_and_time_left() -> None:
    """Ten a second for twenty seconds: two hundred of a thousand done, the rest takes eighty more."""
    run = Run()
    looking = watch(run)
    run.listed(1000)
    for _ in range(20):
        run.clock.now += 1
        for _ in range(10):
            run.request()
            run.account()
        view = looking.look()
    assert view.requests_per_second == pytest.approx(10)
    assert view.seconds_left == pytest.approx(80)
    assert view.sentence() == "200 of 1,000 accounts (20.0 %), 10.0/s of 10.0/s, 2,400 rows, 1 min 20 s left"


def test_a_view_does_not_know_the_end_of_a_list_still_read() -> None:
    """While the list comes in, there is no total, no share and no time left."""
    run = Run()
    assert watch(run).look().accounts == "reading the list"
    run.listed(300, earlier=100, whole=False)
    run.account()
    view = watch(run).look()
    assert (view.total, view.share, view.seconds_left) == (None, None, None)
    assert view.accounts == "101 of 300 accounts read so far"


def test_a_list_that_is_done_needs_no_time() -> None:
    """The last account, or none at all, is the whole."""
    run = Run()
    run.listed(0)
    view = watch(run).look()
    assert (view.share, view.seconds_left) == (1.0, 0.0)


def test_rates_follow_the_last_moments() -> None:
    """An hour of work does not hide that nothing comes any more, and memory stays bounded."""
    run = Run()
    looking = watch(run)
    for _ in range(3600):
        run.clock.now += 1
        run.request()
        looking.look()
    run.clock.now += 60
    assert looking.look().requests_per_second == 0
    assert len(looking._moments) < 130


def test_a_view_says_what_holds_the_run_up() -> None:
    """Pauses with the moment they end, outages with the next probe, and the stop."""
    run = Run()
    run.tally.observe(ClientPaused("a", 65.0, asked=True))
    local = run.clock.wall().astimezone().replace(minute=1, second=5)
    assert watch(run).look().state == f"paused until {local:%H:%M:%S}"
    assert watch(run, a=HUNDRED, b=HUNDRED).look().state == "1 of 2 clients paused"
    run.tally.observe(Stopping("deadline"))
    assert watch(run).look().state == "stopping"
    run.tally.observe(OutageBegan("refused"))
    run.clock.now += 32
    assert watch(run).look().state == "tenant away for 32 s"
    run.tally.observe(OutageProbed("refused", 5.0))
    assert watch(run).look().state == "tenant away for 32 s, next probe in 5 s"


def test_the_permitted_rate_is_that_of_the_clients_at_work() -> None:
    """Adapted paces count as they are, dropped clients no more, and one without a brake has no limit."""
    run = Run()
    run.tally.observe(RateChanged("a", 4.0))
    run.tally.observe(ClientDropped("c", "401"))
    assert watch(run, a=HUNDRED, b=HUNDRED, c=HUNDRED).look().permitted_per_second == 14
    assert watch(run, a=HUNDRED, b=None).look().permitted_per_second is None


def test_the_block_on_a_wide_terminal() -> None:
    """Everything is there, in two lines."""
    first, second = drawn(TYPICAL, 100)
    assert first.startswith("12,404 of 20,000 accounts  ━")
    assert first.endswith("62 %  12 min 44 s left")
    assert second == "9.9/s of 10.0/s · 2 failed · 148,211 rows · 31 retried · 12 in flight"


@pytest.mark.parametrize("width", [*range(5, 60), 79, 80, 120, 300])
def test_the_block_fits_any_window(width: int) -> None:
    """Two lines, whatever the width: the least wanted goes first."""
    lines = drawn(TYPICAL, width)
    assert len(lines) == 2
    assert max(map(len, lines)) < width
    if width > 26:
        assert lines[0].startswith("12,404 of 20,000 accounts")


async def test_the_live_block_and_the_log_do_not_garble_each_other() -> None:
    """Lines stay above in their order, the block is there once, and nothing is left of it in the end."""
    run = Run()
    run.listed(1000)
    with terminal(60) as screen, logging_to(screen.stream) as lines:
        ticks = asyncio.Semaphore(0)

        async def tick(_: float) -> None:
            await ticks.acquire()

        async with progress_shown("live", watch(run), lines, stderr=screen.stream, sleep=tick):
            for number in range(5):
                await asyncio.sleep(0)
                say(30, "stopping", f"line {number} with an [id] :smile: and so long that it goes on below")
                run.account()
                ticks.release()
                await asyncio.sleep(0)
            shown = screen.shown()
            assert shown[-2:] == ["5 of 1,000 accounts  " + shown[-2][21:], "0.0/s of 10.0/s · 60 rows"]
            assert [line[9:25] for line in shown[:-2:2]] == [f"warning  line {n} " for n in range(5)]
            assert "[id] :smile:" in shown[0]
        assert screen.shown() == shown[:-2]
        say(30, "stopping", "afterwards")
        assert screen.shown()[-1].endswith("afterwards")


async def test_the_live_block_follows_the_window() -> None:
    """A window made narrower or wider is met at the next look."""
    with terminal(100) as screen, LiveBlock(screen.stream) as block:
        block.show(TYPICAL)
        assert screen.shown()[0].endswith("left")
        screen.resize(30)
        block.show(TYPICAL)
        assert screen.shown()[-2:] == ["12,404 of 20,000 accounts", "9.9/s of 10.0/s · 2 failed"]
        screen.resize(120)
        block.show(TYPICAL)
        assert screen.shown()[-1].endswith("12 in flight")


def test_no_color_means_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR no colour is sent; the block is drawn all the same."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal(80) as screen, LiveBlock(screen.stream) as block:
        block.show(View(**{**{n: getattr(TYPICAL, n) for n in View.__slots__}, "state": "stopping"}))
        screen.shown()
        colours = {screen.window.buffer[y][x].fg for y in range(3) for x in range(80)}
    assert colours == {"default"}


async def test_a_terminal_that_goes_away_ends_the_show_only() -> None:
    """The harvest goes on when the window it was watched in is closed."""
    with terminal(60) as screen, logging_to(screen.stream) as lines:
        stream = os.fdopen(os.dup(screen.stream.fileno()), "w")
        async with progress_shown(
            "live", watch(Run()), lines, stderr=stream, sleep=lambda _: asyncio.sleep(0)
        ):
            await asyncio.sleep(0)
            stream.close()
            await asyncio.sleep(0.01)


async def test_elsewhere_a_line_is_said_now_and_then() -> None:
    """The first line comes after 5 s, the next ones every 30 s, with fields for machines."""
    run, waits, stream, enough = Run(), list[float](), io.StringIO(), asyncio.Event()
    run.listed(10)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 3:
            enough.set()
            await asyncio.Event().wait()

    with logging_to(stream, log_format="json") as lines:
        async with progress_shown("log", watch(run), lines, sleep=sleep):
            await enough.wait()
    assert waits == [5, 30, 30, 30]
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in said] == ["progress"] * 3
    assert said[0]["message"] == "0 of 10 accounts (0.0 %), 0.0/s of 10.0/s, 0 rows"
    assert (said[0]["total"], said[0]["permittedPerSecond"], said[0]["secondsLeft"]) == (10, 10.0, None)


@pytest.mark.parametrize(
    ("settings", "err", "out", "mode"),
    [
        ({}, Terminal, io.StringIO, "live"),
        ({}, Terminal, Terminal, "live"),
        ({}, io.StringIO, Terminal, "log"),
        ({"output": "-"}, Terminal, Terminal, "log"),
        ({"output": "-"}, Terminal, io.StringIO, "live"),
        ({"output": "-", "progress": "on"}, Terminal, Terminal, "live"),
        ({"progress": "on"}, io.StringIO, io.StringIO, "log"),
        ({"progress": "off"}, Terminal, Terminal, "off"),
        ({"log_format": "json"}, Terminal, Terminal, "log"),
        ({"verbosity": -1}, Terminal, Terminal, "off"),
        ({"verbosity": -1, "progress": "on"}, Terminal, Terminal, "live"),
    ],
)
def test_what_is_shown_where(
    settings: dict[str, Any],
    err: type[TextIO],
    out: type[TextIO],
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Live only where a person looks and nothing else scrolls; `on` and `off` are obeyed."""
    monkeypatch.setenv("TERM", "xterm")
    assert mode_of(Settings(**{**SETTINGS, **settings}), stderr=err(), stdout=out()) == mode


def test_a_terminal_without_a_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb can't be drawn on."""
    monkeypatch.setenv("TERM", "dumb")
    assert mode_of(Settings(**SETTINGS), stderr=Terminal(), stdout=io.StringIO()) == "log"
