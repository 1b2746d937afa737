"""Killing a harvest again and again, at instants drawn from a seed, until it is done all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import TypeAlias

from tests.whole.processes import Program, Tenant, program, until
from tests.whole.truth import assert_whole, beside

RATE = "4000/10s"
"""Several hundred accounts a second: what issue and guarantee speak of."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of output."""

    name: str
    output: str
    options: tuple[str, ...] = ()

    @property
    def ordered(self) -> bool:
        return "--ordered" in self.options


MODES = (
    Mode("plain", "usages.ndjson"),
    Mode("gzip", "usages.ndjson.gz"),
    Mode("zstd", "usages.ndjson.zst"),
    Mode("parts", "parts/", ("--part-rows", "900")),
    Mode("parts-gzip", "parts/", ("--part-rows", "900", "--compress", "gzip")),
    Mode("parts-zstd", "parts/", ("--part-bytes", "20K", "--compress", "zstd")),
    Mode("ordered", "usages.ndjson", ("--ordered",)),
    Mode("ordered-zstd-parts", "parts/", ("--ordered", "--part-rows", "900", "--compress", "zstd")),
    Mode("one-part", "parts/"),
)
"""Those of which `make test` takes each once, and `make soak` in turn."""


class Killer:
    """Kills one process at its moment; without one it lets it live."""

    def __init__(self, tenant: Tenant, output: Path, rng: Random, moment: Moment | None) -> None:
        self.tenant = tenant
        self.output = output
        self.moment = moment
        self.name = "" if moment is None else moment.__name__
        self._rng = rng
        self._running: Program
        self.asked_before = tenant.asked
        self.summary_before = modified(beside(output, "summary.json"))

    def strike(self, running: Program) -> None:
        """Wait for the moment, then kill."""
        self._running = running
        if self.moment is not None:
            self.moment(self)
            running.process.kill()

    def wait(self, low: float, high: float) -> None:
        """Some time, or until the process has ended."""
        end = time.monotonic() + self._rng.uniform(low, high)
        while self._running.running and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.005))

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Until something holds, or the process has ended."""
        until(lambda: holds() or not self._running.running, every=0.001)


def in_start_up(killer: Killer) -> None:
    """While modules are imported, the lock taken, the ledger made or read."""
    killer.wait(0.0, 0.7)


def in_mid_run(killer: Killer) -> None:
    """Some time after the first request."""
    killer.wait_for(lambda: killer.tenant.asked > killer.asked_before)
    killer.wait(0.0, 1.0)


def after_a_second(killer: Killer) -> None:
    """About a second after the first request."""
    killer.wait_for(lambda: killer.tenant.asked > killer.asked_before)
    killer.wait(0.8, 1.2)


def at_the_last_answers(killer: Killer) -> None:
    """In the tenth of a second after every account has been asked for."""
    killer.wait_for(lambda: killer.tenant.tally["accounts_asked"] == len(killer.tenant.ids))
    killer.wait(0.0, 0.1)


def in_the_naming(killer: Killer) -> None:
    """While the final names are given, which begins once the summary is written."""
    summary = beside(killer.output, "summary.json")
    killer.wait_for(lambda: modified(summary) > killer.summary_before)
    killer.wait(0.0, 0.02)


Moment: TypeAlias = Callable[[Killer], None]
"""Waits for an instant in the life of a process."""
ANYWHERE: tuple[Moment, ...] = (in_start_up, in_mid_run, in_mid_run, at_the_last_answers, in_the_naming)


@dataclass(slots=True)
class Campaign:
    """What became of one harvest that was killed again and again."""

    kills: list[str] = field(default_factory=list)
    lives: int = 0
    asked: int = 0
    is_on: bool = True
    killed_last: bool = False
    """It was whole already, so nothing came after the kill that could have swept up behind it."""


def harvest_killed(
    tenant: Tenant,
    folder: Path,
    mode: Mode,
    rng: Random,
    moments: Iterator[Moment],
    *extra: str,
    attempts: int = 2,
) -> Campaign:
    """Harvest all of `tenant` into `folder`, killed at each of `moments`; it ends in the truth."""
    folder.mkdir()
    ids = tenant.list_file(folder.parent, f"{folder.name}.txt")
    output = folder / mode.output.rstrip("/")
    destination = f"{output}/" if mode.output.endswith("/") else str(output)
    campaign = Campaign()
    before = tenant.asked
    arguments: tuple[str | Path, ...] = (
        "run",
        ids,
        "-o",
        destination,
        *mode.options,
        "--attempts",
        str(attempts),
        *extra,
    )
    while campaign.is_on:
        _live(Killer(tenant, output, rng, next(moments, None)), arguments, campaign)
    campaign.asked = tenant.asked - before
    assert_whole(tenant, output, ids, ordered=mode.ordered, swept=not campaign.killed_last)
    return campaign


def _live(killer: Killer, arguments: tuple[str | Path, ...], campaign: Campaign) -> None:
    """One process, killed or not."""
    campaign.lives += 1
    with program(*arguments, at=killer.tenant) as running:
        killer.strike(running)
        status = running.end()
    campaign.killed_last = status == -SIGKILL and killer.moment is not None
    if campaign.killed_last:
        campaign.kills.append(killer.name)
        campaign.is_on = not is_complete(killer.output)
    else:
        assert status == (3 if killer.tenant.hopeless else 0), running.err
        campaign.is_on = False


def is_complete(output: Path) -> bool:
    """Whether it stands under its final name with nothing left to do, as when the kill came last of all."""
    if output.is_dir():
        return (output / "_SUCCESS").exists() and not (output / "_ledger").exists()
    return output.exists() and not output.with_name(f"{output.name}.ledger").exists()


def modified(path: Path) -> int:
    """When the file was last written; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
