"""The sandbox's small languages."""

from __future__ import annotations

import pytest

from harvester.errors import SettingFault
from harvester.model import Quota
from harvester.sandbox import (
    FAULTS_HELP,
    FaultKind,
    FaultRate,
    Faults,
    Outage,
    SandboxOptions,
    parse_duration,
    parse_faults,
    parse_hopeless,
    parse_quota,
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
    """What is no quota is refused in one sentence."""
    with pytest.raises(SettingFault, match=r"quota: .* is no"):
        parse_quota(text)


def test_faults() -> None:
    """Rates, stalls with a length, the token endpoint and outages are told apart."""
    text = "500=0.02, reset=0.01,stall=0.001:5s,token=0.5,outage=30s@60s,outage=2s@#500/503+3s"
    assert parse_faults(text) == Faults(
        rates=(
            FaultRate(FaultKind.SERVER_ERROR, 0.02),
            FaultRate(FaultKind.RESET, 0.01),
            FaultRate(FaultKind.STALL, 0.001, 5.0),
        ),
        token_share=0.5,
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
     "outage=5s@#0", "outage=5s@1s/late", "outage=x@1s", "token=x"],
)  # fmt: skip
def test_bad_faults(text: str) -> None:
    """What is not understood is refused, and the sentence names it."""
    with pytest.raises(SettingFault, match="faults: "):
        parse_faults(text)


def test_every_fault_is_in_the_help() -> None:
    """The help of --faults names every kind."""
    assert [kind for kind in FaultKind if kind not in FAULTS_HELP] == []


def test_hopeless() -> None:
    """A share or a number, with or without statuses."""
    assert parse_hopeless("0.02") == (0.02, None)
    assert parse_hopeless("12:404/500") == (12, (404, 500))
    with pytest.raises(SettingFault, match="hopeless"):
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
    ],
)
def test_options_out_of_range(given: dict[str, object]) -> None:
    """Options are checked when they are made."""
    with pytest.raises(SettingFault):
        SandboxOptions(**given)  # type: ignore[arg-type]
