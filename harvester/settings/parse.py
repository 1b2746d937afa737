"""What people write, as values: quotas, durations, months, shards, numbers, words, addresses.

Flags and the environment give text, TOML gives its own types too, library users give ready values: each
parser takes all of them, and takes its own result unchanged. What it does not accept it refuses with a
`BadValue`; where the value came from is for the caller to say.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harvester.model import Quota, Shard

API_VERSIONS = ("v3", "beta", "v2024", "v2025", "v2026", "v1")
MOST_SHARDS = 10_000

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "": 1.0}
_UNITS = "ms|s|m|h|d|w"
_DIGITS = "[0-9]{1,18}"  # longer numbers mean nothing here, and int() refuses thousands of digits
_NUMBER = rf"{_DIGITS}(?:\.{_DIGITS})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:{_UNITS})\s*)+|{_NUMBER}")
_STEP = re.compile(rf"({_NUMBER})({_UNITS}|)")
_QUOTA = re.compile(rf"({_DIGITS})\s*/\s*(?=\S)(?:({_NUMBER})\s*)?({_UNITS}|)")
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_SHARD = re.compile(rf"({_DIGITS})\s*/\s*({_DIGITS})")
_WHOLE = re.compile(rf"[+-]?{_DIGITS}")
_MODE = re.compile(r"(?:0o?)?([0-7]{3})")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_OWNER, _ALL = 0o600, 0o777
_AMBIGUOUS_MODES = (400, 440, 444)  # as integers they are 0620, 0670 and 0674, which nobody means

_VERSION_AT_END = re.compile(rf"/(?:{'|'.join(API_VERSIONS)})/?$")
_TENANT_PAGE = re.compile(r"([a-z0-9-]+)\.(identitynow(?:-demo)?\.com)")
_PORTS = {"https": 443, "http": 80}
_FULL_ADDRESS = "write it in full, for example https://acme.api.identitynow.com"


class BadValue(Exception):  # a finding on its way to becoming a SettingError
    """A value that is not accepted. `secret` is True where it must not be shown."""

    def __init__(self, problem: str, hint: str = "", *, secret: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.secret = secret


# --- texts and paths


def text(value: object) -> str:
    """Any text that is not blank, without the blanks around it."""
    if not isinstance(value, str):
        raise BadValue("is not text", "put it in quotes")
    if not value.strip():
        raise BadValue("is blank", "give a value, or leave the setting out")
    if not value.isprintable():
        raise BadValue("has characters that cannot be printed", "write it without them")
    return value.strip()


def path_text(value: object) -> str:
    """A path as it is written, which may have a meaningful ``/`` at its end; ``~`` is the home directory."""
    if not isinstance(value, (str, Path)):
        raise BadValue("is not a path", "put it in quotes")
    written = str(value)
    if not written.strip():
        raise BadValue("is blank", "give a path, or leave the setting out")
    if "\0" in written:
        raise BadValue("has a NUL character in it", "write the path without it")
    expanded = os.path.expanduser(written)  # noqa: PTH111  # a Path would lose the end
    if expanded.startswith("~"):
        hint = "write the full path, or ./~… for such a name"
        raise BadValue("begins with a home directory that is not known", hint)
    return expanded


def path(value: object) -> Path:
    """A path, relative to the working directory unless absolute."""
    return Path(path_text(value))


def paths(value: object) -> tuple[str, ...]:
    """Several paths as they are written (``-`` is stdin): a list, or one."""
    return tuple(map(path_text, _list(value, str, Path)))


def texts(value: object) -> tuple[str, ...]:
    """One or more texts, such as account IDs; a text is one, whatever is in it."""
    return tuple(map(text, _list(value, str)))


def fields(value: object) -> tuple[str, ...]:
    """Names of properties to keep with each account, once each: a list, or text with commas."""
    found = dict.fromkeys(names(value))
    if any(name.partition(".")[0] == "attributes" for name in found):
        problem = "has attributes, which may hold anything about a person and are never kept"
        raise BadValue(problem, "name other properties")
    return tuple(map(text, found))


def names(value: object) -> list[str]:
    """The names in a list, or between the commas of a text; ``none`` is none."""
    found = _list(value.split(",") if isinstance(value, str) else value, str)
    return [name for name in (one.strip() for one in found) if name not in ("", "none")]


def _list(value: object, *kinds: type) -> Sequence[Any]:
    """The members of a list, or the one value of such a kind."""
    found = (value,) if isinstance(value, kinds) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, kinds) for one in found):
        raise BadValue("is not a list of strings", 'write ["one", "two"]')
    return found


# --- numbers, times, modes


def flag(value: object) -> bool:
    """Yes or no: TOML's true and false, and the words people put into environment variables."""
    if isinstance(value, bool):
        return value
    said = value.strip().lower() if isinstance(value, str) else ""
    if said not in _TRUE + _FALSE:
        raise BadValue("is neither true nor false", "write true or false")
    return said in _TRUE


