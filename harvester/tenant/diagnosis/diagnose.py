"""The order in which things are tried: each step only makes sense where the one before went well."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime

from harvester.errors import Fault, Throttled
from harvester.events import Event
from harvester.settings.model import Settings
from harvester.tenant.client import TenantClient
from harvester.tenant.diagnosis.access import ClientCheck
from harvester.tenant.diagnosis.asking import Asking
from harvester.tenant.diagnosis.connection import certificate, name_found, tenant_told
from harvester.tenant.diagnosis.finding import Finding, Verdict
from harvester.tenant.diagnosis.observed import clocks, latency, quota
from harvester.tenant.transport import Transport

_REPEATS = 2
"""Usage requests more by the first client, so that latency is seen on a warm connection."""


async def diagnose(
    settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncGenerator[Finding, None]:
    """Try everything that a harvest needs, with a few requests; the first problem of a step ends it.

    Raises:
        SettingFault: the CA bundle can't be used.
    """
    for finding in (await name_found(settings), await certificate(settings, now=now())):
        yield finding
        if finding.status:
            return
    async with Transport(settings) as transport:
        # Not the loop's time: uvloop's goes by whole milliseconds, and a tenant nearby would take none.
        asking = Asking(transport, settings.base_url, clock=time.perf_counter, now=now)
        tenant = await tenant_told(asking)
        if tenant.status and not tenant.facts["reached"]:
            yield tenant
            return
        async with aclosing(_clients_tried(settings, asking, tenant, now)) as findings:
            async for finding in findings:
                yield finding
                if finding.topic == "tenant" and finding.status:
                    return  # whatever answered there, its clock and quota are nobody's concern
        for seen in _observed(settings, asking):
            yield seen


async def _clients_tried(
    settings: Settings, asking: Asking, tenant: Finding, now: Callable[[], datetime]
) -> AsyncGenerator[Finding, None]:
    """What was told of the tenant, and each client's token and right."""
    account_id: str | None = None
    for number, check in enumerate(_checks(settings, asking)):
        token = await check.try_token(now())
        if not number:
            yield _in_its_light(tenant, token)
        yield token
        if check.token is not None:
            account_id = account_id or await check.some_account()
            usages = await check.try_usages(account_id)
            for _ in range(_REPEATS if not number and usages.verdict is Verdict.OK else 0):
                await check.try_usages(account_id)
            yield usages


def _in_its_light(tenant: Finding, token: Finding) -> Finding:
    """That the tenant doesn't tell who it is, is no matter where it gives tokens all the same."""
    if tenant.status and not token.status:
        return dataclasses.replace(
            tenant, verdict=Verdict.WARNING, status=0, mend="it gives tokens, so go on"
        )
    return tenant


def _checks(settings: Settings, asking: Asking) -> list[ClientCheck]:
    rng = random.Random()  # noqa: S311  # jitter, not secrets
    clients = [
        TenantClient(client, asking.transport, settings, _nobody, rest=_no_rest, rng=rng)
        for client in settings.clients
    ]
    return [
        ClientCheck(client, asking, tenant_client.throttle, settings)
        for client, tenant_client in zip(settings.clients, clients, strict=True)
    ]


def _observed(settings: Settings, asking: Asking) -> list[Finding]:
    seen = asking.exchanges
    quotas = [settings.client_quota(client) for client in settings.clients]
    found = [latency(seen) if seen else None, clocks(seen), quota(seen, quotas, settings.base_url)]
    return [finding for finding in found if finding is not None]


def _nobody(_event: Event) -> None:
    """A check counts nothing."""


async def _no_rest(_tries: int, _fault: Fault | Throttled) -> None:
    """A check asks for a token once."""
