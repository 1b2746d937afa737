"""The proxy that the environment names for the tenant, as curl and requests understand it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote_to_bytes

from yarl import URL

from harvester.errors import SettingError

_FORM = "write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\s]+)(?::(?P<port>[0-9]{1,5}))?/?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `url` holds no password: it is only in `authorization`, which the repr hides."""

    variable: str
    url: URL
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.url.host}:{self.url.port}"


def proxy_for(origin: URL, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for `origin`, None for a direct connection. Names in lower case take precedence.

    An `https` origin uses HTTPS_PROXY, an `http` one HTTP_PROXY, and both fall back to ALL_PROXY.
    Loopback is no exception: NO_PROXY is how to exempt a host.

    Raises:
        SettingError: the variable holds no URL of an HTTP proxy, or the proxy would see the token in clear.
    """
    if _exempt(origin, _value(environ, "NO_PROXY")[1]):
        return None
    for name in (f"{origin.scheme.upper()}_PROXY", "ALL_PROXY"):
        variable, value = _value(environ, name)
        if value:
            proxy = _parse(variable, value)
            _check_private(origin, proxy)
            return proxy
    return None


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for variable in (name.lower(), name):
        if value := environ.get(variable, "").strip():
            return variable, value
    return name, ""


def _parse(variable: str, value: str) -> Proxy:
    """Split by hand: the user name and password end at the last `@`, whatever they hold."""
    found = _SCHEME.match(value)
    scheme = found[1].lower() if found else "http"
    if scheme.startswith("socks"):
        raise SettingError(
            variable,
            "SOCKS proxies are not supported",
            "use an HTTP proxy, or one that forwards to the SOCKS proxy, such as Privoxy",
        )
    if scheme not in ("http", "https"):
        raise SettingError(variable, "is not the URL of an HTTP proxy", _FORM)
    user, at, address = value[found.end() if found else 0 :].rpartition("@")
    where = _ADDRESS.fullmatch(address)
    port = int(where["port"] or _default_port(scheme)) if where else 0
    if where is None or not 0 < port <= _LAST_PORT:
        raise SettingError(variable, "does not name the host and port of a proxy", _FORM)
    try:
        url = URL.build(scheme=scheme, host=where["host"].strip("[]"), port=port)
    except ValueError:
        raise SettingError(variable, "does not name a valid host", _FORM) from None
    return Proxy(variable, url, _basic(user) if at else None)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _basic(user: str) -> str:
    """RFC 7617, in UTF-8. A percent sign that begins no escape stands for itself."""
    plain = unquote_to_bytes(user.encode("utf-8", "surrogateescape"))
    if b":" not in plain:
        plain += b":"
    return "Basic " + base64.b64encode(plain).decode("ascii")


def _check_private(origin: URL, proxy: Proxy) -> None:
    """Plain http goes to loopback alone; a proxy elsewhere would carry the token unencrypted."""
    if origin.scheme == "http" and not is_loopback(proxy.url.host or ""):
        raise SettingError(
            proxy.variable,
            f"the proxy {proxy} would see the token of http://{origin.host} unencrypted",
            f"put {origin.host} into NO_PROXY",
        )


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _exempt(origin: URL, no_proxy: str) -> bool:
    host = (origin.host or "").rstrip(".").lower()
    return any(
        _covers(entry.strip().lower(), host, origin.port) for entry in no_proxy.replace(" ", ",").split(",")
    )


def _covers(entry: str, host: str, port: int | None) -> bool:
    """One entry of NO_PROXY: `*`, an address or network, a host, or a domain with all below it."""
    if not entry or entry == "*":
        return entry == "*"
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of the two is a name
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        if int(number) != port:
            return False
        entry = name.strip("[]")
    domain = entry.lstrip("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
