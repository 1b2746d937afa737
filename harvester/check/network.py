"""The way to the tenant: its name, its certificate, the proxy.

What goes wrong on the way is said by the first request, in the words of a run; here is only seen how far one
gets. Through a proxy, nothing can be seen without using it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harvester.check.finding import Finding, ok, warning
from harvester.tenant.route import Route, tls_context

_SOON_DAYS: Final = 14


async def look(
    route: Route, add: Callable[[Finding], None], *, tls: bool, ca_bundle: Path | None, patience: float
) -> str:
    """Find the host, connect to it once and look at its certificate, in `patience` seconds each.

    Returns the topic of whatever stops the first request.

    Raises:
        SettingError: a CA bundle cannot be used.
    """
    if route.proxy is not None:
        return "proxy"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience):
            found = await loop.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return "dns"
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    add(ok("dns", f"{route.host} is " + ("an address" if route.host in addresses else ", ".join(addresses))))
    if not tls:
        return "connection"
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(
                route.host, route.port, ssl=tls_context(ca_bundle, os.environ), server_hostname=route.host
            )
    except ssl.SSLError:
        return "tls"
    except (OSError, TimeoutError):
        return "connection"
    add(_certificate(writer.get_extra_info("ssl_object")))
    writer.close()
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), patience)
    return "connection"


def _certificate(connection: ssl.SSLObject) -> Finding:
    """A certificate that was accepted."""
    shown: Mapping[str, Any] = connection.getpeercert() or {}
    issuer = {key: value for part in shown.get("issuer", ()) for key, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed authority"
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    days = (expires - datetime.now(UTC)).days
    text = f"{connection.version()}, certificate by {by}, valid until {expires:%Y-%m-%d} ({days} days)"
    if days < _SOON_DAYS:
        return warning("tls", text, "it expires soon; the host's operator must renew it")
    return ok("tls", text)
