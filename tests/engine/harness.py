"""An engine at work on a sandbox, with a store in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harvester.engine.engine import Engine
from harvester.errors import StopRun
from harvester.events import Event
from harvester.model import Account, Failure, Settled
from harvester.settings.model import Client, Settings
from harvester.tenant.transport import Transport


@dataclass
class MemoryStore:
    """The list and the results, in memory. `slow` is awaited at each put."""

    ids: Sequence[str]
    slow: Callable[[], Awaitable[None]] | None = None
    settled: dict[str, Settled] = field(default_factory=dict)
    before: str | None = None

    async def pending(self, after_seq: int, limit: int) -> list[Account]:
        numbered = enumerate(self.ids[after_seq + 1 : after_seq + 1 + limit], after_seq + 1)
        return [Account(seq, account_id) for seq, account_id in numbered]

    async def had_before(self) -> str | None:
        return self.before

    def has_room(self, ticket: int) -> bool:
        return True

    async def put(self, settled: Settled, ticket: int) -> None:
        if self.slow is not None:
            await self.slow()
        account = settled.account
        assert account.id not in self.settled, "settled twice"
        assert self.ids[account.seq] == account.id
        self.settled[account.id] = settled


@dataclass
class Outcome:
    """What came of a run."""

    rows: dict[str, list[dict[str, Any]]]
    failures: dict[str, Failure]
    stop: StopRun | None
    moments: list[tuple[float, Event]]

    def told(self, kind: type) -> list[Any]:
        return [event for _, event in self.moments if isinstance(event, kind)]


CLIENT = Client(client_id="test-client", client_secret="sandbox")


async def harvest(
    url: str,
    ids: Sequence[str],
    *,
    during: Callable[[Engine], Awaitable[None]] | None = None,
    slow: Callable[[], Awaitable[None]] | None = None,
    before: str | None = None,
    **settings: Any,
) -> Outcome:
    """Harvest `ids`; `during` runs beside the engine. `before` is an account that an earlier run had."""
    told: list[tuple[float, Event]] = []
    clock = asyncio.get_running_loop().time

    def observe(event: Event) -> None:
        told.append((clock(), event))

    store = MemoryStore(ids, slow, before=before)
    options = Settings(**{"base_url": url, "clients": (CLIENT,), "quota": None, "timeout": 5.0, **settings})
    stop = None
    async with Transport(options) as transport:
        engine = Engine(options, transport, store, observe, rng=random.Random(1))
        engine.agenda.list_ended()
        try:
            await engine.run([] if during is None else [_none(during(engine))])
        except StopRun as why:
            stop = why
    rows = {key: value.rows for key, value in store.settled.items() if not isinstance(value, Failure)}
    failures = {key: value for key, value in store.settled.items() if isinstance(value, Failure)}
    return Outcome(rows, failures, stop, told)


async def _none(work: Awaitable[None]) -> None:
    await work
