"""The sandbox's small languages."""

from __future__ import annotations

import pytest

from harvester.errors import SettingError
from harvester.sandbox import (
    FAULTS_HELP,
    KINDS,
    FaultRate,
    Faults,
    Outage,
    SandboxOptions,
    parse_faults,
    parse_hopeless,
)


def test_faults() -> None:
    """Rates, stalls with a length, the token endpoint and outages are told apart."""
    text = "500=0.02, reset=0.01,stall=0.001:5s,token=0.5:429:7s,outage=30s@#60,outage=2s@#500/503+3s"
    text += ",503=0.1:5s,page-cap=100,source-status=403"
    assert parse_faults(text) == Faults(
        rates=(
            FaultRate("500", 0.02),
            FaultRate("reset", 0.01),
            FaultRate("stall", 0.001, 5.0),
            FaultRate("503", 0.1, 5.0),
        ),
        token=FaultRate("429", 0.5, 7.0),
        page_cap=100,
        source_status=403,
        outages=(
            Outage(30.0, after_requests=60),
            Outage(2.0, after_requests=500, manner="503", throttle=3.0),
        ),
    )


def test_no_faults() -> None:
    """`none` and nothing are no faults; a token endpoint that fails is unavailable unless said otherwise."""
    assert parse_faults("none") == parse_faults("") == Faults()
    assert parse_faults("token=1").token == FaultRate("503", 1.0)


@pytest.mark.parametrize(
    "text",
    ["quake=0.1", "500", "500=2", "500=-1", "500=nan", "500=0.1:5s", "500=0.6,502=0.6", "outage=5s",
     "outage=5s@#0", "outage=5s@1s", "outage=5s@#1/late", "outage=x@#1", "token=x",
     "token=1:tea", "token=1:429:x", "page-cap=0", "page-cap=a", "source-status=200"],
)  # fmt: skip
def test_bad_faults(text: str) -> None:
    """What is not understood is refused, and the sentence names it."""
    with pytest.raises(SettingError, match="faults: "):
        parse_faults(text)


def test_every_fault_is_in_the_help() -> None:
    """The help of --faults names every kind."""
    assert [kind for kind in KINDS if kind not in FAULTS_HELP] == []


def test_hopeless() -> None:
    """A number, with or without statuses."""
    assert parse_hopeless("3") == (3, ())
    assert parse_hopeless("12:404/500") == (12, (404, 500))
    with pytest.raises(SettingError, match="hopeless"):
        parse_hopeless("12:many")


@pytest.mark.parametrize("given", [{"jitter": 1.0}, {"hopeless_statuses": (418,)}])
def test_options_that_do_not_fit(given: dict[str, object]) -> None:
    """Options are checked when they are made."""
    with pytest.raises(SettingError):
        SandboxOptions(**given)  # type: ignore[arg-type]
