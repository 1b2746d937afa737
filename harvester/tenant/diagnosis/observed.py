"""What the answers of a check tell beside their contents: latency, the tenant's clock, its quota."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from statistics import median
from urllib.parse import urlsplit

from harvester.model import Quota
from harvester.settings.base_url import is_loopback
from harvester.tenant.diagnosis.asking import Exchange
from harvester.tenant.diagnosis.finding import Finding, ok, warning

_SKEW_MATTERS = 60.0
"""Seconds: times in the files and `--since` are by this machine's clock; tokens and pauses are not."""
_SKEW_SHOWN = 2.0
"""Seconds: `Date` has no fractions, so less can't be told from none."""
_QUOTA_WORDS = ("ratelimit", "rate-limit")


def latency(exchanges: Sequence[Exchange]) -> Finding:
    """How long answers take, those on a new connection set apart if there are others."""
    times = [one.seconds for one in exchanges[1:] or exchanges]
    middle = median(times)
    text = _milliseconds(middle)
    if len(times) > 1:
        fastest, slowest = _milliseconds(min(times)), _milliseconds(max(times))
        text += f" ({len(times)} requests, {fastest} to {slowest})"
    return ok("latency", text, seconds=round(middle, 6), requests=len(times))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"  # noqa: PLR2004  # digits


def clocks(exchanges: Sequence[Exchange]) -> Finding | None:
    """This machine's clock against the tenant's `Date`; None where the tenant tells no time."""
    skews = [skew for one in exchanges if (skew := _skew(one)) is not None]
    if not skews:
        return None
    # Half a second on top, for the fraction that `Date` cut off.
    seconds = median(skews) - 0.5
    if abs(seconds) < _SKEW_SHOWN:
        return ok("clock", "agrees with the tenant's", skewSeconds=round(seconds, 1))
    side = "ahead of" if seconds > 0 else "behind"
    text = f"this machine is {abs(seconds):.0f} s {side} the tenant"
    if abs(seconds) < _SKEW_MATTERS:
        return ok("clock", f"{text}, which does no harm", skewSeconds=round(seconds, 1))
    return warning("clock", text, "set it (NTP): times in the files are by it", skewSeconds=round(seconds, 1))


def _skew(exchange: Exchange) -> float | None:
    """Seconds that this machine is ahead, by one answer; it was dated about half way."""
    try:
        dated = parsedate_to_datetime(exchange.headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    half_way = exchange.came - timedelta(seconds=exchange.seconds / 2)
    return (half_way - dated.replace(tzinfo=dated.tzinfo or UTC)).total_seconds()


def quota(exchanges: Sequence[Exchange], quotas: Sequence[Quota | None], base_url: str) -> Finding:
    """The quota as it is set, and what the tenant's headers say of one."""
    told = {
        name: value
        for one in exchanges
        for name, value in one.headers.items()
        if any(word in name.lower() for word in _QUOTA_WORDS)
    }
    each = {str(one) if one is not None else "none" for one in quotas}
    number = f" for each of {len(quotas)} clients" if len(quotas) > 1 else ""
    text = f"{' and '.join(sorted(each))} is set{number}; "
    text += ", ".join(f"{name}: {value}" for name, value in sorted(told.items())) or "the tenant tells none"
    facts = {"quotas": [None if one is None else str(one) for one in quotas], "headers": told}
    if None in quotas and not is_loopback(urlsplit(base_url).hostname or ""):
        return warning(
            "quota", text, 'without one a real tenant answers 429 soon: "100/10s" is usual', **facts
        )
    return ok("quota", text, **facts)
