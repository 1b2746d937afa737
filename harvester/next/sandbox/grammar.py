"""The small languages of the sandbox's command line: quotas, durations, faults, hopeless accounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harvester.next.errors import SettingError
from harvester.next.model import Quota
from harvester.next.sandbox.options import (
    VERSIONS,
    FaultKind,
    FaultRate,
    Faults,
    Outage,
    TokenFault,
    TokenFaultKind,
)

FAULTS_HELP = """\
Comma-separated NAME=SHARE, each a share of the answers from 0 to 1:
  401 408 429 500 502 503 504     that status; 503=SHARE:TIME sends Retry-After (so for 429,
                                  which has a missing or senseless one otherwise)
  reset, reset-late               connection reset before or in the middle of the answer
  truncate, truncate-chunked      the body ends too early
  stall, stall-body               silence after nothing or half a body; SHARE:TIME ends it
  garbage, broken-json, empty     HTML, half a JSON, nothing, all with status 200
  wrong-shape                     any of shape-object, shape-row, shape-count, shape-date
  foreign-row, same-month         a row of another account; a month in two forms
  lost-row                        the last row is missing (X-Total-Count has it)
  huge                            500 MB once decompressed
  gzip-members, long-header, escapes
                                  good answers in forms that HTTP and JSON allow
  token=SHARE[:KIND[:TIME]]       the token endpoint: KIND is 503 (the default), 429, 401, html,
                                  no-token or silence; TIME is its Retry-After or the silence
  page-cap=N                      no page has more than N rows, whatever was requested
  source-status=N                 the status and coverage of sources are answered with N
  big-numbers=SHARE               accounts whose rows have numbers that no 64 bits hold
  contradictions=SHARE            accounts with rows although their source reports none
  outage=TIME@START               away for TIME from START on, a time since the start or #N,
                                  the N-th usage request; may be repeated; a suffix /503, /html
                                  or /reset says how (else the port is closed), and +TIME has
                                  everything answered 429 for so long afterwards
