"""The figures of a run as Prometheus metrics, in a file for node_exporter's textfile collector.

Names follow the conventions: base units, `_total` for what only grows, `_seconds`, `_bytes`, `_ratio`.
Each sample has the label `harvest`, which tells the jobs of one machine apart. Counters begin anew with
each run. The library is imported here only, and only where metrics are wanted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from harvester.errors import StopRun
from harvester.event_loop import in_background
from harvester.events import Observer, Warned
from harvester.files import write_atomically
from harvester.model import Counts, Quota
from harvester.report.tally import Tally

_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: the buckets of latencies, from a local proxy's to the longest that a request may take."""
_FINISHED: Final = frozenset({0, 3})
"""Exit statuses with which the output is complete."""
_LAST_SUCCESS: Final = "harvester_last_success_timestamp_seconds"
_EVERY: Final = 15.0
"""Seconds between two writes of the file: as often as Prometheus usually looks."""

_Sample: TypeAlias = tuple[str, Mapping[str, str], float]
"""What is appended to the name, labels, value."""
_Family: TypeAlias = tuple[str, Literal["counter", "gauge", "histogram"], str, list[_Sample]]
"""Name, type, help, samples."""
_Values: TypeAlias = Mapping[str, float | None] | Mapping[str, float] | float | None
"""None: not known yet."""


@dataclass(slots=True)
class MetricsFile:
    """The metrics of one run, in a file. `started`, `ended` and `last_success` are Unix times.

    The name of the file tells this job apart from others on the same machine; `about` has the labels of
    `harvester_info`; `counts` are known once the run has ended.
    """

    path: Path
    tally: Tally
    quotas: Mapping[str, Quota | None]
    in_flight: Callable[[], int]
    about: Mapping[str, str] = field(default_factory=dict)
    mode: int = 0o600
    observe: Observer = lambda _: None
    now: Callable[[], float] = time.time
    started: float = field(init=False)
    last_success: float | None = None
    ended: float | None = None
    status: int | None = None
    counts: Counts | None = None
    _failing: bool = False

    def __post_init__(self) -> None:
        self.started = self.now()

    def run_ended(self, status: int, counts: Counts | None = None) -> None:
        """The run has ended with this exit status."""
        self.status, self.ended, self.counts = status, self.now(), counts
        if status in _FINISHED:
            self.last_success = self.ended

    async def end(self, status: int, counts: Counts | None = None) -> None:
        """The run ends with this exit status: write the file for the last time.

        Raises:
            StoppedEarly: it cannot be written.
        """
        self.run_ended(status, counts)
        await self.write(started=True)

    async def write_or_warn(self) -> None:
        """Write the file; where it cannot be written, one warning says so, and the harvest goes on."""
        try:
            await self.write(started=True)
        except StopRun as error:
            if not self._failing:
                self.observe(Warned("metrics", error.problem, error.hint))
            self._failing = True
        else:
            self._failing = False

    async def write(self, *, started: bool) -> None:
        """Write the file.

        Raises:
            OutputError, StoppedEarly: it cannot be written (2 before the run has `started`, else 5).
        """
        # Made here, where nothing else runs meanwhile; written on a thread, for disks may be slow.
        text = self.text()
        await asyncio.to_thread(
            write_atomically, self.path, [text], self.mode, what="the metrics file", started=started
        )

    def text(self) -> bytes:
        """All metrics in the text format of the textfile collector."""
        from prometheus_client.exposition import generate_latest  # noqa: PLC0415  # slow to import, and seldom wanted

        return generate_latest(self)

    def collect(self) -> Iterator[Any]:
        """Each family that has a sample, as the library wants it."""
        from prometheus_client.core import Metric  # noqa: PLC0415  # as above

        for name, kind, text, samples in self.families():
            metric = Metric(name.removesuffix("_total"), text, kind)
            for suffix, labels, value in samples:
                metric.add_sample(name + suffix, {"harvest": self.path.stem, **labels}, value)
            if samples:
                yield metric

    def families(self) -> Iterator[_Family]:
        """Everything known at this moment; a family without samples is not known yet."""
        yield "harvester_info", "gauge", "What is running, as labels; always 1.", [("", self.about, 1.0)]
        for name, label, text, values_of in _FAMILIES:
            kind: Literal["counter", "gauge"] = "counter" if name.endswith("_total") else "gauge"
            values = values_of(self)
            if not isinstance(values, Mapping):
                values = {"": values}
            known = {one: float(value) for one, value in values.items() if value is not None}
            yield name, kind, text, [("", {label: one} if label else {}, known[one]) for one in known]
        latency = self.tally.latency
        count = float(latency.count)
        samples: list[_Sample] = [
            ("_bucket", {"le": str(bound)}, float(latency.at_most(bound))) for bound in _BOUNDS
        ]
        samples += [("_bucket", {"le": "+Inf"}, count), ("_count", {}, count), ("_sum", {}, latency.total)]
        text = "Response time of account requests, without 429s."
        yield "harvester_request_duration_seconds", "histogram", text, samples


