"""One HTTP request to the tenant: one origin, bounded bodies, faults translated once.

`Authorization` can't leave the configured origin: every URL is made here from it, and redirects are
handed back as answers. Bodies are bounded as they arrive and again as they are decompressed, by this
module and not by the client library, since a compressed body is the sender's choice.
"""

from __future__ import annotations

import os
import ssl
import urllib.request
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
import zstandard
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from harvester.errors import Fault, SettingFault
from harvester.model import Reason
from harvester.settings.model import Settings
from harvester.tenant.exchange import Exchanges, Headers, too_large

USER_AGENT = "account-usage-harvester"
_DNS_TTL = 300


class Answer(NamedTuple):
    """An HTTP answer, its body read, bounded and decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Requests to one origin over kept-alive connections; to be made and closed inside the running loop.

    Raises:
        Fault: no good answer came: not connected, lost, timed out, truncated or too large.
    """

    def __init__(self, settings: Settings) -> None:
        self._origin = URL(settings.base_url)
        self._prefix = self._origin.raw_path.rstrip("/")
        self._max_body = settings.max_body_bytes
        self._connector = aiohttp.TCPConnector(
            # The engine bounds what is in flight; a second bound here could only deadlock with it.
            limit=0,
            ttl_dns_cache=_DNS_TTL,
            # True is the system's trust store, which aiohttp has loaded already: it takes some 50 ms.
            ssl=True if settings.ca_bundle is None else tls_context(settings),
        )
        self._exchanges = Exchanges(
            self._connector,
            self._origin,
            # Found once: aiohttp's session would ask the environment in a thread for each request.
            proxy=proxy_for(self._origin),
            timeout=settings.timeout,
            max_body=self._max_body,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        self._exchanges.close()
        await self._connector.close()

    @property
    def host(self) -> str:
        """The tenant's host, as logs name it."""
        return self._origin.host or ""

    def query(self, query: Mapping[str, str]) -> str:
        """`query` percent-encoded, with its question mark, for `get`."""
        return f"?{URL.build(query=query).raw_query_string}" if query else ""

    async def get(self, path: str, query: str, headers: Headers) -> Answer:
        """GET `path` (percent-encoded, from the root) with `query`, which came from `query()`."""
        return await self._answer(b"GET", path + query, headers)

    async def post_form(self, path: str, form: Mapping[str, str]) -> Answer:
        """POST a form to `path`, which is how OAuth 2.0 asks for a token (RFC 6749, 4.4.2)."""
        content = urlencode(form).encode()
        headers = Headers(
            {
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Content-Type": "application/x-www-form-urlencoded",
                "Content-Length": str(len(content)),
            }
        )
        return await self._answer(b"POST", path, headers, content)

    async def _answer(self, method: bytes, target: str, headers: Headers, content: bytes = b"") -> Answer:
        try:
            message, body = await self._exchanges.send(method, self._prefix + target, headers, content)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise translate(error, self.host) from error
        encoding = message.headers.get("Content-Encoding")
        if encoding:
            body = decompress(body, encoding, self._max_body)
        return Answer(message.code, message.headers, body)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding (RFC 9110, 8.4.1) without ever holding more than `limit` bytes of output.

    Raises:
        Fault: too large once decompressed, broken, cut off, or a coding that nobody asked for.
    """
    for coding in reversed([part.strip().lower() for part in encoding.split(",")]):
        if coding in ("gzip", "x-gzip", "deflate"):
            body = _inflate(body, limit, wrapped=coding != "deflate")
        elif coding == "zstd":
            body = _unzstd(body, limit)
        elif coding and coding != "identity":
            raise Fault(Reason.NOT_JSON, f"the answer is encoded as {coding[:20]!r}, which was not asked for")
    return body


def _inflate(body: bytes, limit: int, *, wrapped: bool) -> bytes:
    # "deflate" is the zlib format, but some servers send the bare stream.
    bare = -zlib.MAX_WBITS if body[:1] != b"\x78" else zlib.MAX_WBITS
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16 if wrapped else bare)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise Fault(Reason.TRUNCATED, "the compressed answer is broken") from error
    if len(plain) > limit:
        raise too_large(limit)
    if not inflater.eof:
        raise Fault(Reason.TRUNCATED, "the compressed answer is cut off")
    return plain


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(body) as reader:
            plain = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise Fault(Reason.TRUNCATED, "the compressed answer is broken") from error
    if len(plain) > limit:
        raise too_large(limit)
    return plain


_CONNECT, _CONNECTED = False, True
_TRANSLATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Reason, str, bool], ...] = (
    (aiohttp.ConnectionTimeoutError, Reason.CONNECT, "{host} did not accept a connection in time", _CONNECT),
    (TimeoutError, Reason.TIMEOUT, "{host} did not answer in time", _CONNECTED),
    (
        aiohttp.ClientConnectorCertificateError,
        Reason.CONNECT,
        "the certificate of {host} is not trusted ({cause})",
        _CONNECT,
    ),
    (aiohttp.ClientConnectorDNSError, Reason.CONNECT, "the name {host} can't be resolved", _CONNECT),
    (aiohttp.ClientHttpProxyError, Reason.CONNECT, "the proxy refused the way to {host}", _CONNECT),
    (aiohttp.ClientConnectorError, Reason.CONNECT, "can't connect to {host} ({cause})", _CONNECT),
    (aiohttp.ClientPayloadError, Reason.TRUNCATED, "the answer of {host} was cut off", _CONNECTED),
    (
        (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError),
        Reason.CONNECTION_LOST,
        "{host} closed the connection",
        _CONNECTED,
    ),
)
"""The first line that fits counts: what comes earlier is a subclass of something that comes later."""


def translate(error: Exception, host: str) -> Fault:
    """The one place where the client library's exceptions become ours."""
    for kinds, reason, words, connected in _TRANSLATIONS:
        if isinstance(error, kinds):
            problem = words.format(host=host, cause=_cause(error))
            return Fault(reason, problem, connected=connected)
    return Fault(Reason.WRONG_SHAPE, f"{host} did not speak HTTP as expected ({type(error).__name__})")


def _cause(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    words = getattr(inner, "verify_message", None)
    if words is None and isinstance(inner, OSError) and inner.errno is not None and inner.errno > 0:
        words = os.strerror(inner.errno)  # asyncio's own text repeats the address
    return str(words or type(inner).__name__)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """The system's trust store, and the operator's own CA bundle beside it.

    Raises:
        SettingFault: the bundle can't be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if settings.ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_bundle)
        except OSError as error:
            raise SettingFault(
                "--ca-bundle",
                f"{settings.ca_bundle} can't be used ({error.strerror or 'no certificate in it'})",
                "give a PEM file with the certificates to trust",
            ) from error
    return context


def proxy_for(origin: URL) -> URL | None:
    """The proxy that HTTPS_PROXY and NO_PROXY name for `origin`, if any.

    HTTP_PROXY is not for us: plain http is for this machine alone, and no proxy gets there.
    """
    if (
        origin.host is None
        or origin.scheme != "https"
        or urllib.request.proxy_bypass(f"{origin.host}:{origin.port}")
    ):
        return None
    if urllib.request.proxy_bypass(origin.host):
        return None
    found = urllib.request.getproxies().get(origin.scheme)
    if not found:
        return None
    return URL(found if "://" in found else f"http://{found}")
