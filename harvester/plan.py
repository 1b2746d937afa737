"""What a harvest would take: the plan that `--dry-run` tells. Nothing is sent and nothing is written."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harvester.errors import ResumeRefused
from harvester.ledger import Ledger, Outcome, database_files
from harvester.model import Quota
from harvester.report.figures import plural, rate, span
from harvester.settings.model import Settings
from harvester.sink.disk import Disk
from harvester.sink.layout import layout_for
from harvester.sink.options import data_options, refuse_other_options
from harvester.source.reading import ids_of

_TOKEN_LIFE = 749.0
"""Seconds that SailPoint's tokens live; they are renewed when 90 of them are left."""
_TOKEN_USE = _TOKEN_LIFE - 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A harvest in figures, before it is begun. `seconds` is None without a quota."""

    distinct: int
    repeated: int
    finished: int
    clients: int
    per_second: float | None
    output: str

    @property
    def pending(self) -> int:
        """Accounts that would be asked for: one request each, as long as a page holds all rows."""
        return self.distinct - self.finished

    @property
    def seconds(self) -> float | None:
        """How long the requests take at the quota."""
        return None if self.per_second is None else self.pending / self.per_second

    @property
    def tokens(self) -> int | None:
        """Tokens that all clients together would fetch."""
        if self.seconds is None:
            return None
        return self.clients * max(1, math.ceil(self.seconds / _TOKEN_USE)) if self.pending else 0

    def lines(self) -> Iterator[str]:
        """The plan in words."""
        yield f"list       {plural(self.distinct, 'account')}, {self.repeated:,} repeated"
        yield f"finished   {self.finished:,} by an earlier run that this one would go on from"
        yield f"requests   {self.pending:,} (one an account)"
        if self.seconds is None:
            yield "time       as fast as the tenant answers: there is no quota"
        else:
            yield f"time       {span(self.seconds)} at {rate(self.per_second or 0.0)}"
            yield f"tokens     {self.tokens} at most, with {plural(self.clients, 'client')}"
        yield f"output     {'stdout' if self.output == '-' else self.output}"
        yield "Nothing was sent and nothing was written."


def plan(settings: Settings) -> Plan:
    """Read the list to its end, look at what an earlier run has finished, and reckon.

    Raises:
        InputFault: the list can't be read.
        ResumeRefused: the earlier run had another list or other options.
    """
    with _ledger_copied(settings) as ledger:
        repeated = 0
        for batch in ids_of(settings):
            repeated += ledger.roll.enrol(batch).repeated
        ledger.roll.end_list()
        ended = ledger.outcomes()
        return Plan(
            distinct=ledger.roll.known,
            repeated=repeated,
            finished=sum(ended[outcome] for outcome in Outcome),
            clients=max(len(settings.clients), 1),
            per_second=_per_second(settings),
            output=settings.output,
        )


def plan_for(accounts: int, settings: Settings) -> Plan:
    """The plan for a list of which only the length is known."""
    return Plan(
        distinct=accounts,
        repeated=0,
        finished=0,
        clients=max(len(settings.clients), 1),
        per_second=_per_second(settings),
        output=settings.output,
    )


def _per_second(settings: Settings) -> float | None:
    quotas: list[Quota | None] = [settings.client_quota(client) for client in settings.clients]
    known = [quota for quota in (quotas or [settings.quota]) if quota is not None]
    return sum(quota.per_second for quota in known) if len(known) == max(len(quotas), 1) else None


@contextmanager
def _ledger_copied(settings: Settings) -> Iterator[Ledger]:
    """A copy of the ledger that the harvest would go on from, or an empty one."""
    found = layout_for(settings, Disk(settings.file_mode), 1).ledger
    if found is None or settings.fresh or not found.exists():
        ledger = Ledger.temporary()
        try:
            yield ledger
        finally:
            ledger.close()
        return
    with tempfile.TemporaryDirectory(prefix="harvester-plan-") as folder:
        for file in database_files(found):
            if file.exists():
                shutil.copy(file, folder)
        ledger = Ledger.open(Path(folder) / found.name)
        try:
            refuse_other_options(settings.output, ledger.fact("options") or {}, data_options(settings))
            yield ledger
        except ResumeRefused as refused:
            raise ResumeRefused(refused.problem.replace(folder, str(found.parent)), refused.mend) from None
        finally:
            ledger.close()
