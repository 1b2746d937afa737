"""The sandbox as a server on 127.0.0.1: its port, its connections, its coming and going."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from aiohttp import web

from harvester.next.model import Quota
from harvester.next.sandbox.bad_responses import reset
from harvester.next.sandbox.gateway import Gateway
from harvester.next.sandbox.inspection import PREFIX, inspect
from harvester.next.sandbox.listener import HOST, Listener
from harvester.next.sandbox.options import Absence, Faults, Outage, SandboxOptions
from harvester.next.sandbox.population import Population
from harvester.next.sandbox.tally import Tally
from harvester.next.sandbox.truth import Truth, truth_of

_GOODBYE = 0.05
_CUT_OFF = frozenset({"refuse", "reset"})


class Sandbox:
    """A simulated tenant, serving while its context is open.

    ::

        async with Sandbox(SandboxOptions(accounts=100)) as sandbox:
            ...  # requests to sandbox.url; any client ID, secret "sandbox"
            assert sandbox.tally.usages == 100

    It belongs to the loop it was opened in. `clock` gives monotonic seconds.
    """

    def __init__(
        self, options: SandboxOptions | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.options = options or SandboxOptions()
        self._clock = clock
        self._gateway = Gateway(self.options, clock)
        self._gateway.on_usage = self._usage_arrived
        self._milestones: dict[int, asyncio.Event] = {}
        self._manner: Absence | None = None
        self._outages: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port it serves on."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    @property
    def population(self) -> Population:
        """The accounts and the truth about them."""
        return self._gateway.population

    @property
    def tally(self) -> Tally:
        """What has come in so far."""
        return self._gateway.tally

    def truth(self, account_id: str, *, months: int = 3) -> Truth:
        """What is true of an account, with its state in the window of this month and `months` before.

        Raises:
            KeyError: no account has this ID.
        """
        return truth_of(self.population, self._gateway.records, account_id, months=months)

    def asked(self, account_id: str) -> int:
        """How often this account's usages were asked for, whatever the answer."""
        number = self.population.find(account_id)
        return 0 if number is None else self.tally.asked[number]

    def issue_token(self, client_id: str = "issued", life: float | None = None) -> str:
        """A token without a request for it, good for `life` seconds (None: the usual life)."""
        return self._gateway.tokens.issue(client_id, life)

    def set_faults(self, faults: Faults) -> None:
        """Let other things go wrong from now on; outages and shares of accounts stay as they were."""
        self._gateway.set_faults(faults)

    def change_quota(self, quota: Quota | None) -> None:
        """Enforce another quota from now on."""
        self._gateway.change_quota(quota)

    def expire_tokens(self) -> None:
        """Let every token handed out so far have expired."""
        self._gateway.tokens.expire()

    def revoke(self, client_id: str) -> None:
        """Refuse this client from now on: 401 for its tokens and for its requests for one."""
        self._gateway.tokens.revoke(client_id)

    def restore(self, client_id: str) -> None:
        """Accept a revoked client again."""
        self._gateway.tokens.restore(client_id)

    def add_account(self) -> str:
        """Add an account somewhere in the order of the listing; returns its ID."""
        account_id = self.population.add()
        self.tally.make_room(len(self.tally.asked) + 1)
        self._gateway.listings.changed()
        return account_id

    def delete_account(self, account_id: str) -> None:
        """Delete an account; raises KeyError if no account has this ID."""
        self.population.delete(account_id)
        self._gateway.listings.changed()

    async def __aenter__(self) -> Self:
        self._server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            tcp_keepalive=False,
            keepalive_timeout=75.0,
        )
        self._listener = Listener(self.options.port, self._connect)
        self._listener.open()
        self._outages = [
            asyncio.create_task(self._hold_outage(outage)) for outage in self.options.faults.outages
        ]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._outages:
            task.cancel()
        await asyncio.gather(*self._outages, return_exceptions=True)
        await self._listener.leave()
        self._break_connections()
        await self._server.shutdown(_GOODBYE)

    async def go_away(self, manner: Absence = "refuse") -> None:
        """Be away until `come_back`, in the manner given (see `Absence`)."""
        self._manner = manner
        self._gateway.absent = None if manner in _CUT_OFF else manner
        if manner == "refuse":
            self._listener.close()
        if self._cut_off:
            self._break_connections()
        await asyncio.sleep(0)

    async def come_back(self, throttle: float = 0.0) -> None:
        """Be there again, on the same port; everything is answered 429 for `throttle` seconds first."""
        self._gateway.throttled_until = self._clock() + throttle
        self._manner = None
        self._gateway.absent = None
        self._listener.open()

    def _connect(self) -> asyncio.Protocol:
        self.tally.connections += 1
        if self._cut_off:
            self.tally.turned_away += 1
            return _Rejected()
        return self._server()

    @property
    def _cut_off(self) -> bool:
        """Whether no connection may live."""
        return self._manner in _CUT_OFF

    def _break_connections(self) -> None:
        for connection in self._server.connections:
            reset(connection.transport)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._cut_off:
            # It was accepted in the very moment the port was closed.
            reset(request.transport)
            return web.Response()
        if request.rel_url.raw_path.startswith(PREFIX):
            return await inspect(request, self.population, self._gateway.records, self.tally)
        return await self._gateway.handle(request)

    def _usage_arrived(self, number: int) -> None:
        if (reached := self._milestones.get(number)) is not None:
            reached.set()

    async def _hold_outage(self, outage: Outage) -> None:
        if outage.after_requests is not None:
            await self._milestones.setdefault(outage.after_requests, asyncio.Event()).wait()
        else:
            await asyncio.sleep(outage.after_seconds or 0.0)
        await self.go_away(outage.manner)
        await asyncio.sleep(outage.seconds)
        await self.come_back(outage.throttle)


class _Rejected(asyncio.Protocol):
    """Resets a connection as soon as it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reset the connection."""
        with contextlib.suppress(OSError):
            reset(cast("asyncio.Transport", transport))
