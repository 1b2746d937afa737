"""Single requests to the tenant, timed: what a check learns of latency, clock and quota comes from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from harvester.tenant.exchange import ANONYMOUS, Headers
from harvester.tenant.transport import Answer, Transport


class Exchange(NamedTuple):
    """One request that was answered: how long that took, when the answer came, and its headers."""

    seconds: float
    came: datetime
    headers: Mapping[str, str]


class Asking:
    """GET requests over one transport; `exchanges` are those that were answered, in their order."""

    def __init__(
        self,
        transport: Transport,
        base_url: str,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.transport = transport
        self.host = transport.host
        self.exchanges: list[Exchange] = []
        self._base_url = base_url
        self._clock = clock
        self._now = now

    def url(self, path: str) -> str:
        """The URL of `path`, for people."""
        return self._base_url + path

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, headers: Headers | None = None
    ) -> Answer:
        """Ask for `path` once.

        Raises:
            Fault: no answer came.
        """
        began = self._clock()
        answer = await self.transport.get(path, self.transport.query(query or {}), headers or ANONYMOUS)
        self.exchanges.append(Exchange(self._clock() - began, self._now(), answer.headers))
        return answer
