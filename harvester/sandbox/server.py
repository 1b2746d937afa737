"""The sandbox as a server on 127.0.0.1: its port, its connections, its coming and going."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from typing import Self

from aiohttp import web

from harvester.errors import SettingError
from harvester.sandbox.gateway import Gateway
from harvester.sandbox.options import Absence, Outage, SandboxOptions
from harvester.sandbox.responses import reset
from harvester.sandbox.truth import PREFIX, Truth, inspect, truth_of

HOST = "127.0.0.1"
_BACKLOG = 1024
_GOODBYE = 0.05


class Sandbox:
    """A simulated tenant, serving while its context is open.

    ::

        async with Sandbox(SandboxOptions(accounts=100)) as sandbox:
            ...  # requests to sandbox.url; any client ID, secret "sandbox"
            assert sandbox.tally.usages == 100

    It belongs to the loop it was opened in. `clock` gives monotonic seconds. `population` has the accounts,
    `tally` what has come in so far, `tokens` those handed out; `gateway` can change faults and quota.
    """

    def __init__(
        self, options: SandboxOptions | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.options = options or SandboxOptions()
        self._clock = clock
        self.gateway = Gateway(self.options, clock, self._usage_arrived)
        self.population = self.gateway.population
        self.tally = self.gateway.tally
        self.tokens = self.gateway.tokens
        self._outages: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port it serves on."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def truth(self, account_id: str, *, months: int = 3) -> Truth:
        """See `truth_of`."""
        return truth_of(self.population, account_id, months=months)

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
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._outages:
            task.cancel()
        await asyncio.gather(*self._outages, return_exceptions=True)
        await self._listener.leave()
        self._break_connections()
        await self._server.shutdown(_GOODBYE)

    async def go_away(self, manner: Absence = "refuse") -> None:
        """Be away until `come_back`, in the manner given (see `Absence`)."""
        self.gateway.absent = manner
        if manner == "refuse":
            self._listener.close()
        if self._cut_off:
            self._break_connections()
        await asyncio.sleep(0)

    async def come_back(self, throttle: float = 0.0) -> None:
        """Be there again, on the same port; everything is answered 429 for `throttle` seconds first."""
        self.gateway.throttled_until = self._clock() + throttle
        self.gateway.absent = None
        self._listener.open()

    @property
    def _cut_off(self) -> bool:
        """Whether no connection may live."""
        return self.gateway.absent in ("refuse", "reset")

    def _connect(self) -> asyncio.Protocol:
        self.tally.connections += 1
        return self._server()

    def _break_connections(self) -> None:
        for connection in self._server.connections:
            reset(connection.transport)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._cut_off:
            self.tally.turned_away += 1
            reset(request.transport)
            return web.Response()
        if request.rel_url.raw_path.startswith(PREFIX):
            return await inspect(request, self.population, self.tally)
        return await self.gateway.handle(request)

    def _usage_arrived(self, number: int) -> None:
        for outage in self.options.faults.outages:
            if outage.after_requests == number:
                self._outages.append(asyncio.create_task(self._hold_outage(outage)))

    async def _hold_outage(self, outage: Outage) -> None:
        await self.go_away(outage.manner)
        await asyncio.sleep(outage.seconds)
        await self.come_back(outage.throttle)


class Listener:
    """A port that hands connections to `factory` while open, and can be closed while they are coming in.

    `asyncio.Server` cannot be closed safely under load: a connection accepted in the same turn of the
    loop is neither served nor closed. Here accepting and serving are apart, so each meets its end.
    The port stays this one's own while it is closed: a bound socket that never listens holds it. Linux
    lets a second socket with SO_REUSEADDR listen beside that; elsewhere the port is free meanwhile.
    """

    def __init__(self, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._holder = _bound(port)
        self.port: int = self._holder.getsockname()[1]
        if sys.platform != "linux":
            self._holder.close()
        self._socket: socket.socket | None = None
        self._arriving: set[asyncio.Task[object]] = set()

    def open(self) -> None:
        """Accept connections; does nothing if it does already.

        Raises:
            SettingError: somebody else listens on the port.
        """
        if self._socket is not None:
            return
        self._socket = _bound(self.port, listening=True)
        self._socket.settimeout(0)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Refuse connections from now on; those that were accepted go to the factory yet."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def leave(self) -> None:
        """Close for good and let go of the port."""
        self.close()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        self._holder.close()

    def _accept(self) -> None:
        while self._socket is not None:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # nobody is waiting any more
                return
            connection.settimeout(0)
            loop = asyncio.get_running_loop()
            serving: asyncio.Task[object] = loop.create_task(
                loop.connect_accepted_socket(self._factory, connection)
            )
            self._arriving.add(serving)
            serving.add_done_callback(self._arriving.discard)


def _bound(port: int, *, listening: bool = False) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
        if listening:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        hint = "give another, or 0 to have one picked"
        raise SettingError("port", f"{port} cannot be used: {error}", hint) from None
    return sock
