"""Killing a harvest again and again, at instants drawn from a seed, until it is complete all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import TypeAlias

from tests.next.e2e.processes import Program, Tenant, program, until
from tests.next.e2e.truth import assert_complete, beside, ledger_of

RATE = "4000/10s"
"""Several hundred accounts a second."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of output."""

    name: str
    output: str
    options: tuple[str, ...] = ()


MODES = (
    Mode("plain", "usages.ndjson"),
    Mode("gzip", "usages.ndjson.gz"),
    Mode("zstd", "usages.ndjson.zst"),
    Mode("parts", "parts/", ("--part-rows", "900")),
    Mode("parts-gzip", "parts/", ("--part-rows", "900", "--compress", "gzip")),
    Mode("parts-zstd", "parts/", ("--part-rows", "2000", "--compress", "zstd")),
    Mode("one-part", "parts/"),
)


class Killer:
    """Kills one process at its moment; without one it lets it live."""

    def __init__(self, tenant: Tenant, output: Path, rng: Random, moment: Moment | None) -> None:
        self.tenant = tenant
        self.output = output
        self.moment = moment
        self.name = "" if moment is None else moment.__name__
        self._rng = rng
        self._running: Program
        self.requested_before = tenant.requested
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
    """While modules are imported, and the ledger is made or read."""
    killer.wait(0.0, 0.7)


def in_mid_run(killer: Killer) -> None:
    """Some time after the first request."""
    killer.wait_for(lambda: killer.tenant.requested > killer.requested_before)
    killer.wait(0.0, 1.0)


def after_a_second(killer: Killer) -> None:
    """About a second after the first request."""
    killer.wait_for(lambda: killer.tenant.requested > killer.requested_before)
    killer.wait(0.8, 1.2)


def at_the_last_responses(killer: Killer) -> None:
    """In the tenth of a second after every account has been requested."""
    killer.wait_for(lambda: killer.tenant.tally["accounts_asked"] == len(killer.tenant.ids))
    killer.wait(0.0, 0.1)


def while_publishing(killer: Killer) -> None:
    """While the ledger gets its final name, which happens once the summary is written."""
    summary = beside(killer.output, "summary.json")
    killer.wait_for(lambda: modified(summary) > killer.summary_before)
    killer.wait(0.0, 0.02)


Moment: TypeAlias = Callable[[Killer], None]
"""Waits for an instant in the life of a process."""
ANYWHERE: tuple[Moment, ...] = (in_start_up, in_mid_run, in_mid_run, at_the_last_responses, while_publishing)


@dataclass(slots=True)
class Campaign:
    """What became of one harvest that was killed again and again."""

    kills: list[str] = field(default_factory=list)
    lives: int = 0
    requested: int = 0
    is_on: bool = True


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
    before = tenant.requested
    options = (*mode.options, "--attempts", str(attempts), *extra)
    while campaign.is_on:
        _live(
            Killer(tenant, output, rng, next(moments, None)),
            ("run", ids, "-o", destination, *options),
            campaign,
        )
    campaign.requested = tenant.requested - before
    assert_complete(tenant, output)
    return campaign


def _live(killer: Killer, arguments: tuple[str | Path, ...], campaign: Campaign) -> None:
    """One process, killed or not."""
    campaign.lives += 1
    with program(*arguments, at=killer.tenant) as running:
        killer.strike(running)
        status = running.end()
    if status == -SIGKILL and killer.moment is not None:
        campaign.kills.append(killer.name)
        campaign.is_on = not is_complete(killer.output)
    else:
        assert status == (3 if killer.tenant.hopeless else 0), running.err
        campaign.is_on = False


def is_complete(output: Path) -> bool:
    """Whether it has its final name with nothing left to do, as when the kill came last of all."""
    ledger = ledger_of(output)
    return ledger.exists() and not ledger.with_name(f"{ledger.name}.partial").exists()


def modified(path: Path) -> int:
    """When the file was last written; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
