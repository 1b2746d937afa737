"""Killing a harvest again and again, at instants drawn from a seed, until it is complete all the same."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import TypeAlias

from tests.e2e.processes import Input, Program, Tenant, program, until
from tests.e2e.truth import assert_complete, assert_nothing_left_over, assert_true, beside, parts_of
from tests.export.stores import S3Server

RATE = "4000/10s"
"""Several hundred accounts a second."""
BUCKET = "lake"


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of output. It is a path in a folder, ``-`` for stdout, or a URL."""

    name: str
    output: str
    options: tuple[str, ...] = ()
    repeatable: bool = True
    """Whether the same responses give the same bytes; a database has the times of its own run."""


MODES = (
    Mode("plain", "usages.ndjson"),
    Mode("gzip", "usages.ndjson.gz"),
    Mode("zstd", "usages.ndjson.zst"),
    Mode("csv", "usages.csv.gz"),
    Mode("parquet", "usages.parquet"),
    Mode("database", "usages.db", repeatable=False),
    Mode("parts", "parts/", ("--part-rows", "900", "--compress", "gzip")),
    Mode("parquet-parts", "parts/", ("--part-rows", "2000", "--format", "parquet")),
    Mode("days", "days/", ("--partition-by", "harvested", "--compress", "zstd")),
    Mode("stdout", "-"),
)
STORE = Mode("store", f"s3://{BUCKET}/usages/", ("--part-rows", "900", "--compress", "gzip"))
"""Needs an `S3Server`."""


@dataclass(frozen=True, slots=True)
class Job:
    """One harvest of all of `tenant` in a folder of its own; the same command until it is complete."""

    tenant: Tenant
    folder: Path
    mode: Mode
    options: tuple[str, ...] = ()
    store: S3Server | None = None

    @property
    def output(self) -> Path:
        """Where the output is in the end; that of stdout and of a store is put there."""
        name = self.mode.output.rstrip("/")
        return self.folder / {"-": "usages.ndjson"}.get(name, name.rpartition("/")[2])

    @property
    def ledger(self) -> Path:
        """The finished ledger."""
        own = self.output.suffix == ".db"
        return self.output if own else self.output.with_name(f"{self.output.name}.ledger")

    def arguments(self) -> tuple[str | Path, ...]:
        """Those of the command."""
        ids = self.folder.with_name(f"{self.folder.name}.txt")
        options: tuple[str | Path, ...] = (*self.mode.options, *self.options)
        if self.mode.output == "-":
            for option, what in (("--failures", "failures.ndjson"), ("--summary", "summary.json")):
                options += (option, f"{self.output}.{what}")
        if self.mode.output == "-" or self.store is not None:
            options += ("--ledger", self.ledger)
        else:
            slash = "/" if self.mode.output.endswith("/") else ""
            return ("run", ids, "-o", f"{self.output}{slash}", *options)
        return ("run", ids, "-o", self.mode.output, *options)

    def start(self, files: ExitStack) -> Program:
        """Run the command; it is killed when `files` are closed."""
        stdout: Input = subprocess.PIPE
        if self.mode.output == "-":
            stdout = files.enter_context(self.output.open("wb"))
        environment = None if self.store is None else self.store.environ
        return files.enter_context(
            program(*self.arguments(), at=self.tenant, stdout=stdout, environment=environment)
        )

    def is_complete(self) -> bool:
        """Whether nothing is left to do, as when a kill came last of all."""
        unfinished = self.output.with_name(f"{self.output.name}.ledger.partial")
        return self.ledger.exists() and not unfinished.exists()

    def assert_complete(self) -> None:
        """It is the truth, with nothing left over."""
        if self.mode.output == "-":  # `verify` would expect a summary that names a file
            assert_true(self.tenant, self.output)
            assert_nothing_left_over(self.output)
            return
        if self.store is None:
            assert_complete(self.tenant, self.output)
            return
        self.output.mkdir(exist_ok=True)
        names = set()
        for name, content in self.store.objects(BUCKET).items():
            names.add(name.rpartition("/")[2])
            (self.output / name.rpartition("/")[2]).write_bytes(content)
        assert_true(self.tenant, self.output)
        assert "_SUCCESS" in names
        assert "_journal.json" not in names

    def content(self) -> list[bytes]:
        """The bytes of each of its files."""
        return [part.read_bytes() for part in parts_of(self.output)]


class Killer:
    """Kills one process at its moment; without one it lets it live."""

    def __init__(self, tenant: Tenant, output: Path, rng: Random, moment: Moment | None) -> None:
        self.tenant = tenant
        self.summary = beside(output, "summary.json")
        self.moment = moment
        self.name = "" if moment is None else moment.__name__
        self._rng = rng
        self._running: Program
        self.requested_before = tenant.requested
        self.summary_before = modified(self.summary)

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
    killer.wait_for(lambda: modified(killer.summary) > killer.summary_before)
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
    *options: str,
    store: S3Server | None = None,
) -> Campaign:
    """Harvest all of `tenant` into `folder`, killed at each of `moments`; it ends in the truth."""
    job = _job(tenant, folder, mode, options, store)
    campaign = kill_until_complete(job, rng, moments)
    job.assert_complete()
    return campaign


def kill_until_complete(job: Job, rng: Random, moments: Iterator[Moment]) -> Campaign:
    """Run the same command again and again, killed at each of `moments`."""
    campaign = Campaign()
    before = job.tenant.requested
    while campaign.is_on:
        _live(job, rng, next(moments, None), campaign)
    campaign.requested = job.tenant.requested - before
    return campaign


def assert_same_undisturbed(tenant: Tenant, killed: Path, folder: Path, mode: Mode, *options: str) -> int:
    """An uninterrupted run makes the same bytes as the one in `killed`; the requests that it takes."""
    job = _job(tenant, folder, mode, options, None)
    before = tenant.requested
    _live(job, Random(0), None, Campaign())
    requested = tenant.requested - before
    job.assert_complete()
    if mode.repeatable:
        assert job.content() == Job(tenant, killed, mode).content()
    return requested


def _job(tenant: Tenant, folder: Path, mode: Mode, options: tuple[str, ...], store: S3Server | None) -> Job:
    folder.mkdir()
    tenant.list_file(folder.parent, f"{folder.name}.txt")
    return Job(tenant, folder, mode, options, store)


def _live(job: Job, rng: Random, moment: Moment | None, campaign: Campaign) -> None:
    """One process, killed or not."""
    campaign.lives += 1
    killer = Killer(job.tenant, job.output, rng, moment)
    with ExitStack() as files:
        running = job.start(files)
        killer.strike(running)
        status = running.end()
    if status == -SIGKILL and moment is not None:
        campaign.kills.append(killer.name)
        campaign.is_on = not job.is_complete()
    else:
        assert status == (3 if killer.tenant.hopeless else 0), running.err
        campaign.is_on = False


def is_complete(output: Path) -> bool:
    """Whether it has its final name with nothing left to do."""
    ledger = output.with_name(f"{output.name}.ledger")
    return ledger.exists() and not ledger.with_name(f"{ledger.name}.partial").exists()


def modified(path: Path) -> int:
    """When the file was last written; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
