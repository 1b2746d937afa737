"""What the tenant has: its accounts and its sources, for programs and for the commands that list them.

::

    async for page in list_accounts(load_settings(list=True, with_usage=True)):
        for account in page:
            ...

Both need a running event loop. Close the iterator (`contextlib.aclosing`) if you do not read it to its end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Literal, TypeAlias, TypedDict

from harvester import parts
from harvester.events import Observer, fan_out
from harvester.ledger.records import UsageStatus
from harvester.settings.settings import Settings
from harvester.tenant.account_list import account_pages
from harvester.tenant.listing import SOURCES, Record, list_pages
from harvester.tenant.source_usage import SourceUsage

Detail: TypeAlias = Literal["slim", "full"]

_UNKNOWN: Final = "their usageStatus is null"


class SourceRecord(TypedDict):
    """A source. `owner` is the API's reference (id, name, type); what is not known is None.

    `usageStatus` is COMPLETE where the source reports usage, `usageSince` the first month (``YYYY-MM``).
    """

    id: str
    name: str | None
    type: str | None
    connectorName: str | None
    owner: dict[str, Any] | None
    usageStatus: UsageStatus | None
    usageSince: str | None


async def list_accounts(
    settings: Settings, *observers: Observer, detail: Detail = "slim"
) -> AsyncGenerator[list[Record], None]:
    """The tenant's accounts in the order of their IDs, each once, page by page as they come.

    `filters`, `with_usage` and `add` of the settings apply, as for ``harvester run --list``. An account is
    a dict with what the API says of it; only with the detail ``full`` that includes its owner, the
    identity's name and whether it is disabled. Numbers that a float would change are `orjson.Fragment`s.

    Raises:
        AccessDenied: the credentials are refused, or lack the right.
        UsageError: the filter, the base URL or another setting is wrong.
        StoppedEarly: the tenant was unavailable for too long.
    """
    spare, observer = "manager" in settings.add, fan_out(*observers)
    async with parts.open_tenant(settings, observer=observer, memory={}, spare=spare) as tenant:
        usage = SourceUsage(tenant.lanes, coverage="usage" in settings.add)
        pages = account_pages(
            tenant,
            usage,
            filters=settings.filters or "",
            detail="FULL" if detail == "full" else "SLIM",
            with_usage=settings.with_usage,
            add=settings.add,
        )
        async with aclosing(pages) as found:
            async for page in found:
                yield page


async def list_sources(
    settings: Settings, *observers: Observer, filters: str = ""
) -> AsyncGenerator[SourceRecord, None]:
    """The tenant's sources that `filters` selects, and whether each reports usage.

    That takes one request for each source, and one more for each that reports. Where the tenant or the
    caller's rights do not provide it, it is None, with one warning among the events.

    Raises:
        StopRun: as `list_accounts`.
    """
    async with parts.open_tenant(settings, observer=fan_out(*observers), memory={}) as tenant:
        usage = SourceUsage(tenant.lanes)
        async with aclosing(list_pages(tenant.lanes, SOURCES, filters=filters)) as pages:
            async for page in pages:
                for source in page:
                    yield await _with_usage(source, usage)
        usage.warn(_UNKNOWN)


async def _with_usage(source: Record, usage: SourceUsage) -> SourceRecord:
    known = await usage.of(source["id"], source.get("name"))
    return SourceRecord(
        id=source["id"],
        name=source.get("name"),
        type=source.get("type"),
        connectorName=source.get("connectorName"),
        owner=source.get("owner"),
        usageStatus=known.status,
        usageSince=known.since,
    )
