"""Bearer tokens: one task a client fetches them before they are needed, so that no stale one is sent.

A token lives about twelve and a half minutes, and is renewed when a good part of its life has passed.
Requests use the current one, and wait only if there is none. A 401 marks the token it was sent with, and
only that one, as rejected: many requests that fail with the same token cause one renewal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from harvester.errors import AccessDenied
from harvester.event_loop import wait_for
from harvester.events import ClientDropped, Observer, TokenFailed, TokenRenewed
from harvester.model import Fault
from harvester.tenant.grant import Granted, Token
from harvester.waiting import delay, pause

_RENEW_AHEAD: Final = 0.3
"""Share of a token's life that is left when it is renewed …"""
_RENEW_AHEAD_AT_MOST: Final = 90.0
"""… but never more than so many seconds."""
_LEAST_LIFE: Final = 0.05
_SHORT_USE: Final = 10.0
"""Seconds: tokens that are rejected sooner, one after the other, are fetched less and less often."""
_SOME_REJECTED: Final = 2
"""As if so many had been, where they serve for a while: up to a second between two of them."""
_WITHOUT_HOPE: Final = 30.0
"""Seconds between attempts that waiting cannot help: each may be one more wrong password for a proxy."""


@dataclass(slots=True, eq=False)
class Tokens:
    """The tokens of one client, fetched by a task that begins when one is first waited for. `close` ends it.

    `source` gives the next token, or says why there is none; it is given the loop's time.
    `denied` says why there will be no more. While a token is needed and cannot be fetched, `last_fault` is
    what went wrong last, and `failing_since` the loop's time of the first failure.
    `hold(seconds, status)` is called if the token endpoint asks to wait.
    """

    source: Callable[[float], Awaitable[Granted]]
    client: str
    observer: Observer
    hold: Callable[[float, int], None]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    rng: Random
    denied: AccessDenied | None = None
    failing_since: float | None = None
    last_fault: Fault | None = None
    _token: Token | None = None
    _task: asyncio.Task[None] | None = None
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    def __repr__(self) -> str:
        return f"<Tokens of {self.client}: {self.last_problem or self._token}>"

    @property
    def last_problem(self) -> str | None:
        """What went wrong last, in words for a person."""
        return None if self.last_fault is None else _problem(self.last_fault)

    def ready(self, now: float) -> Token | None:
        """The current token, if there is one that has not expired."""
        token = self._token
        if token is None or token.due is None or now < token.due:
            return token
        self.reject(token)
        return None

    def reject(self, token: Token) -> bool:
        """A request with `token` was answered with 401, or it expired: nobody is to use it again.

        Returns whether that was not known yet.
        """
        if token is not self._token:
            return False
        self._token = None
        self._settled.clear()
        self._wanted.set()
        return True

    async def wait(self) -> bool:
        """Wait until there is a token; False if there will be none."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"tokens of {self.client}")
            self._task.add_done_callback(lambda _: self._settled.set())
        while self._token is None and self.denied is None:
            if self._task.done():
                self._task.result()  # it never raises for what the tenant does
            await self._settled.wait()
        return self.denied is None

    def deny(self, why: AccessDenied) -> None:
        """There will be no more tokens: whoever waits for one is told. Reported once."""
        if self.denied is None:
            self.denied = why
            self._token = None
            self._settled.set()
            self._wanted.set()
            self.observer(ClientDropped(self.client, str(why)))

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Fetch and renew tokens until canceled, or until the tenant refuses the credentials."""
        rejected = 0
        while self.denied is None:
            token = await self._fetch()
            if token is None:
                return
            began = self.clock()
            self._token = token
            self._wanted.clear()
            self._settled.set()
            await self._until_due(token)
            soon = self.clock() - began < _SHORT_USE
            rejected = rejected + 1 if soon and self._token is not token else 0
            if token.accepted:  # the tenant rejects some requests, not every token
                rejected = min(rejected, _SOME_REJECTED)
            if rejected > 1:
                await self.sleep(delay(rejected, self.rng))

    async def _fetch(self) -> Token | None:
        tries = 0
        while self.denied is None:
            asked_at = self.clock()
            result = await self.source(asked_at)
            if isinstance(result, Token):
                self.failing_since = self.last_fault = None
                life = None if result.due is None else round(result.due - asked_at, 3)
                self.observer(TokenRenewed(self.client, life))
                return result
            if isinstance(result, AccessDenied):
                self.deny(result)
                return None
            tries += 1
            await self.sleep(self._failed(result, tries))
        return None

    def _failed(self, fault: Fault, tries: int) -> float:
        """Note that the token endpoint gave none; return the seconds to wait."""
        now = self.clock()
        self.ready(now)  # one that has expired meanwhile is not to be used
        self.failing_since = now if self.failing_since is None else self.failing_since
        self.last_fault = fault
        wait = pause(tries, self.rng)
        if fault.retry_after is not None:
            wait = max(wait, fault.retry_after)
            self.hold(fault.retry_after, fault.status or 0)
        if fault.permanent:
            return max(wait, _WITHOUT_HOPE)  # whoever wants the token ends with this fault, and says so
        self.observer(TokenFailed(self.client, _problem(fault), wait))
        return wait

    async def _until_due(self, token: Token) -> None:
        """Wait until it is time to renew `token`, or until it is rejected."""
        if token.due is None:
            await self._wanted.wait()
            return
        life = max(token.due - self.clock(), 0.0)
        ahead = min(_RENEW_AHEAD_AT_MOST, life * _RENEW_AHEAD)
        await wait_for(self._wanted, max(life - ahead, _LEAST_LIFE))


def _problem(fault: Fault) -> str:
    """What went wrong, with the token endpoint as its subject."""
    status = fault.status
    if status is None or not fault.connected:
        return fault.detail
    detail = "" if fault.detail in ("", f"HTTP {status}") else f" ({fault.detail})"
    return f"the token endpoint answered {status}{detail}"
