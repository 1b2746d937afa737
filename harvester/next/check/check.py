"""The order in which things are tried: each step only makes sense where the one before went well."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harvester.next.check.access import Access
from harvester.next.check.asking import PATIENCE, Asking
from harvester.next.check.estimate import Saving, Workload, about_quota, estimate, pace_of
from harvester.next.check.finding import Finding, ok, warning
from harvester.next.check.network import look
from harvester.next.model import Quota
from harvester.next.tenant.client import Tenant
from harvester.next.tenant.proxy import is_loopback


class Check:
    """Tries everything that a harvest needs of a tenant, in a few requests. It must not have been started.

    `tls` says whether its address is https; `quotas` are those of its lanes, by label. `workload` is the list
    to harvest, None for the tenant's own accounts that `filters` select. `listing` says that a run would list
    these, `skipping` that it has --skip-unreported, and `shards` in how many parts the tenant's accounts are
    harvested. `patience` bounds every wait, in seconds.
    """

    def __init__(
        self,
        tenant: Tenant,
        *,
        tls: bool,
        ca_bundle: Path | None = None,
        quotas: Mapping[str, Quota | None],
        concurrency: int | None = None,
        workload: Workload | None = None,
        filters: str = "",
        listing: bool = False,
        skipping: bool = False,
        shards: int = 1,
        patience: float = PATIENCE,
        now: datetime | None = None,
    ) -> None:
        self._tenant = tenant
        self._tls = tls
        self._ca_bundle = ca_bundle
        self._quotas = quotas
        self._concurrency = concurrency
        self._workload = workload
        self._filters = filters
        self._skipping = skipping
        self._shards = shards
        self._patience = patience
        self._now = now or datetime.now(UTC)
        self._asking = Asking(tenant, patience=patience)
        self._access = Access(self._asking, filters=filters, accounts_needed=listing)

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """The findings, each as soon as it is known. Close the generator if you do not read it to its end.

        Raises:
            SettingError: a CA bundle cannot be used.
        """
        route = self._tenant.connection.route
        way = await look(
            route, tls=self._tls, ca_bundle=self._ca_bundle, patience=self._patience, now=self._now
        )
        try:
            for finding in way.findings:
                yield finding
            async with aclosing(self._clients(way.topic)) as clients:
                async for finding in clients:
                    yield finding
            if self._access.usable:
                for finding in await self._figures():
                    yield finding
        finally:
            await self._asking.close()

    async def _clients(self, topic: str) -> AsyncGenerator[Finding, None]:
        proxy = self._tenant.connection.route.proxy
        for client in self._tenant.clients:
            async with aclosing(self._access.try_client(client, topic)) as found:
                async for finding in found:
                    if proxy is not None and self._tenant.ever_answered:
                        yield ok("proxy", f"requests go through the proxy {proxy} ({proxy.variable})")
                        proxy = None
                    yield finding
            if self._access.unreachable:
                return

    async def _figures(self) -> list[Finding]:
        """Quota, time and saving, for the lanes that work."""
        access, asking = self._access, self._asking
        saving = Saving(asking, access.usable[0])
        workload = self._workload
        if workload is not None:
            await saving.look_at_list(workload)
        elif access.accounts is not None and access.accounts.total is not None:
            workload = Workload(-(-access.accounts.total // self._shards))
            await saving.look_at_tenant(access.sources, self._filters, self._shards)
        quotas = [self._quotas[lane.label] for lane in access.usable]
        pace = pace_of(quotas, self._concurrency, asking.seconds)
        loopback = is_loopback(self._tenant.host)
        figures = [about_quota(asking, quotas, pace, loopback=loopback)]
        if workload is None:
            return [*figures, _UNKNOWN]
        figures.append(estimate(workload, pace, skipped=saving.requests if self._skipping else 0))
        return [*figures, saving.finding(pace, skipping=self._skipping)]


_UNKNOWN: Final = warning(
    "estimate", "how many accounts the tenant has is not known", "give a list: harvester check ids.txt"
)
