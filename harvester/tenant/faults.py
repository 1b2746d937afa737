"""The one place where the HTTP client's exceptions become values: what went wrong, in words for a person."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from harvester.model import Fault, Reason
from harvester.tenant.proxy import Proxy

_UNKNOWN_NAME = frozenset(
    code for name in ("EAI_NONAME", "EAI_NODATA") if (code := getattr(socket, name, None)) is not None
)
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 10, 62, 64  # OpenSSL's X509_V_ERR_…
_CERTIFICATE_HINTS = {
    _EXPIRED: "its operator must renew it; also check the clock of this machine",
    _OTHER_HOST: "it is for another host; check --base-url",
    _OTHER_ADDRESS: "it is for another host; check --base-url",
}
_UNTRUSTED_HINT = "if a proxy or a private authority signed it, give its certificate with --ca-bundle"
_PROXY_PASSWORD_NEEDED = 407


class ConnectionLost(aiohttp.ClientError):
    """The connection ended before a response came. Unlike aiohttp's own error, it makes nobody resend."""


class Unsolicited(aiohttp.ClientError):
    """A response came before its request was sent: it belongs to another one, or to none."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests go, perhaps through a proxy. `timeout` is for a request as a whole, in seconds."""

    host: str
    port: int
    proxy: Proxy | None
    timeout: float

    @property
    def through(self) -> str:
        """How to get there, for the end of a sentence."""
        return f" through the proxy {self.proxy} ({self.proxy.variable})" if self.proxy else ""


def translate(error: Exception, sent_at: float, route: Route) -> Fault:
    """The fault that `error` is: `permanent` if waiting cannot help, as long as nothing has ever answered."""
    for kind, read in _READERS:
        if isinstance(error, kind):
            return read(error, sent_at, route)
    return Fault(
        sent_at, Reason.WRONG_SHAPE, f"{route.host} does not speak HTTP as expected ({type(error).__name__})"
    )


def is_resolver_failure(error: Exception) -> bool:
    """Whether the resolver gave no answer at all: it may be busy, so that a few tries are due to it."""
    return isinstance(error, aiohttp.ClientConnectorDNSError) and not _name_is_unknown(error)


def _name_is_unknown(error: aiohttp.ClientConnectorDNSError) -> bool:
    return error.os_error.errno in _UNKNOWN_NAME


def _not_connected(
    sent_at: float, detail: str, *, permanent: bool = False, status: int | None = None
) -> Fault:
    return Fault(sent_at, Reason.CONNECT, detail, status=status, connected=False, permanent=permanent)


def _no_connection_in_time(_error: Exception, sent_at: float, route: Route) -> Fault:
    detail = f"{route.host} did not accept a connection within {route.timeout:g} s{route.through}"
    return _not_connected(
        sent_at, f"{detail}: check the network, and whether a proxy is needed (HTTPS_PROXY)"
    )


def _no_response_in_time(_error: Exception, sent_at: float, route: Route) -> Fault:
    return Fault(sent_at, Reason.TIMEOUT, f"{route.host} did not respond within {route.timeout:g} s")


def _bad_certificate(error: aiohttp.ClientConnectorCertificateError, sent_at: float, _route: Route) -> Fault:
    inner = error.certificate_error
    why, code = "", 0
    if isinstance(inner, ssl.SSLCertVerificationError):
        why, code = f" ({inner.verify_message.rstrip('.')})", inner.verify_code
    hint = _CERTIFICATE_HINTS.get(code, _UNTRUSTED_HINT)
    return _not_connected(
        sent_at, f"the certificate of {error.host} is not trusted{why}: {hint}", permanent=True
    )


def _unresolved(error: aiohttp.ClientConnectorDNSError, sent_at: float, route: Route) -> Fault:
    of_proxy = route.proxy is not None and error.host == route.proxy.url.raw_host
    where = f"of the proxy in {route.proxy.variable}" if of_proxy and route.proxy else "in --base-url"
    if _name_is_unknown(error):
        detail = f"the host name {error.host} is unknown: check the address {where}, and DNS"
        return _not_connected(sent_at, detail, permanent=True)
    detail = f"the host name {error.host} cannot be resolved at present ({_words(error.os_error)}): check DNS"
    return _not_connected(sent_at, detail)


