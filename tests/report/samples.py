"""Runs that never were: a clock driven by hand, and reports to show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from harvester.events import AccountSettled, ListRead, RequestEnded, RetryScheduled
from harvester.model import AccountOutcome, Counts, FailureGroup, OutputFile, Quota
from harvester.report.summary import Report
from harvester.report.tally import Tally

BEGAN = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
HUNDRED = Quota(100, 10.0)
STATUSES = {None: 200, "throttled": 429, "server_error": 500, "not_found": 404, "forbidden": 403}
SECRET = "a-secret-of-some-length"


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> datetime:
        """The same moment for people: the run began at twelve."""
        return BEGAN + timedelta(seconds=self.now - 1000.0)


@dataclass
class Run:
    """A tally and its clock, and the events of a run in short."""

    clock: Clock = field(default_factory=Clock)
    tally: Tally = field(init=False)
    failures: dict[str, FailureGroup] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tally = Tally(clock=self.clock)

    def request(
        self,
        seconds: float = 0.05,
        *,
        reason: str | None = None,
        lane: str = "a",
        purpose: str = "usage",
    ) -> None:
        """One request ends; a reason implies its usual status."""
        self.tally.observe(RequestEnded(lane, purpose, STATUSES.get(reason), reason, seconds, 100))

    def account(
        self, rows: int = 12, *, name: str = "id1", reason: str | None = None, detail: str = ""
    ) -> None:
        """One account is settled."""
        good = AccountOutcome.HARVESTED if rows else AccountOutcome.EMPTY
        outcome = good if reason is None else AccountOutcome.FAILED
        self.tally.observe(AccountSettled(name, outcome, rows, reason, detail))
        if reason is not None:
            first = self.failures.get(reason) or FailureGroup(0, name, detail)
            self.failures[reason] = replace(first, count=first.count + 1)

    def retry(self, reason: str = "server_error") -> None:
        """One account will be requested again."""
        self.tally.observe(RetryScheduled("id1", reason, 1, 0.5, "HTTP 500"))

    def listed(self, distinct: int, *, repeated: int = 0, earlier: int = 0) -> None:
        """The list was read."""
        self.tally.observe(ListRead(distinct, repeated, earlier))


def counts_of(
    distinct: int, harvested: int = 0, empty: int = 0, failed: int = 0, *, unreported: int = 0
) -> Counts:
    """Counts in which what is left was not attempted."""
    rest = distinct - harvested - empty - failed - unreported
    return Counts(distinct, harvested, empty, unreported, failed, rest)


def a_report(run: Run, counts: Counts, **changed: Any) -> Report:
    """A report of `run`, which ends now."""
    run.tally.finish()
    report = Report(
        run_id="20260801-120000-abcd",
        status=0,
        stop=None,
        started=BEGAN,
        ended=run.clock.wall(),
        counts=counts,
        failures_by_reason=run.failures,
        rows=run.tally.rows,
        outputs=(OutputFile("usages.ndjson", run.tally.rows, counts.harvested, 4321, "ab" * 32),),
        output="usages.ndjson",
        ledger="usages.ndjson.ledger",
        failures="usages.ndjson.failures.ndjson",
        tenant="acme.api.identitynow.com",
        version="2.0.0",
        quotas={"a": HUNDRED},
        tally=run.tally,
    )
    return replace(report, **changed)


def a_troubled_report(**changed: Any) -> Report:
    """Two accounts of five failed, one had no rows; there were retries and a 429."""
    run = Run()
    run.listed(5, repeated=1)
    run.request(0.3, lane="a", purpose="token")
    for reason in (None, "server_error", "throttled", None, None, "not_found"):
        run.clock.now += 4.0
        run.request(reason=reason)
    run.retry()
    run.account(name="id1")
    run.account(name="id2")
    run.account(0, name="id3")
    run.account(0, name="id4", reason="not_found", detail="no\nsuch \x1b[31maccount")
    run.account(0, name="id5", reason="server_error", detail=f"HTTP 500, secret {SECRET}")
    return a_report(run, counts_of(5, 2, 1, 2), **{"status": 3, **changed})
