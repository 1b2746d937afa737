"""Requests to one origin over aiohttp's session: bounded bodies, no redirects, every problem a value.

`Authorization` cannot leave the configured origin: every URL is made here from it. Bodies are bounded as they
arrive and again as they are decompressed, by this package and not by aiohttp, since a compressed body is the
sender's choice.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from yarl import URL

from harvester.errors import SettingError
from harvester.model import Fault
from harvester.tenant.decompress import BadBody, decompress, too_large
from harvester.tenant.faults import (
    ConnectionLost,
    Unsolicited,
    is_resolver_failure,
    proxy_status,
    translate,
)
from harvester.tenant.route import Route, is_loopback, proxy_for, tls_context

_USER_AGENT: Final = "account-usage-harvester"
_HEADERS: Final = {
    "Accept": "application/json",
    # A page of usage rows is smaller than the work to unpack it; what is compressed anyway is understood.
    "Accept-Encoding": "identity",
    "User-Agent": _USER_AGENT,
}
_DNS_TTL: Final = 300
_KEEP_ALIVE: Final = 30.0
_HEADER_BYTES: Final = 64 * 1024
_ERROR_BODY: Final = 64 * 1024
_OK: Final = 200
_PROXY_PASSWORD_NEEDED: Final = 407
_POOLS_KEPT: Final = 8
_RESOLVER_TRIES: Final = 4
_RESOLVER_SECONDS: Final = 5.0
_LOOKS: Final = 8
_LONGEST_LOOK: Final = 1.0


class Response(NamedTuple):
    """An HTTP response, its body read, bounded and decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Sends requests to the origin of `base_url`. To be made and closed inside the running loop.

    `timeout` is for a request as a whole, in seconds; `max_body_bytes` for a body as sent and as unpacked.
    `ever_answered` says that the tenant has answered at least once, whatever it was.

    Raises:
        SettingError: a CA bundle or a proxy of the environment cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = 30.0,
        ca_bundle: Path | None = None,
        max_body_bytes: int = 8 << 20,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        origin = URL(base_url)
        if origin.scheme != "https" and not is_loopback(origin.host or ""):
            raise SettingError("--base-url", "would send the token unencrypted", "use https://")
        self._scheme = origin.scheme
        self._authority = origin.raw_authority
        self._prefix = origin.raw_path.rstrip("/")
        self._max_body = max_body_bytes
        self._loop = asyncio.get_running_loop()
        proxy = proxy_for(origin, environ)
        # The password goes out in UTF-8, and only to the proxy.
        password = None if proxy is None else proxy.authorization
        self._proxy_headers = {"Proxy-Authorization": password} if password else {}
        self.route = Route(origin.host or "", origin.port or 0, proxy, timeout)
        self.ever_answered = False
        self.permanent_fault: Fault | None = None
        self._resolver_failed: list[float] = []
        self._overdue = _Overdue(timeout, self._loop)
        self._tls = tls_context(ca_bundle, environ) if origin.scheme == "https" else True
        self._session = self._open_session()
        self._left: deque[aiohttp.ClientSession] = deque()

    def _open_session(self) -> aiohttp.ClientSession:
        tunnel = self._scheme == "https"  # if there is none, each request is the proxy's, too
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # The engine bounds what is in flight; a second bound here could only deadlock with it.
                limit=0,
                ttl_dns_cache=_DNS_TTL,
                keepalive_timeout=_KEEP_ALIVE,
                resolver=aiohttp.ThreadedResolver(),
                ssl=self._tls,
            ),
            headers=_HEADERS if tunnel else {**_HEADERS, **self._proxy_headers},
            proxy=None if self.route.proxy is None else self.route.proxy.url,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # `_Overdue` bounds a request as a whole.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self.route.timeout, ceil_threshold=2 * self.route.timeout
            ),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            middlewares=(_send_once,),
        )

    async def _leave_pool(self) -> None:
        """Use new connections from now on. Requests in flight on the old ones may end."""
        self._left.append(self._session)
        self._session = self._open_session()
        if len(self._left) > _POOLS_KEPT:
            await self._left.popleft().close()

    async def close(self) -> None:
        """Close the connections."""
        self._overdue.close()
        for session in (*self._left, self._session):
            await session.close()

    async def request(
        self,
        path: str,
        query: str,
        headers: Mapping[str, str],
        sent_at: float,
        *,
        form: bytes | None = None,
    ) -> Response | Fault:
        """GET `path` (from the root) with `query`, both percent-encoded, or POST an encoded `form` to it.

        `sent_at` is the loop's time now.
        """
        url = URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._prefix + path,
            query_string=query,
            encoded=True,
        )
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in a task
        self._overdue.watch(task, sent_at)
        turns: list[None] = []
        self._loop.call_soon(turns.append, None)
        try:
            response = await self._session.request(
                "GET" if form is None else "POST",
                url,
                headers=headers,
                data=form,
                allow_redirects=False,
                proxy_headers=self._proxy_headers,
            )
            if not turns:
                # The loop has read nothing since, so this came before the request was sent. Its connection is
                # back in the pool, and the true response is still to come on it: leave that pool behind.
                response.close()
                await self._leave_pool()
                raise Unsolicited
            body = await self._body(response)
        except asyncio.CancelledError:
            if not self._overdue.ended(task):
                raise
            return self._fault(TimeoutError(), sent_at)
        except BadBody as bad:
            self._overdue.ended(task)
            self.ever_answered = True
            return Fault(sent_at, bad.reason, bad.detail, status=_OK)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._fault(TimeoutError() if self._overdue.ended(task) else error, sent_at)
        self._overdue.ended(task)
        if response.status == _PROXY_PASSWORD_NEEDED and self.route.proxy is not None:
            return self._remember(proxy_status(response.status, sent_at, self.route))
        self.ever_answered = True
        return Response(response.status, response.headers, body)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the body, which usually came in one piece with the headers.

        Raises:
            BadBody: a good response is too large, or its compression is broken.
        """
        good = response.status == _OK
        limit = self._max_body if good else _ERROR_BODY
        try:
            body = await response.content.readany()
            if not response.content.at_eof():
                body = await _rest(response.content, body, limit)
        except BaseException:
            response.close()
            raise
        if not response.content.at_eof():
            response.close()  # the beginning of an error page says enough
        if len(body) > limit and good:
            raise too_large(limit)
        encoding = response.headers.get("Content-Encoding")
        if not encoding:
            return body
        try:
            return decompress(body, encoding, limit)
        except BadBody:
            if good:
                raise
            return b""  # the status is what counts

    def _fault(self, error: Exception, sent_at: float) -> Fault:
        fault = translate(error, sent_at, self.route)
        if is_resolver_failure(error):
            fault = replace(fault, permanent=self._resolver_is_dead(sent_at))
        elif fault.connected:
            self._resolver_failed.clear()
        return self._remember(fault)

    def _resolver_is_dead(self, now: float) -> bool:
        """Whether a resolver that gives no answer has had its tries: it may just be busy."""
        self._resolver_failed.append(now)
        tries = self._resolver_failed
        return len(tries) >= _RESOLVER_TRIES and now - tries[0] >= _RESOLVER_SECONDS

    def _remember(self, fault: Fault) -> Fault:
        if not fault.permanent:
            return fault
        if self.ever_answered:
            return replace(fault, permanent=False)
        self.permanent_fault = fault
        return fault


class _Overdue:
    """Cancels the tasks whose request takes longer than `timeout` seconds; a task has one at a time.

    One timer serves many requests, as one timer each costs a tenth of a request's CPU time.
    It looks at them eight times within `timeout`, but at least once a second: a request may take that
    much longer.
    """

    def __init__(self, timeout: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timeout = timeout
        self._every = min(timeout / _LOOKS, _LONGEST_LOOK)
        self._loop = loop
        self._began: dict[asyncio.Task[Any], float] = {}
        self._canceled: dict[asyncio.Task[Any], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, task: asyncio.Task[Any], began: float) -> None:
        """The request of `task` began at `began`; cancel the task if it takes too long."""
        self._began[task] = began
        if self._timer is None:
            self._timer = self._loop.call_later(self._every, self._look)

    def ended(self, task: asyncio.Task[Any]) -> bool:
        """The request of `task` ended; whether it was canceled here and by nobody else.

        If so, the cancellation is taken back (`Task.uncancel`): the task goes on, with a timeout to report.
        """
        del self._began[task]
        earlier = self._canceled.pop(task, None) if self._canceled else None
        return earlier is not None and task.uncancel() <= earlier

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._every, self._look) if self._began else None
        latest = self._loop.time() - self._timeout
        for task, began in self._began.items():
            if began < latest and task not in self._canceled:
                self._canceled[task] = task.cancelling()
                task.cancel()


async def _rest(content: aiohttp.StreamReader, begun: bytes, limit: int) -> bytes:
    """All of the body, of which `begun` is the beginning, or a little more than `limit` bytes of it."""
    body = bytearray(begun)
    while len(body) <= limit and not content.at_eof():
        body += await content.readany()
    return bytes(body)


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from resending a request by itself when its connection is lost.

    Each request needs a permit of its own, and is counted; a lost one is repeated by whoever sent it.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectionLost from error
