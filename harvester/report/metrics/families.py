"""The figures of a run as Prometheus knows figures: families of samples, made from the tally when asked for.

Names follow the conventions: base units, `_total` for what only grows, `_seconds`, `_bytes`, `_ratio`. Each
sample has the label `harvest`, which sets the jobs of one machine apart. Counters begin anew with each run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from harvester.model import Quota
from harvester.report.tally import Tally

_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: the buckets of latencies, from a local proxy's to the longest that a request may take."""
_WHOLE = frozenset({0, 3})
"""Exit statuses with which the output is whole."""


class Sample(NamedTuple):
    """One value, with the labels beside `harvest`; `suffix` is a histogram's."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """What shares one name. A counter's name ends in `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: list[Sample]


@dataclass(slots=True)
class RunMetrics:
    """A run as metrics see it. `started`, `ended` and `last_success` are Unix times."""

    harvest: str
    """What sets this job apart from others on the same machine."""
    tally: Tally
    quotas: Mapping[str, Quota | None]
    in_flight: Callable[[], int]
    started: float
    about: Mapping[str, str] = field(default_factory=dict)
    last_success: float | None = None
    ended: float | None = None
    status: int | None = None

    def end(self, status: int, moment: float) -> None:
        """The run has ended with this exit status."""
        self.status, self.ended = status, moment
        if status in _WHOLE:
            self.last_success = moment

    def families(self) -> Iterator[Family]:
        """Everything there is to tell at this moment."""
        yield from self._run()
        yield from self._accounts()
        yield from self._requests()
        yield from self._clients()
        yield from self._tenant()

    def _run(self) -> Iterator[Family]:
        yield Family("harvester_info", "gauge", "Which run of what; always 1.", [Sample(self.about, 1)])
        yield _gauge("harvester_running", "1 while the run goes on, 0 once it has ended.", self.ended is None)
        yield _gauge("harvester_start_timestamp_seconds", "When the run began.", self.started)
        yield _gauge("harvester_end_timestamp_seconds", "When the run ended; absent before.", self.ended)
        yield _gauge("harvester_exit_status", "The exit status of the run; absent before.", self.status)
        yield _gauge(
            "harvester_last_success_timestamp_seconds",
            "When a run last ended with its output whole (status 0 or 3), this one or one before it.",
            self.last_success,
        )

    def _accounts(self) -> Iterator[Family]:
        tally = self.tally
        yield _gauge(
            "harvester_list_accounts", "Different accounts in the list, as far as read.", tally.distinct
        )
        yield _gauge(
            "harvester_list_finished_earlier_accounts",
            "Of those, the accounts that an earlier run had finished.",
            tally.finished_earlier,
        )
        outcomes = {"harvested": tally.harvested, "empty": tally.empty, "failed": tally.failed}
        yield _counter("harvester_accounts_total", "Accounts that ended in this run.", "outcome", outcomes)
        failures = {reason: group.count for reason, group in tally.failures.items()}
        yield _counter("harvester_failures_total", "Accounts given up on.", "reason", failures)
        yield _counter("harvester_rows_total", "Usage rows received.", value=tally.rows)

    def _requests(self) -> Iterator[Family]:
        tally = self.tally
        requests = {name: client.requests for name, client in tally.clients.items()}
        yield _counter("harvester_requests_total", "Usage requests sent.", "client", requests)
        yield _counter(
            "harvester_requests_unsuccessful_total",
            "Of those, the ones that brought no rows, 429s included.",
            "reason",
            tally.unsuccessful_by_reason,
        )
        yield _counter(
            "harvester_retries_total",
            "Tries again after a fault; a 429 is none.",
            "reason",
            tally.retries_by_reason,
        )
        yield _counter(
            "harvester_received_bytes_total", "Bodies of usage answers.", value=tally.bytes_received
        )
        yield _gauge("harvester_requests_in_flight", "Requests sent and not answered.", self.in_flight())
        yield Family(
            "harvester_request_duration_seconds",
            "histogram",
            "How long answers took, 429s apart.",
            list(self._latencies()),
        )

    def _latencies(self) -> Iterator[Sample]:
        latency = self.tally.latency
        for bound in _BOUNDS:
            yield Sample({"le": str(bound)}, latency.at_most(bound), "_bucket")
        yield Sample({"le": "+Inf"}, latency.count, "_bucket")
        yield Sample({}, latency.count, "_count")
        yield Sample({}, latency.total, "_sum")

    def _clients(self) -> Iterator[Family]:
        clients, now = self.tally.clients, self.tally.clock()
        throttled = {name: client.throttled for name, client in clients.items()}
        yield _counter("harvester_throttled_total", "Answers 429.", "client", throttled)
        paused = {name: client.paused_seconds(now) for name, client in clients.items()}
        yield _counter("harvester_paused_seconds_total", "Time paused after a 429.", "client", paused)
        dropped = {name: float(client.dropped) for name, client in clients.items()}
        yield _gauges("harvester_client_dropped", "1 once the tenant has refused the client.", dropped)
        yield _gauges(
            "harvester_client_permitted_requests_per_second",
            "What the client may send at present; absent without a quota.",
            {name: rate for name in self.quotas if (rate := self._rate(name)) is not None},
        )
        share = self.tally.quota_share(tuple(self.quotas.values()))
        yield _gauge(
            "harvester_quota_used_ratio", "Granted requests as a share of what the quota allowed.", share
        )

    def _rate(self, client: str) -> float | None:
        figures, quota = self.tally.clients.get(client), self.quotas[client]
        if figures is not None and figures.rate is not None:
            return figures.rate
        return None if quota is None else quota.per_second

    def _tenant(self) -> Iterator[Family]:
        tally = self.tally
        yield _counter("harvester_tokens_total", "Tokens fetched.", value=tally.tokens)
        away = tally.outage_since is not None and self.ended is None
        yield _gauge("harvester_outage", "1 while the tenant as a whole is waited for.", away)
        yield _counter("harvester_outages_total", "How often the tenant was away.", value=tally.outages)
        yield _counter(
            "harvester_outage_seconds_total", "For how long the tenant was away.", value=tally.outage_total()
        )
        yield _counter("harvester_commits_total", "Batches made durable.", value=tally.commits)
        yield _counter(
            "harvester_commit_seconds_total",
            "Time that making them durable took.",
            value=tally.commit_seconds,
        )


def _gauge(name: str, text: str, value: float | None) -> Family:
    return Family(name, "gauge", text, [] if value is None else [Sample({}, float(value))])


def _gauges(name: str, text: str, by_client: Mapping[str, float]) -> Family:
    return Family(name, "gauge", text, list(_samples("client", by_client.items())))


def _counter(
    name: str, text: str, label: str = "", counts: Mapping[str, float] | None = None, *, value: float = 0.0
) -> Family:
    samples = list(_samples(label, counts.items())) if counts is not None else [Sample({}, value)]
    return Family(name, "counter", text, samples)


def _samples(label: str, counts: Iterable[tuple[str, float]]) -> Iterator[Sample]:
    return (Sample({label: name}, float(number)) for name, number in counts)
