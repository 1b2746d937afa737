"""The route to the tenant: the proxy that the environment names for it, and the certificates to trust."""

from __future__ import annotations

import base64
import errno
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from yarl import URL

from harvester.errors import SettingError

_FORM: Final = "write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\s]+)(?::(?P<port>[0-9]{1,5}))?/?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65535
_CA_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNREADABLE: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `url` holds no password: it is only in `authorization`, which the repr hides."""

    variable: str
    url: URL
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.url.host}:{self.url.port}"


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


def proxy_for(origin: URL, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for `origin`, None for a direct connection; as curl and requests understand the variables.

    An `https` origin uses HTTPS_PROXY, an `http` one HTTP_PROXY, and both fall back to ALL_PROXY; names in
    lower case take precedence. Loopback is no exception: NO_PROXY is how to exempt a host.

    Raises:
        SettingError: the variable holds no URL of an HTTP proxy, or the proxy would see the token in clear.
    """
    host, exempt = (origin.host or "").rstrip(".").lower(), _value(environ, "NO_PROXY")[1]
    if any(_covers(one.strip().lower(), host, origin.port) for one in exempt.replace(" ", ",").split(",")):
        return None
    for name in (f"{origin.scheme.upper()}_PROXY", "ALL_PROXY"):
        variable, value = _value(environ, name)
        if value:
            proxy = _parse(variable, value)
            if origin.scheme == "http" and not is_loopback(proxy.url.host or ""):
                problem = f"the proxy {proxy} would see the token of http://{origin.host} unencrypted"
                raise SettingError(variable, problem, f"put {origin.host} into NO_PROXY")
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
        hint = "use an HTTP proxy, or one that forwards to the SOCKS proxy, such as Privoxy"
        raise SettingError(variable, "SOCKS proxies are not supported", hint)
    if scheme not in _DEFAULT_PORTS:
        raise SettingError(variable, "is not the URL of an HTTP proxy", _FORM)
    user, at, address = value[found.end() if found else 0 :].rpartition("@")
    where = _ADDRESS.fullmatch(address)
    port = int(where["port"] or _DEFAULT_PORTS[scheme]) if where else 0
    if where is None or not 0 < port <= _LAST_PORT:
        raise SettingError(variable, "does not name the host and port of a proxy", _FORM)
    try:
        url = URL.build(scheme=scheme, host=where["host"].strip("[]"), port=port)
    except ValueError:
        raise SettingError(variable, "does not name a valid host", _FORM) from None
    return Proxy(variable, url, _basic(user) if at else None)


def _basic(user: str) -> str:
    """RFC 7617, in UTF-8. A percent sign that begins no escape stands for itself."""
    plain = unquote_to_bytes(user.encode("utf-8", "surrogateescape"))
    if b":" not in plain:
        plain += b":"
    return "Basic " + base64.b64encode(plain).decode("ascii")


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


def tls_context(ca_bundle: Path | None, environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """The system's certificates, and beside them `ca_bundle` and those that the environment names.

    True stands for the system's alone, which aiohttp has loaded already: that takes some 50 ms.

    Raises:
        SettingError: a bundle cannot be read or holds no certificate.
    """
    bundles = [("--ca-bundle", ca_bundle)] if ca_bundle is not None else []
    bundles += [(name, Path(environ[name])) for name in _CA_VARIABLES if environ.get(name)]
    if not bundles:
        return True
    context = ssl.create_default_context()
    system = Path(ssl.get_default_verify_paths().openssl_cafile)  # SSL_CERT_FILE takes its place, else
    if system.is_file():
        context.load_verify_locations(cafile=system)
    for name, path in bundles:
        cafile, capath = (None, path) if path.is_dir() else (path, None)
        try:
            context.load_verify_locations(cafile, capath)
        except OSError as error:
            reason = error.strerror if error.errno in _UNREADABLE else "it holds no certificate"
            hint = "give a PEM file with the certificates to trust"
            raise SettingError(name, f"{path} cannot be used ({reason})", hint) from error
    return context