def whole(value: object) -> int:
    """A whole number; ``1_000`` is one too."""
    if isinstance(value, str) and _WHOLE.fullmatch(digits := re.sub(r"(?<=\d)_(?=\d)", "", value.strip())):
        return int(digits)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadValue("is not a whole number", "write digits only, for example 250")


def duration(value: object) -> float:
    """Seconds: a number, or parts with units such as ``90s``, ``2h30m``, ``1d``, ``500ms``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    if isinstance(value, str) and _DURATION.fullmatch(written := value.strip().lower()):
        return math.fsum(float(number) * _SECONDS[unit] for number, unit in _STEP.findall(written))
    raise BadValue("is not a duration", "write seconds, or for example 90s, 2h30m, 1d")


def quota(value: object) -> Quota:
    """Requests in a time: ``100/10s``, ``600/1m``, ``10/s``."""
    if isinstance(value, Quota):
        return value
    found = _QUOTA.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found and int(found[1]) > 0 and (seconds := float(found[2] or 1) * _SECONDS[found[3]]) > 0:
        return Quota(int(found[1]), seconds)
    raise BadValue("is not a quota", "write requests per time, for example 100/10s")


def month(value: object) -> str:
    """A month that has begun somewhere on Earth, ``YYYY-MM``."""
    if not isinstance(value, str) or not _MONTH.fullmatch(value.strip()):
        raise BadValue("is not a month", "write YYYY-MM, for example 2026-01")
    if value.strip() > (latest := f"{datetime.now(UTC) + timedelta(hours=14):%Y-%m}"):
        raise BadValue("is in the future", f"give {latest} or earlier")
    return value.strip()


def shard(value: object) -> Shard:
    """``K/N``: the K-th of N shards."""
    found = _SHARD.fullmatch(str(value).strip()) if isinstance(value, (str, Shard)) else None
    if found and 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
        return Shard(int(found[1]), int(found[2]))
    hint = f"write K/N with K from 1 to N (and N up to {MOST_SHARDS}), for example 2/4"
    raise BadValue("is not a shard", hint)


def file_mode(value: object) -> int:
    """Permission bits: octal digits as text, ``0600``, or an integer where it can mean only one thing."""
    found = _MODE.fullmatch(value.strip()) if isinstance(value, str) else None
    mode = int(found[1], 8) if found else value
    if not isinstance(mode, int) or mode in _AMBIGUOUS_MODES or not 0 <= mode <= _ALL:
        raise BadValue("is not a file mode", 'write three octal digits as text, for example "0600"')
    if mode & _OWNER != _OWNER:
        raise BadValue("must let the owner read and write", 'give for example "0640"')
    return mode


# --- the tenant's address


def base_url(value: object) -> str:
    """The URL that paths such as ``/oauth/token`` are appended to: no ``/`` and no API version at its end.

    It is checked, so that a secret goes out encrypted and to where it was meant to.
    """
    written = value.strip() if isinstance(value, str) else ""
    if "@" in written.partition("?")[0]:
        raise BadValue("has a user name or password in it", "remove what is between // and @", secret=True)
    try:
        parts = urlsplit(written)
        port = parts.port
    except ValueError:
        raise BadValue("is not a URL", _FULL_ADDRESS) from None
    if not re.fullmatch(r"[^\s\\]+", written) or not written.isprintable():
        raise BadValue("is not a URL", _FULL_ADDRESS)
    if parts.query or parts.fragment:
        raise BadValue("has a query or fragment", "remove everything from ? or # on", secret=True)
    if parts.scheme not in _PORTS or not parts.netloc:
        guess = _guess(written.rpartition("://")[2].strip("/"))
        raise BadValue("does not begin with https://", f"write {guess}")
    host = (parts.hostname or "").rstrip(".")
    if not host or (":" not in host and not re.fullmatch(r"[^/?#\[\]%:]+", host)):
        raise BadValue("has no host", _FULL_ADDRESS)
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadValue("would send the token unencrypted", "use https:// (http:// is for loopback only)")
    if _TENANT_PAGE.fullmatch(host):
        raise BadValue("is the address of the tenant's user interface", f"its API is at {_guess(host)}")
    where = f"[{host}]" if ":" in host else host
    if port not in (None, _PORTS[parts.scheme]):
        where += f":{port}"
    return f"{parts.scheme}://{where}{_VERSION_AT_END.sub('', parts.path).rstrip('/')}"


def _guess(written: str) -> str:
    """What somebody who wrote only a tenant's name or host probably meant."""
    if found := _TENANT_PAGE.fullmatch(written.lower()):
        return f"https://{found[1]}.api.{found[2]}"
    return f"https://{written}" if "." in written else f"https://{written}.api.identitynow.com"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- and back, for help and messages


def show(value: Any) -> str:
    """A value as it would be written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return str(value)


def show_duration(seconds: float) -> str:
    """Seconds with the largest unit that leaves a whole number."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