# A table: a metric takes a line or two.
# fmt: off
_FAMILIES: Final[tuple[tuple[str, str, str, Callable[[MetricsFile], _Values]], ...]] = (
    ("harvester_running", "", "1 while the run goes on, 0 once it has ended.", lambda run: run.ended is None),
    ("harvester_start_timestamp_seconds", "", "When the run began.", lambda run: run.started),
    ("harvester_end_timestamp_seconds", "", "When the run ended; absent before.", lambda run: run.ended),
    ("harvester_exit_status", "", "The exit status of the run; absent before.", lambda run: run.status),
    (_LAST_SUCCESS, "",
     "When a run last ended with its output complete (status 0 or 3), this one or an earlier one.",
     lambda run: run.last_success),
    ("harvester_list_accounts", "", "Distinct accounts on the list.", lambda run: run.tally.distinct),
    ("harvester_settled_earlier_accounts", "", "Accounts on the list that earlier runs had settled.",
     lambda run: run.tally.settled_earlier),
    ("harvester_accounts_total", "outcome", "Accounts settled in this run.",
     lambda run: {outcome.name.lower(): number for outcome, number in run.tally.outcomes.items()}),
    ("harvester_harvest_accounts", "outcome",
     "Accounts on the list by outcome, across resumes; absent before the end.",
     lambda run: {} if run.counts is None else _outcomes(run.counts)),
    ("harvester_failures_total", "reason", "Accounts given up on in this run.",
     lambda run: run.tally.failures_by_reason),
    ("harvester_rows_total", "", "Usage rows received.", lambda run: run.tally.rows),
    ("harvester_requests_total", "purpose", "Requests sent, by purpose.",
     lambda run: run.tally.requests_by_purpose),
    ("harvester_requests_unsuccessful_total", "reason", "Requests that failed, 429s included.",
     lambda run: run.tally.unsuccessful_by_reason),
    ("harvester_retries_total", "reason", "Accounts requested again after a fault; 429s do not count.",
     lambda run: run.tally.retries_by_reason),
    ("harvester_received_bytes_total", "", "Bytes of response bodies.", lambda run: run.tally.bytes_received),
    ("harvester_requests_in_flight", "", "Requests sent and not answered yet.",
     lambda run: run.in_flight() if run.ended is None else 0),
    ("harvester_lane_requests_total", "lane", "Requests sent on the lane.",
     lambda run: {label: lane.requests for label, lane in run.tally.lanes.items()}),
    ("harvester_throttled_total", "lane", "Responses with status 429.",
     lambda run: {label: lane.throttled for label, lane in run.tally.lanes.items()}),
    ("harvester_paused_seconds_total", "lane", "Time paused after a 429 or 503.",
     lambda run: {label: lane.paused_seconds(run.tally.now) for label, lane in run.tally.lanes.items()}),
    ("harvester_lane_dropped", "lane", "1 once the lane is no longer used.",
     lambda run: {label: run.tally.lane_dropped(label) for label in run.quotas}),
    ("harvester_lane_permitted_requests_per_second", "lane",
     "What the lane may send at present; absent without a quota.",
     lambda run: {label: run.tally.permitted(label, quota) for label, quota in run.quotas.items()}),
    ("harvester_quota_used_ratio", "", "Granted requests for accounts as a share of what the quotas allowed.",
     lambda run: run.tally.quota_share(run.quotas)),
    ("harvester_tokens_total", "", "Tokens fetched.", lambda run: run.tally.tokens),
    ("harvester_outage", "", "1 while the tenant is not reachable.",
     lambda run: run.tally.outage_since is not None and run.ended is None),
    ("harvester_outages_total", "", "How often the tenant was not reachable.", lambda run: run.tally.outages),
    ("harvester_outage_seconds_total", "", "How long the tenant was not reachable.",
     lambda run: run.tally.outage_seconds()),
    ("harvester_commits_total", "", "Batches committed to the ledger.", lambda run: run.tally.commits),
    ("harvester_commit_seconds_total", "", "Time that the commits took.",
     lambda run: run.tally.commit_seconds),
    ("harvester_warnings_total", "code", "Warnings.", lambda run: run.tally.warnings_by_code),
)
"""Name (a counter's ends in `_total`), label, help, and the value: one for each label's value, if any."""
# fmt: on


def _outcomes(counts: Counts) -> Mapping[str, float]:
    return {name: number for name, number in asdict(counts).items() if name != "distinct"}


def last_success_in(path: Path) -> float | None:
    """When a run last succeeded, by the file that the run before left; None where it does not say."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  # as above

    try:
        if not path.is_file():  # a FIFO or a device has no past
            return None
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # none yet, or not ours
        return None
    values = [one.value for family in families for one in family.samples if one.name == _LAST_SUCCESS]
    return values[0] if values else None


@asynccontextmanager
async def metrics_kept(
    file: MetricsFile, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncIterator[None]:
    """Keep the metrics of a run in their file while the body runs: written at once, then every 15 seconds.

    The body calls `end` with the exit status. Where a `StopRun` leaves it before, its status is written.

    Raises:
        OutputError: the file cannot be written at the start.
    """
    file.last_success = await asyncio.to_thread(last_success_in, file.path)
    await file.write(started=False)
    async with in_background(_now_and_then(file, sleep), "metrics"):
        try:
            yield
        except StopRun as why:
            if file.ended is None:
                file.run_ended(why.exit_status)
                await file.write_or_warn()
            raise


async def _now_and_then(file: MetricsFile, sleep: Callable[[float], Awaitable[None]]) -> None:
    while file.ended is None:
        await sleep(_EVERY)
        await file.write_or_warn()
