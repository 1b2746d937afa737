"""Who is compared: ours as users run it, and what they would otherwise use, each as a process of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.child import Broken, Cost, run
from tests.bench.machine import program

ENVIRON = {"SAIL_CLIENT_ID": "bench", "SAIL_CLIENT_SECRET": "sandbox", "NO_COLOR": "1"}
ROWS_EACH = 12


@dataclass(frozen=True)
class Job:
    """So many accounts of the server at `url`, in a folder of their own."""

    url: str
    home: Path
    accounts: int

    @property
    def ids(self) -> Path:
        """The list of IDs, one a line."""
        path = self.home / f"ids-{self.accounts}.txt"
        if not path.exists():
            with path.open("w") as file:  # line by line: the bench must stay smaller than what it measures
                file.writelines(f"{number:032x}\n" for number in range(self.accounts))
        return path

    @property
    def out(self) -> Path:
        """Where the rows go."""
        return self.home / "out.ndjson"

    def check(self) -> None:
        """Every row was written, or the figure says nothing."""
        with self.out.open("rb") as file:
            lines = sum(1 for _ in file)
        if lines != self.accounts * ROWS_EACH:
            raise Broken(f"{lines} lines were written instead of {self.accounts * ROWS_EACH}")


@dataclass(frozen=True)
class Contender:
    """One way to harvest a list."""

    name: str
    measure: Callable[[Job], Cost]
    most: int | None = None
    """It is slow: measured with so many accounts and with none, the difference is scaled up."""
    needs: str | None = None
    """The program that it can't do without."""


def harvest(job: Job, *options: str, stdout: bool = False, statuses: Sequence[int] = (0,)) -> Cost:
    """`harvester run`, with its defaults but for the quota."""
    for left in job.home.glob(f"{job.out.name}*"):  # a harvest of before would be kept until the end
        left.unlink()
    target = [] if stdout else ["-o", str(job.out)]
    argv = [sys.executable, "-m", "harvester", "run", str(job.ids), "--quota", "none", *target, *options]
    environ = {**ENVIRON, "SAIL_BASE_URL": job.url}
    return run(argv, environ=environ, stdout=job.out if stdout else None, statuses=statuses)


def _ours(job: Job) -> Cost:
    cost = harvest(job)
    job.check()
    return cost


def _loop(module: str, *first: str) -> Callable[[Job], Cost]:
    def measure(job: Job) -> Cost:
        argv = [
            sys.executable,
            "-m",
            f"tests.bench.loops.{module}",
            *first,
            job.url,
            str(job.ids),
            str(job.out),
        ]
        cost = run(argv)
        job.check()
        return cost

    return measure


def _curl(job: Job) -> Cost:
    urls = job.home / "urls.txt"
    path = f"{job.url}/v2024/account-usages/{{}}/summaries?limit=250&sorters=-date"
    urls.write_text("".join(f'url = "{path.format(line)}"\n' for line in job.ids.read_text().split()))
    argv = ["curl", "--parallel", "--parallel-max", "50", "--no-progress-meter", "-K", str(urls)]
    return run([*argv, "-H", "Authorization: Bearer x"], stdout=job.out)


def _wrk(job: Job) -> Cost:
    """It runs for a time: its cost is scaled to the number of accounts."""
    url = f"{job.url}/v2024/account-usages/{0:032x}/summaries?limit=250&sorters=-date"
    cost = run([program("wrk") or "wrk", "-t1", "-c50", "-d3s", "-H", "Authorization: Bearer x", url])
    requests = re.search(r"(\d+) requests in", cost.output)
    if requests is None:
        raise Broken(f"wrk said no number of requests: {cost.output}")
    scale = job.accounts / int(requests.group(1))
    return Cost(cost.cpu * scale, cost.wall * scale, cost.peak, cost.status, cost.output)


OURS = Contender("harvester run", _ours)
BARE = Contender("bare aiohttp loop, standard event loop", _loop("bare_aiohttp", "asyncio"))
BARE_UVLOOP = Contender("bare aiohttp loop, uvloop", _loop("bare_aiohttp", "uvloop"))
OTHERS = (
    Contender("bare httpx loop", _loop("bare_httpx"), most=2000),
    Contender("official SDK, one after the other", _loop("official_sdk", "1"), most=1000),
    Contender("official SDK, 20 threads", _loop("official_sdk", "20"), most=1000),
    Contender("curl --parallel (bodies, not lines)", _curl, needs="curl"),
    Contender("wrk (bodies thrown away): the physical limit", _wrk, needs="wrk"),
)


def scaled(contender: Contender, job: Job) -> Cost:
    """The cost of the whole job, by scaling up what a part of it takes where the contender is slow."""
    if contender.most is None or contender.most >= job.accounts:
        return contender.measure(job)
    part = contender.measure(Job(job.url, job.home, contender.most))
    none = contender.measure(Job(job.url, job.home, 0))
    scale = job.accounts / contender.most
    return Cost(
        none.cpu + (part.cpu - none.cpu) * scale,
        none.wall + (part.wall - none.wall) * scale,
        part.peak,
        0,
        "",
    )