Example: --faults 500=0.02,503=0.01:5s,stall=0.001:5s,token=0.1:html,outage=5s@#500/503+3s"""

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)?")
_QUOTA = re.compile(r"(?P<requests>[1-9]\d*)/(?P<period>\d[\d.]*(?:ms|s|m|h)?)")
_OUTAGE = re.compile(
    r"(?P<length>[^@]+)@(?:#(?P<request>[1-9]\d*)|(?P<start>[^/+#]+))(?:/(?P<manner>503|reset|refuse|html))?(?:\+(?P<throttle>.+))?"
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_TIMED = (FaultKind.STALL, FaultKind.STALL_BODY, FaultKind.THROTTLED, FaultKind.UNAVAILABLE)


def parse_duration(text: str, setting: str) -> float:
    """Seconds in `text`: ``5``, ``5s``, ``200ms``, ``2m``, ``1h``.

    Raises:
        SettingError: it is none of these.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise SettingError(setting, f"{text!r} is not a duration", "write it like 5s, 200ms, 2m")
    return float(found["number"]) * _SECONDS[found["unit"]]


def parse_quota(text: str) -> Quota | None:
    """The quota in `text`, ``100/10s``; ``none`` means no limit.

    Raises:
        SettingError: it is neither.
    """
    if text.strip().lower() == "none":
        return None
    found = _QUOTA.fullmatch(text.strip())
    seconds = parse_duration(found["period"], "quota") if found else 0.0
    if found is None or seconds <= 0:
        raise SettingError("quota", f"{text!r} is not a quota", "write it like 100/10s, or none")
    return Quota(int(found["requests"]), seconds)


def parse_hopeless(text: str) -> tuple[float, tuple[int, ...] | None]:
    """How many accounts are hopeless and what they answer: ``0.02`` (a share), ``12``, ``12:404/500``.

    Raises:
        SettingError: it is none of these.
    """
    amount, _, statuses = text.partition(":")
    try:
        number = float(amount)
        found = tuple(int(status) for status in statuses.split("/")) if statuses else None
    except ValueError:
        raise SettingError(
            "hopeless", f"{text!r} is not understood", "write 0.02, 12 or 12:404/500"
        ) from None
    return number, found


def parse_versions(text: str) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    """The versions that are served, and those of them that only answer a status: ``v2024,v2025,v1:403``.

    Raises:
        SettingError: a version is unknown, or its status is not an HTTP error.
    """
    served, broken = [], []
    for item in text.split(","):
        version, _, status = item.strip().partition(":")
        if version not in VERSIONS:
            raise SettingError("versions", f"{item!r} is not a version", f"known are {', '.join(VERSIONS)}")
        served.append(version)
        if status:
            broken.append((version, _number(status, item, 400, 599)))
    return tuple(served), tuple(broken)


def parse_faults(text: str) -> Faults:
    """The faults in `text`, as `FAULTS_HELP` describes them; ``none`` or nothing is none.

    Raises:
        SettingError: an item is not understood, or the shares add up to more than 1.
    """
    faults = Faults()
    items = [item.strip() for item in text.split(",")]
    for item in items:
        if item and item != "none":
            faults = _with_item(faults, item)
    if sum(rate.share for rate in faults.rates) > 1:
        raise SettingError("faults", "the shares add up to more than 1", "lower them")
    return faults


def _with_item(faults: Faults, item: str) -> Faults:
    name, _, value = item.partition("=")
    if name == "outage":
        return replace(faults, outages=(*faults.outages, _outage(value, item)))
    if (read := _SINGLE.get(name)) is not None:
        return replace(faults, **{name.replace("-", "_"): read(value, item)})
    return replace(faults, rates=(*faults.rates, _rate(name, value, item)))


def _token(value: str, item: str) -> TokenFault:
    share, _, rest = value.partition(":")
    word, _, length = rest.partition(":")
    try:
        kind = TokenFaultKind(word or "503")
    except ValueError:
        known = ", ".join(TokenFaultKind)
        raise SettingError("faults", f"{word!r} in {item!r} is not a fault", f"known are {known}") from None
    return TokenFault(_share(share, item), kind, parse_duration(length, "faults") if length else None)


def _number(text: str, item: str, lowest: int, highest: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not lowest <= number <= highest:
        raise SettingError("faults", f"{item!r} has no number from {lowest} to {highest}", "correct it")
    return number


def _rate(name: str, value: str, item: str) -> FaultRate:
    try:
        kind = FaultKind(name)
    except ValueError:
        known = ", ".join([*FaultKind, *_SINGLE, "outage"])
        raise SettingError("faults", f"{name!r} in {item!r} is not a fault", f"known are {known}") from None
    share, _, length = value.partition(":")
    if length and kind not in _TIMED:
        known = ", ".join(_TIMED)
        raise SettingError("faults", f"{item!r} has a time", f"only {known} can have one")
    return FaultRate(kind, _share(share, item), parse_duration(length, "faults") if length else None)


def _share(text: str, item: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError("faults", f"{item!r} has no share of 0 to 1", "write it like 500=0.02")
    return share


def _outage(text: str, item: str) -> Outage:
    found = _OUTAGE.fullmatch(text)
    if found is None:
        raise SettingError(
            "faults", f"{item!r} is not understood", "write it like outage=30s@60s or outage=5s@#500/503+3s"
        )
    request, start, throttle = found["request"], found["start"], found["throttle"]
    return Outage(
        seconds=parse_duration(found["length"], "faults"),
        after_seconds=parse_duration(start, "faults") if start else None,
        after_requests=int(request) if request else None,
        manner=found["manner"] or "refuse",  # type: ignore[arg-type]  # the pattern admits these words only
        throttle=parse_duration(throttle, "faults") if throttle else 0.0,
    )


_SINGLE: dict[str, Callable[[str, str], Any]] = {
    "token": _token,
    "page-cap": lambda value, item: _number(value, item, 1, 250),
    "source-status": lambda value, item: _number(value, item, 400, 599),
    "big-numbers": _share,
    "contradictions": _share,
}
