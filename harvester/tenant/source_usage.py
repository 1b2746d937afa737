"""Whether a source reports usage at all, and since when: only then is an empty account an unused one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from harvester.events import Warned
from harvester.ledger.records import SourceStatus, UsageStatus
from harvester.model import Answered, Fault, Refused
from harvester.tenant.client import Lane
from harvester.tenant.connection import Response
from harvester.tenant.request import Request, Unanswered, api_path, document, path_segment
from harvester.tenant.retrying import Retrying

T = TypeVar("T")

_TRIES: Final = 4
_GIVE_UP_AFTER: Final = 3
"""Sources in a row without an answer, after which the rest are not asked about."""
_MONTH: Final = 7  # characters of YYYY-MM
_STARTS_WITH_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}(?:-|$)")


async def source_statuses(lanes: Sequence[Lane], sources: Mapping[str, str | None]) -> list[SourceStatus]:
    """The status of each source (ID -> name, if known), and the first month of those that report usage.

    A source that cannot be asked about is unknown (None), and so are the rest if the tenant does not answer
    this query at all: that is one warning, never an outage.

    Raises:
        StopRun: as `Retrying.ask`, for reasons that would end any other request, too.
    """
    usage = SourceUsage(lanes)
    found = [await usage.of(source_id, name) for source_id, name in sources.items()]
    usage.warn("their accounts without rows count as empty")
    return found


class SourceUsage:
    """Asks whether sources report usage, each source once.

    `known` is what an earlier run learned. Without `coverage`, sources that report are not asked since when.
    """

    def __init__(
        self, lanes: Sequence[Lane], known: Iterable[SourceStatus] = (), *, coverage: bool = True
    ) -> None:
        self._retrying = Retrying(lanes, "the status of the sources")
        self._observer = lanes[0].tenant.observer
        self._known = {source.id: source for source in known}
        self._coverage = coverage
        self._failed_in_a_row = 0
        self._problem = "the tenant gives no documented status"
        self._asked: list[SourceStatus] = []
        self._handed_out = 0

    async def of(self, source_id: str, name: str | None) -> SourceStatus:
        """What is known about one source, which is asked about if that is nothing yet.

        Raises:
            StopRun: as `source_statuses`.
        """
        if source_id not in self._known:
            found = await self._find_out(source_id, name)
            self._known[source_id] = found
            self._asked.append(found)
        return self._known[source_id]

    def news(self) -> list[SourceStatus]:
        """What was learned since the last call."""
        news = self._asked[self._handed_out :]
        self._handed_out = len(self._asked)
        return news

    def warn(self, consequence: str) -> None:
        """Emit one warning if some of the sources asked about are unknown.

        `consequence` says what that means for them.
        """
        unknown = sum(source.status is None for source in self._asked)
        if unknown:
            self._observer(
                Warned(
                    "source_status_unknown",
                    f"{unknown} of {len(self._asked)} sources do not say whether they report usage "
                    f"({self._problem})",
                    f"{consequence}; the scope idn:identity-history:manage is needed",
                )
            )

    async def _find_out(self, source_id: str, name: str | None) -> SourceStatus:
        if self._failed_in_a_row >= _GIVE_UP_AFTER:
            return SourceStatus(source_id, name, None, None)
        status = await self._ask(lambda version: status_request(source_id, version))
        since = None
        if status == "COMPLETE" and self._coverage:
            since = await self._ask(lambda version: _months_request(source_id, version))
        return SourceStatus(source_id, name, status, since)

    async def _ask(self, request: Callable[[str], Request[T]]) -> T | None:
        answer = await self._retrying.ask(request(self._retrying.lane.api_version), tries=_TRIES)
        if isinstance(answer, (Refused, Fault)):
            if not self._failed_in_a_row:
                detail = answer.detail.removeprefix(f"{answer.status} ")
                self._problem = f"{answer.status or answer.reason}: {detail}"
            self._failed_in_a_row += 1
            return None
        self._failed_in_a_row = 0
        return answer


def status_request(source_id: str, api_version: str) -> Request[UsageStatus | None]:
    """The request that says whether a source reports usage; None if that is unclear."""
    path = f"{api_path('source-usages', api_version)}/{path_segment(source_id)}/status"
    return Request(path, "", "sources", _read_status)


def _months_request(source_id: str, api_version: str) -> Request[str | None]:
    path = f"{api_path('source-usages', api_version)}/{path_segment(source_id)}/summaries"
    return Request(path, "limit=250&sorters=date", "sources", _read_first_month)


def _read_status(response: Response, sent_at: float) -> Answered[UsageStatus | None] | Unanswered:
    found = document(response, sent_at, dict, "the status of a source is not an object")
    if not isinstance(found, Answered):
        return found
    status = found.value.get("status")
    return Answered(sent_at, status if status in ("COMPLETE", "INCOMPLETE") else None)


def _read_first_month(response: Response, sent_at: float) -> Answered[str | None] | Unanswered:
    """The earliest month with a row: where the coverage of the source begins."""
    found = document(response, sent_at, list, "the summaries of a source are not an array")
    if not isinstance(found, Answered):
        return found
    dates = [row.get("date") for row in found.value if isinstance(row, dict)]
    months = [day[:_MONTH] for day in dates if isinstance(day, str) and _STARTS_WITH_MONTH.match(day)]
    return Answered(sent_at, min(months, default=None))
