"""The tenant's accounts as `harvester accounts` and `harvester run --list` want them.

What the API's listing says of an account is joined with what two other APIs know: whether its source
reports usage, and who the manager of its identity is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Final

from harvester.ledger.records import SourceStatus
from harvester.tenant.client import Tenant
from harvester.tenant.listing import ACCOUNTS, Detail, list_pages
from harvester.tenant.managers import NOBODY, Managers
from harvester.tenant.overlap import Record
from harvester.tenant.source_usage import SourceUsage

ADDED: Final = {"usage": ("usageStatus", "usageSince"), "manager": ("managerName", "managerEmail")}
"""What each addition adds to an account; null where it is not known."""

_NO_SOURCE: Final = SourceStatus("", None, None, None)
_UNKNOWN: Final = "their accounts are listed all the same"


async def account_pages(
    tenant: Tenant,
    usage: SourceUsage,
    *,
    filters: str = "",
    detail: Detail = "SLIM",
    with_usage: bool = False,
    add: Collection[str] = (),
) -> AsyncGenerator[list[Record], None]:
    """The accounts that `filters` selects, in the order of their IDs, page by page.

    `with_usage` leaves out the accounts of sources that report no usage; where that is not known of a
    source, its accounts stay. `usage` is asked about each source once, when its first account comes, and
    only if it is needed. For the addition `manager`, the identities are read first, each page once, through
    the tenant's spare lanes if it has any. Close the iterator if you do not read it to its end.

    Raises:
        StopRun: as `listing.list_pages`.
    """
    managers = await Managers.read((*tenant.spare_lanes, *tenant.lanes)) if "manager" in add else None
    try:
        async with aclosing(list_pages(tenant.lanes, ACCOUNTS, filters=filters, detail=detail)) as pages:
            async for accounts in pages:
                page = accounts
                if with_usage or "usage" in add:
                    page = await _with_usage(accounts, usage, leave_out=with_usage, add="usage" in add)
                if managers is not None:
                    _add_managers(page, managers)
                if page:
                    yield page
    finally:
        if managers is not None:
            managers.close()
    usage.warn(_UNKNOWN)


async def _with_usage(page: list[Record], usage: SourceUsage, *, leave_out: bool, add: bool) -> list[Record]:
    wanted = []
    for account in page:
        source = await _source_of(account, usage)
        if leave_out and source.status == "INCOMPLETE":
            continue
        if add:
            account |= dict(zip(ADDED["usage"], (source.status, source.since), strict=True))
        wanted.append(account)
    return wanted


async def _source_of(account: Record, usage: SourceUsage) -> SourceStatus:
    source_id, name = account.get("sourceId"), account.get("sourceName")
    if not isinstance(source_id, str) or not source_id:
        return _NO_SOURCE
    return await usage.of(source_id, name if isinstance(name, str) else None)


def _add_managers(page: list[Record], managers: Managers) -> None:
    identities = [_identity_of(account) for account in page]
    known = managers.of([identity for identity in identities if identity is not None])
    for account, identity in zip(page, identities, strict=True):
        account |= dict(zip(ADDED["manager"], known.get(identity or "", NOBODY), strict=True))


def _identity_of(account: Record) -> str | None:
    identity = account.get("identityId")
    if identity is None and isinstance(account.get("identity"), dict):
        identity = account["identity"].get("id")
    return identity if isinstance(identity, str) else None
