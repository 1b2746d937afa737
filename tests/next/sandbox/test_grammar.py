"""The sandbox's small languages."""

from __future__ import annotations

import pytest

from harvester.next.errors import SettingError
from harvester.next.model import Quota
from harvester.next.sandbox import (
    FAULTS_HELP,
    FaultKind,
    FaultRate,
    Faults,
    Outage,
    SandboxOptions,
    TokenFault,
    TokenFaultKind,
    parse_duration,
    parse_faults,
    parse_hopeless,
    parse_quota,
    parse_versions,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("5s", 5), ("200ms", 0.2), ("1.5m", 90), ("2h", 7200), ("0", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    """A number with or without a unit is a time in seconds."""
    assert parse_duration(text, "latency") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "quota"),
    [("100/10s", Quota(100, 10)), ("1/500ms", Quota(1, 0.5)), ("60/1m", Quota(60, 60)), ("none", None)],
)
def test_quotas(text: str, quota: Quota | None) -> None:
    """N/Ps is a quota, none is no limit."""
    assert parse_quota(text) == quota


@pytest.mark.parametrize("text", ["", "100", "0/10s", "100/0s", "100/x", "-1/10s", "1/1..5s", "100/10s/2"])
def test_bad_quotas(text: str) -> None:
    """What is not a quota is refused in one sentence."""
    with pytest.raises(SettingError, match=r"quota: .* is not a"):
        parse_quota(text)


def test_faults() -> None:
    """Rates, stalls with a length, the token endpoint and outages are told apart."""
    text = "500=0.02, reset=0.01,stall=0.001:5s,token=0.5,outage=30s@60s,outage=2s@#500/503+3s"
    text += ",503=0.1:5s,page-cap=100,source-status=403,big-numbers=0.25,contradictions=1"
    assert parse_faults(text) == Faults(
        rates=(
            FaultRate(FaultKind.SERVER_ERROR, 0.02),
            FaultRate(FaultKind.RESET, 0.01),
            FaultRate(FaultKind.STALL, 0.001, 5.0),
            FaultRate(FaultKind.UNAVAILABLE, 0.1, 5.0),
        ),
        token=TokenFault(0.5),
        page_cap=100,
        source_status=403,
        big_numbers=0.25,
        contradictions=1.0,
        outages=(
            Outage(30.0, after_seconds=60.0),
            Outage(2.0, after_requests=500, manner="503", throttle=3.0),
        ),
    )


def test_no_faults() -> None:
    """`none` and nothing are no faults."""
    assert parse_faults("none") == parse_faults("") == Faults()


@pytest.mark.parametrize(
    "text",
    ["quake=0.1", "500", "500=2", "500=-1", "500=nan", "500=0.1:5s", "500=0.6,502=0.6", "outage=5s",
     "outage=5s@#0", "outage=5s@1s/late", "outage=x@1s", "token=x",
     "token=1:tea", "token=1:429:x", "page-cap=0", "page-cap=a", "source-status=200", "big-numbers=2"],
)  # fmt: skip
def test_bad_faults(text: str) -> None:
    """What is not understood is refused, and the sentence names it."""
    with pytest.raises(SettingError, match="faults: "):
        parse_faults(text)


def test_every_fault_is_in_the_help() -> None:
    """The help of --faults names every kind."""
    assert [kind for kind in (*FaultKind, *TokenFaultKind) if kind not in FAULTS_HELP] == []


def test_token_faults() -> None:
    """A kind and a time may follow the share."""
    assert parse_faults("token=1:html").token == TokenFault(1.0, TokenFaultKind.HTML)
    assert parse_faults("token=0.5:429:7s").token == TokenFault(0.5, TokenFaultKind.THROTTLED, 7.0)


def test_versions() -> None:
    """A list of versions, some of which only answer a status."""
    assert parse_versions("v2024, v1:403") == (("v2024", "v1"), (("v1", 403),))
    for text in ("v7", "v1:200", "", "v1:x"):
        with pytest.raises(SettingError):
            parse_versions(text)


def test_hopeless() -> None:
    """A share or a number, with or without statuses."""
    assert parse_hopeless("0.02") == (0.02, None)
    assert parse_hopeless("12:404/500") == (12, (404, 500))
    with pytest.raises(SettingError, match="hopeless"):
        parse_hopeless("12:many")


@pytest.mark.parametrize(
    "given",
    [
        {"accounts": -1},
        {"jitter": 1.0},
        {"large": 1.5},
        {"burst": 0},
        {"hopeless_statuses": (418,)},
        {"hopeless": -1},
        {"sources": 0},
        {"without_usage": 1.5},
    ],
)
def test_options_out_of_range(given: dict[str, object]) -> None:
    """Options are checked when they are made."""
    with pytest.raises(SettingError):
        SandboxOptions(**given)  # type: ignore[arg-type]
