"""Values as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Quota, Shard
from harvester.settings import parse
from harvester.settings.parse import BadValue
from harvester.settings.setting import words
from harvester.settings.settings import TABLE

VERSIONS = words("v1", "v2024", "v2025").parse
WORDS = words("runId", "tenant").parse


def refused(parser: Any, value: object) -> str:
    """What the parser says to the value, with the hint."""
    with pytest.raises(BadValue) as caught:
        parser(value)
    return f"{caught.value.problem}: {caught.value.hint}"


@pytest.mark.parametrize(
    ("parser", "written", "value"),
    [
        (parse.quota, "100/10s", Quota(100, 10.0)),
        (parse.quota, "600/1m", Quota(600, 60.0)),
        (parse.quota, " 100 / 10 ", Quota(100, 10.0)),
        (parse.quota, "10/s", Quota(10, 1.0)),
        (parse.quota, "1/500ms", Quota(1, 0.5)),
        (parse.duration, "2", 2.0),
        (parse.duration, "2s", 2.0),
        (parse.duration, "30m", 1800.0),
        (parse.duration, "1h", 3600.0),
        (parse.duration, "2h30m", 9000.0),
        (parse.duration, "1.5h", 5400.0),
        (parse.duration, "1m 30s", 90.0),
        (parse.duration, 7, 7.0),
        (parse.whole, "1_000", 1000),
        (parse.shard, "2/4", Shard(2, 4)),
        (parse.file_mode, "0640", 0o640),
        (parse.file_mode, "600", 0o600),
        (parse.file_mode, "0o644", 0o644),
        (parse.file_mode, 0o640, 0o640),
        (parse.flag, "Yes", True),
        (parse.flag, "off", False),
        (parse.month, " 2025-12 ", "2025-12"),
        (parse.month, f"{datetime.now(UTC):%Y-%m}", f"{datetime.now(UTC):%Y-%m}"),
        (parse.path, "~/x", Path.home() / "x"),
        (parse.path_text, "~/d/", f"{Path.home()}/d/"),
        (parse.path_text, " a", " a"),
        (parse.path_text, "caf\udce9", "caf\udce9"),
        (parse.paths, "a", ("a",)),
        (parse.paths, ["a", "-", "~/b"], ("a", "-", f"{Path.home()}/b")),
        (parse.texts, "a,b", ("a,b",)),
        (parse.texts, ["a ", "b"], ("a", "b")),
        (parse.fields, "department, costCenter,department", ("department", "costCenter")),
        (parse.fields, "none", ()),
        (WORDS, "TENANT,runid", ("tenant", "runId")),
        (WORDS, "none", ()),
        (WORDS, [], ()),
        (VERSIONS, "v2025, V2024,v1", ("v2025", "v2024", "v1")),
        (VERSIONS, ["v1"], ("v1",)),
    ],
)
def test_what_is_accepted(parser: Any, written: object, value: object) -> None:
    """The forms that people write."""
    assert parser(written) == value


@pytest.mark.parametrize(
    ("parser", "written"),
    [
        *(
            (parse.quota, one)
            for one in (
                "",
                "100",
                "0/10s",
                "100/0s",
                "-1/s",
                "100/10x",
                "1.5/s",
                "100/",
                5,
                None,
                True,
                "auto",
            )
        ),
        *(
            (parse.duration, one)
            for one in ("", "x", "-1", "1y", "1h2", "nan", "inf", "1e3", float("nan"), -1, True, None)
        ),
        *((parse.whole, one) for one in ("", "1.0", "1_", "_1", "x", "٣", "9" * 5000, 1.0, True, None)),
        *((parse.shard, one) for one in ("0/4", "5/4", "1", "a/b", "1/99999999", 3, Shard(3, 2))),
        *((parse.month, one) for one in ("2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", 202601)),
        *(
            (parse.file_mode, one)
            for one in ("0800", "rw", "06000", 600, 640, 400, 440, "", "0400", "077", None)
        ),
        *((parse.flag, one) for one in ("", "maybe", 1, None)),
        *((parse.text, one) for one in ("", "  ", 5, "caf\udce9", "a\x00b")),
        *((parse.path_text, one) for one in ("", " ", "a\x00b", 5, "~nobody-has-this-name/x")),
        *((parse.paths, one) for one in (5, [5], [""], None)),
        *((parse.fields, one) for one in ("attributes", "attributes.salary", ["id", "attributes"], 5)),
        *((WORDS, one) for one in ("runId,x", 5, [5])),
        *((VERSIONS, one) for one in ("v9", "v1,v9", 5)),
    ],
)
def test_what_is_refused(parser: Any, written: object) -> None:
    """What cannot be meant is refused with a hint, whatever its type."""
    assert re.fullmatch(r"(is|has|names|must|begins) [^:]+: .+", refused(parser, written))


def test_a_month_in_the_future_is_refused() -> None:
    """Nothing can have happened then: a harvest of it would be all empty."""
    assert refused(parse.month, "2999-01").startswith("is in the future: ")


@given(st.integers(0, 10**12))
def test_a_duration_shown_is_the_duration_read(milliseconds: int) -> None:
    """Help and messages write durations so that they can be read back."""
    seconds = milliseconds / 1000
    assert parse.duration(parse.show_duration(seconds)) == pytest.approx(seconds)


@given(st.text(max_size=30))
def test_parsers_never_stumble(written: str) -> None:
    """Any text is either accepted or refused with a sentence."""
    said = []
    for one in TABLE:
        try:
            value = one.read(written)
        except BadValue as bad:
            said.append((str(bad), bad.hint))
        else:
            assert one.read(value) == value
    assert all(problem and hint for problem, hint in said)


# --- the tenant's address


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("https://acme.api.identitynow.com", "https://acme.api.identitynow.com"),
        (" https://ACME.api.identitynow.com/ ", "https://acme.api.identitynow.com"),
        ("HTTPS://a.example:443/v2024", "https://a.example"),
        ("https://a.example/v3/", "https://a.example"),
        ("https://a.example:8443/gateway/beta", "https://a.example:8443/gateway"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:99/", "http://[::1]:99"),
    ],
)
def test_addresses_have_one_form(written: str, value: str) -> None:
    """A slash at the end, a version, a default port, capitals: the address is the same."""
    assert parse.base_url(written) == value
    assert parse.base_url(value) == value


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("acme", "write https://acme.api.identitynow.com"),
        ("acme.api.identitynow.com", "write https://acme.api.identitynow.com"),
        ("acme.identitynow.com", "write https://acme.api.identitynow.com"),
        ("ftp://a.example", "write https://a.example"),
        ("https://acme.identitynow.com", "its API is at https://acme.api.identitynow.com"),
        ("http://a.example", "would send the token unencrypted"),
        ("http://127.0.0.1.evil.example", "would send the token unencrypted"),
        ("http://localhost.evil.example", "would send the token unencrypted"),
        ("http://0.0.0.0", "would send the token unencrypted"),
        ("https://user@a.example", "has a user name or password"),
        ("http://127.0.0.1@evil.example", "has a user name or password"),
        ("https://a.example/?x=1", "has a query"),
        ("a.example?token=x", "has a query"),
        ("https://a.example/#x", "has a query or fragment"),
        ("https://", "does not begin with https://"),
        ("https://:443", "has no host"),
        ("https://a.example:99999", "is not a URL"),
        ("https://a b", "is not a URL"),
        ("https://a\\b", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://a\n.example", "is not a URL"),
        ("https://a\udce9.example", "is not a URL"),
        ("", "is not a URL"),
        (None, "is not a URL"),
    ],
)
def test_addresses_that_are_refused(written: object, said: str) -> None:
    """Unencrypted, ambiguous or plainly wrong addresses are refused with the right form."""
    assert said in refused(parse.base_url, written)


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", ""]))
def test_no_address_sends_a_token_in_clear_to_another_machine(rest: str, scheme: str) -> None:
    """Whatever is written: http is for loopback, and a checked address is accepted again unchanged."""
    try:
        checked = parse.base_url(scheme + rest)
    except BadValue:
        return
    assert checked.startswith("https://") or re.match(
        r"http://(127\.\d+\.\d+\.\d+|localhost|\[[0:]*1\])(:|/|$)", checked
    )
    assert parse.base_url(checked) == checked