def _proxy_refuses(error: aiohttp.ClientHttpProxyError, sent_at: float, route: Route) -> Fault:
    return proxy_status(error.status, sent_at, route)


def proxy_status(status: int, sent_at: float, route: Route) -> Fault:
    """The proxy itself answered with `status` instead of passing the request on."""
    name = f"the proxy {route.proxy}" if route.proxy else "a proxy"
    variable = route.proxy.variable if route.proxy else "HTTPS_PROXY"
    if status == _PROXY_PASSWORD_NEEDED:
        known = route.proxy is not None and route.proxy.authorization is not None
        detail = (
            f"{name} refuses the user name and password in {variable}"
            if known
            else (f"{name} requires a user name and password: put them into {variable}")
        )
        return _not_connected(sent_at, f"{detail} (407, for {route.host})", permanent=True, status=status)
    detail = f"{name} ({variable}) does not connect to {route.host}:{route.port} (it answered {status})"
    refused = 400 <= status < 500 and status not in (408, 425, 429)  # noqa: PLR2004  # RFC 9110, 15.5
    return _not_connected(sent_at, detail, permanent=refused, status=status)


def _proxy_unreachable(error: aiohttp.ClientProxyConnectionError, sent_at: float, route: Route) -> Fault:
    name = f"the proxy {route.proxy}" if route.proxy else "the proxy"
    variable = route.proxy.variable if route.proxy else "HTTPS_PROXY"
    if error.os_error.errno == errno.ECONNREFUSED:
        detail = f"{name} for {route.host} refuses the connection: check {variable}"
        return _not_connected(sent_at, detail, permanent=True)
    return _not_connected(sent_at, f"{name} for {route.host} cannot be reached ({_words(error.os_error)})")


def _unreachable(error: aiohttp.ClientConnectorError, sent_at: float, route: Route) -> Fault:
    code = error.os_error.errno
    if code in _NO_DESCRIPTORS:
        detail = "no connection can be opened, as this process has too many files open (see `ulimit -n`)"
    elif code == errno.ECONNREFUSED:
        detail = (
            f"{route.host} refuses the connection on port {route.port}: check host and port of --base-url, "
            "and that no firewall is in between"
        )
    else:
        detail = f"{route.host} cannot be reached{route.through} ({_words(error.os_error)})"
    return _not_connected(sent_at, detail)


def _cut_off(_error: Exception, sent_at: float, route: Route) -> Fault:
    return Fault(sent_at, Reason.TRUNCATED, f"the response of {route.host} was cut off")


def _closed(_error: Exception, sent_at: float, route: Route) -> Fault:
    return Fault(sent_at, Reason.CONNECTION_LOST, f"{route.host} closed the connection without a response")


def _unsolicited(_error: Exception, sent_at: float, route: Route) -> Fault:
    detail = f"{route.host} sent a response that nobody had asked for; the connection was closed"
    return Fault(sent_at, Reason.CONNECTION_LOST, detail)


def _words(error: OSError) -> str:
    """What went wrong; asyncio's own text repeats the address."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__


_READERS: tuple[tuple[type[Exception], Callable[[Any, float, Route], Fault]], ...] = (
    (aiohttp.ConnectionTimeoutError, _no_connection_in_time),
    (TimeoutError, _no_response_in_time),
    (aiohttp.ClientConnectorCertificateError, _bad_certificate),
    (aiohttp.ClientConnectorDNSError, _unresolved),
    (aiohttp.ClientHttpProxyError, _proxy_refuses),
    (aiohttp.ClientProxyConnectionError, _proxy_unreachable),
    (aiohttp.ClientConnectorError, _unreachable),
    (aiohttp.ClientPayloadError, _cut_off),
    (Unsolicited, _unsolicited),
    (ConnectionLost, _closed),
    (aiohttp.ServerDisconnectedError, _closed),
    (OSError, _closed),
)
"""The first line that fits counts: what comes earlier is a subclass of something that comes later."""
