"""The one place where the HTTP client's exceptions become values: what went wrong, in words for a person."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp

from harvester.model import Fault, Reason
from harvester.tenant.route import Route

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


def translate(  # noqa: C901, PLR0911  # one for each kind of error, the more specific ones first
    error: Exception, sent_at: float, route: Route
) -> Fault:
    """The fault that `error` is: `permanent` if waiting cannot help, as long as nothing has ever answered."""
    host = route.host
    match error:
        case aiohttp.ConnectionTimeoutError():
            return _not_connected(
                sent_at,
                f"{host} did not accept a connection within {route.timeout:g} s{route.through}: "
                "check the network, and whether a proxy is needed (HTTPS_PROXY)",
            )
        case TimeoutError():
            return Fault(sent_at, Reason.TIMEOUT, f"{host} did not respond within {route.timeout:g} s")
        case aiohttp.ClientConnectorCertificateError():
            return _bad_certificate(error, sent_at)
        case aiohttp.ClientConnectorDNSError():
            return _unresolved(error, sent_at, route)
        case aiohttp.ClientHttpProxyError():
            return proxy_status(error.status, sent_at, route)
        case aiohttp.ClientProxyConnectionError():
            return _proxy_unreachable(error.os_error, sent_at, route)
        case aiohttp.ClientConnectorError():
            return _unreachable(error.os_error, sent_at, route)
        case aiohttp.ClientPayloadError():
            return Fault(sent_at, Reason.TRUNCATED, f"the response of {host} was cut off")
        case Unsolicited():
            detail = f"{host} sent a response that nobody had asked for; the connection was closed"
            return Fault(sent_at, Reason.CONNECTION_LOST, detail)
        case ConnectionLost() | aiohttp.ServerDisconnectedError() | OSError():
            detail = f"{host} closed the connection without a response"
            return Fault(sent_at, Reason.CONNECTION_LOST, detail)
    detail = f"{host} does not speak HTTP as expected ({type(error).__name__})"
    return Fault(sent_at, Reason.WRONG_SHAPE, detail)


def is_resolver_failure(error: Exception) -> bool:
    """Whether the resolver gave no answer at all: it may be busy, so that a few tries are due to it."""
    return isinstance(error, aiohttp.ClientConnectorDNSError) and not _name_is_unknown(error)


def _name_is_unknown(error: aiohttp.ClientConnectorDNSError) -> bool:
    return error.os_error.errno in _UNKNOWN_NAME


def _not_connected(
    sent_at: float, detail: str, *, permanent: bool = False, status: int | None = None
) -> Fault:
    return Fault(sent_at, Reason.CONNECT, detail, status=status, connected=False, permanent=permanent)


def _bad_certificate(error: aiohttp.ClientConnectorCertificateError, sent_at: float) -> Fault:
    inner = error.certificate_error
    why, code = "", 0
    if isinstance(inner, ssl.SSLCertVerificationError):
        why, code = f" ({inner.verify_message.rstrip('.')})", inner.verify_code
    hint = _CERTIFICATE_HINTS.get(code, _UNTRUSTED_HINT)
    detail = f"the certificate of {error.host} is not trusted{why}: {hint}"
    return _not_connected(sent_at, detail, permanent=True)


def _unresolved(error: aiohttp.ClientConnectorDNSError, sent_at: float, route: Route) -> Fault:
    of_proxy = route.proxy is not None and error.host == route.proxy.url.raw_host
    where = f"of the proxy in {route.proxy.variable}" if of_proxy and route.proxy else "in --base-url"
    if _name_is_unknown(error):
        detail = f"the host name {error.host} is unknown: check the address {where}, and DNS"
        return _not_connected(sent_at, detail, permanent=True)
    detail = f"the host name {error.host} cannot be resolved at present ({_words(error.os_error)}): check DNS"
    return _not_connected(sent_at, detail)


def proxy_status(status: int, sent_at: float, route: Route) -> Fault:
    """The proxy itself answered with `status` instead of passing the request on."""
    name, variable = _proxy_of(route)
    if status == _PROXY_PASSWORD_NEEDED:
        if route.proxy is not None and route.proxy.authorization is not None:
            detail = f"{name} refuses the user name and password in {variable}"
        else:
            detail = f"{name} requires a user name and password: put them into {variable}"
        return _not_connected(sent_at, f"{detail} (407, for {route.host})", permanent=True, status=status)
    detail = f"{name} ({variable}) does not connect to {route.host}:{route.port} (it answered {status})"
    refused = 400 <= status < 500 and status not in (408, 425, 429)  # noqa: PLR2004  # RFC 9110, 15.5
    return _not_connected(sent_at, detail, permanent=refused, status=status)


def _proxy_unreachable(error: OSError, sent_at: float, route: Route) -> Fault:
    name, variable = _proxy_of(route)
    if error.errno == errno.ECONNREFUSED:
        detail = f"{name} for {route.host} refuses the connection: check {variable}"
        return _not_connected(sent_at, detail, permanent=True)
    return _not_connected(sent_at, f"{name} for {route.host} cannot be reached ({_words(error)})")


def _proxy_of(route: Route) -> tuple[str, str]:
    proxy = route.proxy
    return (f"the proxy {proxy}", proxy.variable) if proxy else ("the proxy", "HTTPS_PROXY")


def _unreachable(error: OSError, sent_at: float, route: Route) -> Fault:
    if error.errno in _NO_DESCRIPTORS:
        detail = "no connection can be opened, as this process has too many files open (see `ulimit -n`)"
    elif error.errno == errno.ECONNREFUSED:
        detail = (
            f"{route.host} refuses the connection on port {route.port}: check host and port of --base-url, "
            "and that no firewall is in between"
        )
    else:
        detail = f"{route.host} cannot be reached{route.through} ({_words(error)})"
    return _not_connected(sent_at, detail)


def _words(error: OSError) -> str:
    """What went wrong; asyncio's own text repeats the address."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
