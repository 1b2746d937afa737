"""Runs that never were: clocks driven by hand, and reports to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from harvester.errors import StopRun
from harvester.events import AccountSettled, ListRead, RequestEnded, RetryScheduled
from harvester.model import OutputFile, Quota
from harvester.report.result import Counts, Report
from harvester.report.tally import Tally
from harvester.settings.model import Client, Settings

BEGAN = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


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
class Counted:
    """What a writer counts."""

    distinct: int = 0
    repeated: int = 0
    finished_earlier: int = 0
    harvested: int = 0
    empty: int = 0
    failed: int = 0
    rows: int = 0


@dataclass
class Run:
    """A tally and its clock, and the events of a run in short."""

    clock: Clock = field(default_factory=Clock)
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(clock=self.clock)

    def request(self, seconds: float = 0.05, *, reason: str | None = None, client: str = "a") -> None:
        """One request ends; a reason implies its usual status."""
        status = {None: 200, "throttled": 429, "server_error": 500, "not_found": 404}.get(reason)
        self.tally.observe(RequestEnded(client, status, reason, seconds, 100))

    def account(
        self, rows: int = 12, *, name: str = "id1", reason: str | None = None, detail: str = ""
    ) -> None:
        """One account is settled."""
        self.tally.observe(AccountSettled(name, rows, reason, detail))

    def retry(self, reason: str = "server_error") -> None:
        """One account will be tried again."""
        self.tally.observe(RetryScheduled("id1", reason, 1, 0.5, "HTTP 500"))

    def listed(self, distinct: int, *, earlier: int = 0, whole: bool = True) -> None:
        """So much of the list is known."""
        self.tally.observe(ListRead(distinct, 0, earlier, whole))


SETTINGS: dict[str, Any] = {
    "base_url": "https://acme.api.identitynow.com",
    "clients": (Client(client_id="0123456789abcdef", client_secret="a-secret-of-some-length"),),
    "output": "usages.ndjson",
}


def a_report(
    run: Run, counted: Counted, *, status: int = 0, stop: StopRun | None = None, **settings: Any
) -> Report:
    """A report of `run` that ends now."""
    return Report(
        run_id="20260801-120000-abcd",
        status=status,
        stop=stop,
        started=BEGAN,
        ended=run.clock.wall(),
        counts=Counts.of(counted),
        rows=counted.rows,
        outputs=(OutputFile("usages.ndjson", counted.rows, counted.harvested, 4321, "ab" * 32),),
        settings=Settings(**{**SETTINGS, **settings}),
        tally=run.tally,
        quotas={"a": Quota(100, 10.0)},
        failures="usages.ndjson.failures.ndjson",
    )


def a_troubled_report(**settings: Any) -> Report:
    """Two accounts of five failed, one had no rows; there were retries and a pause."""
    run = Run()
    run.listed(5)
    for reason in (None, "server_error", "throttled", None, None, "not_found"):
        run.clock.now += 4.0
        run.request(reason=reason)
    run.retry()
    run.account(name="id1")
    run.account(name="id2")
    run.account(0, name="id3")
    run.account(0, name="id4", reason="not_found", detail="no\nsuch \x1b[31maccount")
    run.account(0, name="id5", reason="server_error", detail="HTTP 500, secret a-secret-of-some-length")
    counted = Counted(distinct=5, repeated=1, harvested=2, empty=1, failed=2, rows=24)
    return a_report(run, counted, status=3, **settings)
