"""The figures of a run as Prometheus metrics, made from the tally whenever they are asked for.

Names follow the conventions: base units, `_total` for what only grows, `_seconds`, `_bytes`, `_ratio`.
Each sample has the label `harvest`, which tells the jobs of one machine apart. Counters begin anew with
each run. The library is imported here only, and only where metrics are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from harvester.next.model import Counts, Quota
from harvester.next.report.tally import Tally

_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: the buckets of latencies, from a local proxy's to the longest that a request may take."""
_FINISHED: Final = frozenset({0, 3})
"""Exit statuses with which the output is complete."""
_LAST_SUCCESS: Final = "harvester_last_success_timestamp_seconds"

_Sample: TypeAlias = tuple[str, Mapping[str, str], float]
"""What is appended to the name, labels, value."""
_Family: TypeAlias = tuple[str, Literal["counter", "gauge", "histogram"], str, list[_Sample]]
"""Name, type, help, samples."""


@dataclass(slots=True)
class RunMetrics:
    """A run as metrics see it. `started`, `ended` and `last_success` are Unix times.

    `harvest` tells this job apart from others on the same machine; `about` has the labels of
    `harvester_info`; `counts` are known once the run has ended.
    """

    harvest: str
    tally: Tally
    quotas: Mapping[str, Quota | None]
    in_flight: Callable[[], int]
    started: float
    about: Mapping[str, str] = field(default_factory=dict)
    last_success: float | None = None
    ended: float | None = None
    status: int | None = None
    counts: Counts | None = None

    def end(self, status: int, moment: float, counts: Counts | None = None) -> None:
        """The run has ended with this exit status."""
        self.status, self.ended, self.counts = status, moment, counts
        if status in _FINISHED:
            self.last_success = moment

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
                metric.add_sample(name + suffix, {"harvest": self.harvest, **labels}, value)
            if samples:
                yield metric

    def families(self) -> Iterator[_Family]:
        """Everything known at this moment; a family without samples is not known yet."""
        yield from self._run()
        yield from self._accounts()
        yield from self._requests()
        yield from self._lanes()
        yield from self._tenant()

    def _run(self) -> Iterator[_Family]:
        yield "harvester_info", "gauge", "Which run of what; always 1.", [("", self.about, 1.0)]
        yield _gauge("harvester_running", "1 while the run goes on, 0 once it has ended.", self.ended is None)
        yield _gauge("harvester_start_timestamp_seconds", "When the run began.", self.started)
        yield _gauge("harvester_end_timestamp_seconds", "When the run ended; absent before.", self.ended)
        yield _gauge("harvester_exit_status", "The exit status of the run; absent before.", self.status)
        text = "When a run last ended with its output complete (status 0 or 3), this one or one before."
        yield _gauge(_LAST_SUCCESS, text, self.last_success)

    def _accounts(self) -> Iterator[_Family]:
        tally = self.tally
        yield _gauge("harvester_list_accounts", "Distinct accounts on the list.", tally.distinct)
        text = "Accounts on the list that earlier runs had settled."
        yield _gauge("harvester_settled_earlier_accounts", text, tally.settled_earlier)
        outcomes = {outcome.name.lower(): number for outcome, number in tally.outcomes.items()}
        yield _counters("harvester_accounts_total", "Accounts settled in this run.", "outcome", outcomes)
        text = "Accounts on the list by outcome, across resumes; absent before the end."
        yield _gauges("harvester_harvest_accounts", text, "outcome", _by_outcome(self.counts))
        failures = {reason: group.count for reason, group in tally.failures.items()}
        yield _counters("harvester_failures_total", "Accounts given up on in this run.", "reason", failures)
        yield _counter("harvester_rows_total", "Usage rows received.", tally.rows)

    def _requests(self) -> Iterator[_Family]:
        tally = self.tally
        text = "Requests sent, whatever for."
        yield _counters("harvester_requests_total", text, "purpose", tally.requests_by_purpose)
        text = "Of those, the ones without a good answer, 429s included."
        reasons = tally.unsuccessful_by_reason
        yield _counters("harvester_requests_unsuccessful_total", text, "reason", reasons)
        text = "Accounts requested again after a fault; a 429 is none."
        yield _counters("harvester_retries_total", text, "reason", tally.retries_by_reason)
        yield _counter("harvester_received_bytes_total", "Bodies of answers.", tally.bytes_received)
        text = "Requests sent and not answered yet."
        yield _gauge("harvester_requests_in_flight", text, self.in_flight() if self.ended is None else 0)
        text = "How long answers about accounts took, 429s apart."
        yield "harvester_request_duration_seconds", "histogram", text, list(self._latencies())

    def _latencies(self) -> Iterator[_Sample]:
        latency = self.tally.latency
        for bound in _BOUNDS:
            yield "_bucket", {"le": str(bound)}, float(latency.at_most(bound))
        yield "_bucket", {"le": "+Inf"}, float(latency.count)
        yield "_count", {}, float(latency.count)
        yield "_sum", {}, latency.total

    def _lanes(self) -> Iterator[_Family]:
        tally, lanes = self.tally, self.tally.lanes
        counted = {label: lane.requests for label, lane in lanes.items()}
        yield _counters("harvester_lane_requests_total", "Requests sent on the lane.", "lane", counted)
        counted = {label: lane.throttled for label, lane in lanes.items()}
        yield _counters("harvester_throttled_total", "Answers 429.", "lane", counted)
        paused = {label: lane.paused_seconds(tally.now) for label, lane in lanes.items()}
        yield _counters("harvester_paused_seconds_total", "Time paused after a 429 or 503.", "lane", paused)
        dropped = {label: tally.lane_dropped(label) for label in self.quotas}
        yield _gauges("harvester_lane_dropped", "1 once the lane is not used any more.", "lane", dropped)
        rates = {label: rate for label in self.quotas if (rate := self._rate(label)) is not None}
        text = "What the lane may send at present; absent without a quota."
        yield _gauges("harvester_lane_permitted_requests_per_second", text, "lane", rates)
        text = "Granted requests for accounts as a share of what the quotas allowed."
        yield _gauge("harvester_quota_used_ratio", text, tally.quota_share(self.quotas))

    def _rate(self, label: str) -> float | None:
        lane, quota = self.tally.lanes.get(label), self.quotas[label]
        if lane is not None and lane.rate is not None:
            return lane.rate
        return None if quota is None else quota.per_second

    def _tenant(self) -> Iterator[_Family]:
        tally = self.tally
        outage = tally.outage_since is not None and self.ended is None
        yield _counter("harvester_tokens_total", "Tokens fetched.", tally.tokens)
        yield _gauge("harvester_outage", "1 while the tenant is not reachable.", outage)
        yield _counter("harvester_outages_total", "How often the tenant was not reachable.", tally.outages)
        text = "How long the tenant was not reachable."
        yield _counter("harvester_outage_seconds_total", text, tally.outage_seconds())
        yield _counter("harvester_commits_total", "Batches committed to the ledger.", tally.commits)
        yield _counter("harvester_commit_seconds_total", "Time that the commits took.", tally.commit_seconds)
        yield _counters("harvester_warnings_total", "Warnings.", "code", tally.warnings_by_code)


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


def _by_outcome(counts: Counts | None) -> Mapping[str, float]:
    if counts is None:
        return {}
    return {
        "harvested": counts.harvested,
        "empty": counts.empty,
        "unreported": counts.unreported,
        "failed": counts.failed,
        "not_attempted": counts.not_attempted,
    }


def _gauge(name: str, text: str, value: float | None) -> _Family:
    return name, "gauge", text, [] if value is None else [("", {}, float(value))]


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> _Family:
    return name, "gauge", text, list(_samples(label, values.items()))


def _counter(name: str, text: str, value: float) -> _Family:
    return name, "counter", text, [("", {}, float(value))]


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> _Family:
    return name, "counter", text, list(_samples(label, values.items()))


def _samples(label: str, values: Iterable[tuple[str, float]]) -> Iterator[_Sample]:
    return (("", {label: word}, float(number)) for word, number in values)
