"""The way to the tenant: its name, its certificate, and whether what answers there is the API."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from yarl import URL

from harvester.errors import Fault, GiveUp, Throttled, TokenRejected
from harvester.model import Reason
from harvester.settings.base_url import is_loopback
from harvester.settings.model import Settings
from harvester.tenant.answers import decode, refusal
from harvester.tenant.diagnosis.asking import Asking
from harvester.tenant.diagnosis.finding import Finding, ok, problem, warning
from harvester.tenant.transport import proxy_for, tls_context

_SOON_DAYS = 14
_NETWORK = "check host and port of --base-url, the network, and HTTPS_PROXY if there is a proxy between"
_BASE_URL = "check --base-url: it is https://TENANT.api.identitynow.com or your own host, without a path"
_UNTRUSTED = (
    "if a proxy or a host of your own signs with a private authority, give its certificate with --ca-bundle"
)
_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 10, 62, 64
"""OpenSSL's numbers (X509_V_ERR_…) for the reasons that --ca-bundle does not mend."""
_CERTIFICATE_MENDS = {
    _EXPIRED: "whoever runs that host must renew it; also check this machine's clock",
    _OTHER_HOST: "check --base-url: the certificate is for another host",
    _OTHER_ADDRESS: "check --base-url: the certificate is for another host",
}


async def name_found(settings: Settings) -> Finding:
    """Whether the host's name can be resolved; a proxy resolves it by itself."""
    origin = URL(settings.base_url)
    host, port = origin.host or "", origin.port or 0
    proxy = proxy_for(origin)
    if proxy is not None:
        where = str(proxy.with_user(None).with_password(None))
        return ok("name", f"{host} is left to the proxy {where} to find", proxy=where)
    try:
        async with asyncio.timeout(settings.timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no answer in time"
        return problem(
            "name",
            f"{host} can't be found ({reason})",
            f"check --base-url ({settings.base_url}) and DNS",
        )
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    text = f"{host} is an address" if host in addresses else f"{host} is {', '.join(addresses)}"
    return ok("name", text, addresses=addresses)


async def certificate(settings: Settings, *, now: datetime) -> Finding:
    """Whether the host proves who it is, by whom, and for how long still.

    Raises:
        SettingFault: the CA bundle can't be used.
    """
    origin = URL(settings.base_url)
    host, port = origin.host or "", origin.port or 0
    if origin.scheme == "http":
        return ok("TLS", "none: plain http, which is taken to loopback only", loopback=is_loopback(host))
    context = tls_context(settings)
    if proxy_for(origin) is not None:
        return ok("TLS", "checked in each request, through the proxy")
    try:
        async with asyncio.timeout(settings.timeout):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except (OSError, TimeoutError) as error:
        return _not_secure(host, port, error)
    shown = writer.get_extra_info("peercert") or {}
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return _shown(shown, version, now)


def _not_secure(host: str, port: int, error: Exception) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = _CERTIFICATE_MENDS.get(error.verify_code, _UNTRUSTED)
        text = f"the certificate of {host} is not trusted ({error.verify_message.rstrip('.')})"
        return problem("TLS", text, mend, verifyCode=error.verify_code)
    if isinstance(error, ssl.SSLError):
        return problem("TLS", f"{host}:{port} does not speak TLS ({error.reason or 'no reason'})", _BASE_URL)
    # The text that asyncio gives them is about its own calls.
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else "no answer in time"
    return problem("TLS", f"can't connect to {host}:{port} ({reason})", _NETWORK)


def _shown(shown: Mapping[str, Any], version: str, now: datetime) -> Finding:
    """A certificate that was accepted."""
    issuer = {key: value for part in shown.get("issuer", ()) for key, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed authority"
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    days = (expires - now).days
    text = f"{version}, certificate by {by}, good until {expires:%Y-%m-%d} ({days} days)"
    facts = {"version": version, "issuer": by, "expires": expires.isoformat()}
    if days < _SOON_DAYS:
        return warning("TLS", text, "it expires soon: whoever runs that host must renew it", **facts)
    return ok("TLS", text, **facts)


async def tenant_told(asking: Asking) -> Finding:
    """What `/oauth/info` says of the tenant, which it tells anybody."""
    try:
        answer = await asking.get("/oauth/info")
        if answer.status != 200:  # noqa: PLR2004  # the one good status
            raise refusal(answer)
        told = decode(answer.body)
    except Throttled:
        return warning("tenant", "/oauth/info is answered 429", "try again in a minute", reached=True)
    except (Fault, GiveUp, TokenRejected) as error:
        return _no_tenant(asking, error)
    if not isinstance(told, dict) or not isinstance(told.get("tokenEndpoint"), str):
        return problem("tenant", f"what answers at {asking.host} is not the API", _BASE_URL, reached=True)
    name, pod = told.get("tenantName") or "unnamed", told.get("pod") or "unknown"
    return ok("tenant", f"{name}, pod {pod}", tenantName=name, pod=pod, reached=True)


def _no_tenant(asking: Asking, error: Fault | GiveUp | TokenRejected) -> Finding:
    status = getattr(error, "status", 401)
    if isinstance(error, Fault) and error.reason in (Reason.CONNECT, Reason.CONNECTION_LOST, Reason.TIMEOUT):
        return problem("tenant", error.problem, _NETWORK, reached=False)
    if isinstance(error, Fault) and status is not None and status >= 500:  # noqa: PLR2004  # RFC 9110, 15.6
        text = f"{asking.host} has trouble of its own ({status}: {error.problem})"
        return problem(
            "tenant", text, "try again later; the tenant's status page may say more", reached=False
        )
    said = error.problem if status in (None, 200) else f"{status}: {error.problem.removeprefix(f'{status} ')}"
    text = f"{asking.url('/oauth/info')} does not tell the tenant ({said})"
    return problem("tenant", text, _BASE_URL, reached=True)
