"""The tenant's address: checked, so that a secret goes out encrypted and to where it was meant to."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from harvester.next.settings.parse import BadValue

API_VERSIONS = ("v3", "beta", "v2024", "v2025", "v2026", "v1")

_VERSION = re.compile(rf"/(?:{'|'.join(API_VERSIONS)})/?$")
_TENANT_PAGE = re.compile(r"([a-z0-9-]+)\.(identitynow(?:-demo)?\.com)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_EXAMPLE = "write it in full, for example https://acme.api.identitynow.com"


def base_url(value: object) -> str:
    """The URL that paths such as ``/oauth/token`` are appended to: no ``/`` and no API version at its end.

    Raises:
        BadValue: it is not a URL, is not encrypted (except to loopback), or has parts that do not belong.
    """
    if not isinstance(value, str) or not value.strip():
        raise BadValue("is not a URL", _EXAMPLE)
    parts, port = _parts(value.strip())
    host = _host(parts)
    if parts.scheme == "http" and not is_loopback(host):
        raise BadValue("would send the token unencrypted", "use https:// (http:// is for loopback only)")
    if found := _TENANT_PAGE.fullmatch(host):
        hint = f"its API is at https://{found[1]}.api.{found[2]}"
        raise BadValue("is the address of the tenant's user interface", hint)
    where = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        where += f":{port}"
    return f"{parts.scheme}://{where}{_VERSION.sub('', parts.path).rstrip('/')}"


def origin(url: str) -> str:
    """Scheme, host and port of a checked base URL."""
    return "/".join(url.split("/", 3)[:3])


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(value: str) -> tuple[SplitResult, int | None]:
    if "@" in value.split("?", maxsplit=1)[0]:
        raise BadValue("has a user name or password in it", "remove what is between // and @", secret=True)
    if any(one.isspace() or not one.isprintable() or one == "\\" for one in value):
        raise BadValue("is not a URL", _EXAMPLE)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise BadValue("is not a URL", _EXAMPLE) from error
    if parts.query or parts.fragment:
        raise BadValue("has a query or fragment", "remove everything from ? or # on", secret=True)
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise BadValue("does not begin with https://", f"write {_guess(value)}")
    return parts, port


def _guess(value: str) -> str:
    """What somebody who wrote only a tenant's name or host probably meant."""
    rest = value.rsplit("://", maxsplit=1)[-1].strip("/")
    if found := _TENANT_PAGE.fullmatch(rest.lower()):
        return f"https://{found[1]}.api.{found[2]}"
    return f"https://{rest}.api.identitynow.com" if _NAME.fullmatch(rest) else f"https://{rest}"


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if not host or (":" not in host and not re.fullmatch(r"[^/?#\[\]%:]+", host)):
        raise BadValue("has no host", _EXAMPLE)
    return host
