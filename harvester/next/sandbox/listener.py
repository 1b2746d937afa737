"""A port on 127.0.0.1 that can be closed and opened again while connections are coming in.

`asyncio.Server` cannot be closed safely under load: a connection accepted in the same turn of the loop
is neither served nor closed. Here accepting and serving are apart, so every connection meets its end.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

from harvester.next.errors import SettingError

HOST = "127.0.0.1"
_BACKLOG = 1024
_OUT_OF_FILES_PAUSE = 0.1


class Listener:
    """Hands connections on `port` (0 picks one) to `factory` while open.

    The port stays this one's own while it is closed: a bound socket that never listens holds it. Linux
    lets a second socket with SO_REUSEADDR listen beside that; elsewhere the port is free meanwhile.
    """

    def __init__(self, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._holder: socket.socket | None = _bound(port)
        self.port: int = self._holder.getsockname()[1]
        if sys.platform != "linux":
            self._release()
        self._socket: socket.socket | None = None
        self._arriving: set[asyncio.Task[object]] = set()

    def open(self) -> None:
        """Accept connections; does nothing if it does already.

        Raises:
            SettingError: somebody else listens on the port.
        """
        if self._socket is not None:
            return
        sock = _bound(self.port)
        try:
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise _taken(self.port, error) from None
        sock.settimeout(0)
        self._socket = sock
        self._watch()

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
        self._release()

    def _watch(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        while self._socket is not None:
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError:
                # No file descriptors are left: look again when some connections may have ended.
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket)
                loop.call_later(_OUT_OF_FILES_PAUSE, self._watch)
                return
            self._hand_over(connection)

    def _hand_over(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(loop.connect_accepted_socket(self._factory, connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _release(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise _taken(port, error) from None
    return sock


def _taken(port: int, error: Exception) -> SettingError:
    return SettingError("port", f"{port} cannot be used: {error}", "give another, or 0 to have one picked")
