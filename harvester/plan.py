"""What a harvest would take, for `--dry-run`. Nothing is sent and nothing is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from harvester.errors import UsageError
from harvester.fetching import list_of
from harvester.ledger import LedgerReader
from harvester.ledger.account_list import preview
from harvester.model import total_rate
from harvester.parts import lane_quotas, ledger_paths_of
from harvester.report.text import plural, rate, span
from harvester.settings.settings import Settings

_TOKEN_USE = 749.0 - 90.0
"""Seconds that a token of SailPoint's is used: it lives for 749 s, and is renewed 90 s before its end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A harvest in figures, before it begins. `per_second` is None without a quota.

    `unreported` counts the pending accounts of sources that the list says report no usage; `by_source`
    has the other pending ones by the source that the list names.
    """

    distinct: int
    repeated: int
    settled: int
    unreported: int
    skipped: bool
    clients: int
    lanes: int
    per_second: float | None
    output: str
    by_source: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Accounts to request: one request each, as long as a page has all rows."""
        return self.distinct - self.settled - (self.unreported if self.skipped else 0)

    @property
    def seconds(self) -> float | None:
        """How long the requests take at the quota, None without one."""
        return None if self.per_second is None else self.requests / self.per_second

    @property
    def tokens(self) -> int | None:
        """Tokens that all clients together fetch at most, None without a quota."""
        if self.seconds is None:
            return None
        return self.clients * max(1, math.ceil(self.seconds / _TOKEN_USE)) if self.requests else 0

    def lines(self) -> Iterator[str]:
        """The plan in words."""
        yield f"list       {plural(self.distinct, 'account')}, {self.repeated:,} repeated"
        if self.settled:
            yield f"settled    {self.settled:,} by an unfinished run, which this one would continue"
        if self.unreported:
            yield f"unreported {self.unreported:,} of sources that report no usage{self._saving()}"
        yield f"requests   {self.requests:,} (one per account)"
        if self.seconds is None:
            yield "time       as fast as the tenant answers: there is no quota"
        else:
            lanes = f" on {self.lanes} lanes" if self.lanes > 1 else ""
            yield f"time       {span(self.seconds)} at {rate(self.per_second or 0.0)}{lanes}"
            yield f"tokens     {self.tokens} at most, with {plural(self.clients, 'client')}"
        yield f"output     {'stdout' if self.output == '-' else self.output}"
        yield "Nothing was sent and nothing was written."

    def _saving(self) -> str:
        if self.skipped:
            return ", which are not requested"
        saved = "" if self.per_second is None else f" and {span(self.unreported / self.per_second)}"
        return f": --skip-unreported saves {plural(self.unreported, 'request')}{saved}"


def plan(settings: Settings) -> Plan:
    """Read the list to its end, look at what an unfinished run has settled, and calculate.

    Raises:
        InputError: the list cannot be read.
        UsageError: the list is the tenant's own, which only requests could tell.
    """
    if settings.list:
        raise UsageError(
            "--list: it takes requests to find out how many accounts the tenant has",
            "use `harvester check` for an estimate, or --dry-run with the list of `harvester accounts`",
        )
    with ExitStack() as stack:
        found = preview(list_of(settings), _unfinished(settings, stack))
    quotas = list(lane_quotas(settings).values()) or [settings.quota] * len(settings.api_version)
    return Plan(
        **found._asdict(),
        skipped=settings.skip_unreported,
        clients=max(len(settings.clients), 1),
        lanes=len(quotas),
        per_second=total_rate(quotas),
        output=settings.output,
    )


def _unfinished(settings: Settings, stack: ExitStack) -> LedgerReader | None:
    """The harvest that a run would continue."""
    paths = ledger_paths_of(settings)
    if paths is None or settings.fresh or not paths.partial.exists():
        return None
    return stack.enter_context(LedgerReader(paths.partial))
