"""Kept-alive connections to one origin, each with its parser, ready for the next request.

aiohttp's pool makes a connection's bookkeeping and its parser anew for every request, which is a tenth of
what a request costs (see tests/bench). Here a connection stays taken from that pool until the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection

_READ_AHEAD: Final = 64 * 1024


class Lines:
    """Connections that are open and wait for a request: the one used last is used first."""

    __slots__ = ("_clock", "_connecting", "_connector", "_idle", "_keep_alive", "_whereto")

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        whereto: ClientRequest,
        *,
        timeout: float,
        keep_alive: float,
        clock: Callable[[], float],
    ) -> None:
        """`whereto` tells the connector where to connect to. Connecting may take `timeout` seconds.

        A connection is kept for `keep_alive` seconds without use.
        """
        self._connector = connector
        self._whereto = whereto
        self._connecting = aiohttp.ClientTimeout(connect=timeout)
        self._keep_alive = keep_alive
        self._clock = clock
        self._idle: deque[tuple[Connection, float]] = deque()

    def __repr__(self) -> str:
        return f"<Lines idle={len(self._idle)}>"

    async def take(self) -> Connection:
        """A connection that nobody else uses. To be given back, or closed.

        Raises:
            aiohttp.ClientError: none can be had.
        """
        oldest = self._clock() - self._keep_alive
        while self._idle:
            connection, since = self._idle.pop()
            if since >= oldest and _usable(connection):
                return connection
            connection.close()
        return await self._open()

    def give_back(self, connection: Connection) -> None:
        """Its answer was read: keep it for the next request, if the tenant does."""
        if not _usable(connection):
            connection.close()
            return
        now = self._clock()
        self._idle.append((connection, now))
        if self._idle[0][1] < now - self._keep_alive:
            self._idle.popleft()[0].close()

    def close(self) -> None:
        """Give those that wait back to the connector, which closes them when it is closed."""
        while self._idle:
            self._idle.pop()[0].release()

    async def _open(self) -> Connection:
        try:
            connection = await self._connector.connect(self._whereto, [], self._connecting)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error
        if connection.protocol is not None:
            connection.protocol.set_response_params(
                read_until_eof=True, auto_decompress=False, read_bufsize=_READ_AHEAD
            )
        return connection


def _usable(connection: Connection) -> bool:
    """Whether it is open, and nothing stands in it that could be taken for the next answer."""
    protocol = connection.protocol
    return protocol is not None and protocol.is_connected() and not protocol.should_close
