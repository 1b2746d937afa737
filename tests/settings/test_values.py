"""Values as people write them, the tenant's address, and settings made by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import SettingFault
from harvester.model import Quota, Shard
from harvester.settings import parse
from harvester.settings.base_url import base_url
from harvester.settings.model import Client, Settings
from harvester.settings.table import FIELDS, SECTIONS
from harvester.settings.values import default_of

SECRET = "s3cr3t"


def refused(parser: Any, value: object) -> str:
    """What the parser says to the value, with the mend."""
    with pytest.raises(parse.BadValue) as caught:
        parser(value)
    return f"{caught.value.problem}: {caught.value.mend}"


@pytest.mark.parametrize(
    ("parser", "written", "value"),
    [
        (parse.quota, "100/10s", Quota(100, 10.0)),
        (parse.quota, "600/1m", Quota(600, 60.0)),
        (parse.quota, " 100 / 10 ", Quota(100, 10.0)),
        (parse.quota, "10/s", Quota(10, 1.0)),
        (parse.quota, "1/500ms", Quota(1, 0.5)),
        (parse.quota, "auto", Quota(100, 10.0, auto=True)),
        (parse.quota, "NONE", None),
        (parse.duration, "90", 90.0),
        (parse.duration, "2h30m", 9000.0),
        (parse.duration, "1d", 86400.0),
        (parse.duration, "1.5h", 5400.0),
        (parse.duration, "1m 30s", 90.0),
        (parse.duration, 7, 7.0),
        (parse.size, "64MB", 64_000_000),
        (parse.size, "1GiB", 1024**3),
        (parse.size, "1.5k", 1500),
        (parse.size, "10 B", 10),
        (parse.whole, "1_000", 1000),
        (parse.shard, "2/4", Shard(2, 4)),
        (parse.file_mode, "0640", 0o640),
        (parse.file_mode, "600", 0o600),
        (parse.file_mode, "0o644", 0o644),
        (parse.flag, "Yes", True),
        (parse.flag, "off", False),
        (parse.month, "2026-12", "2026-12"),
        (parse.path, "~/x", Path.home() / "x"),
        (parse.destination, "~/d/", f"{Path.home()}/d/"),
    ],
)
def test_what_is_understood(parser: Any, written: object, value: object) -> None:
    """The forms that people write."""
    assert parser(written) == value


@pytest.mark.parametrize(
    ("parser", "written"),
    [
        *(
            (parse.quota, one)
            for one in ("", "100", "0/10s", "100/0s", "-1/s", "100/10x", "1.5/s", "100/", 5, None, True)
        ),
        *(
            (parse.duration, one)
            for one in ("", "x", "-1", "1y", "1h2", "nan", "inf", "1e3", float("nan"), -1, True, None)
        ),
        *((parse.size, one) for one in ("", "64XB", "iB", "-1", 1.5, -1, True)),
        *((parse.whole, one) for one in ("", "1.0", "1_", "_1", "x", "٣", "9" * 5000, 1.0, True, None)),
        *((parse.shard, one) for one in ("0/4", "5/4", "1", "a/b", "1/99999999", 3)),
        *((parse.month, one) for one in ("2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", 202601)),
        *((parse.file_mode, one) for one in ("0800", "rw", "06000", 600, "")),
        *((parse.flag, one) for one in ("", "maybe", 1, None)),
        (parse.path, "~nobody-has-this-name/x"),
    ],
)
def test_what_is_refused(parser: Any, written: object) -> None:
    """What can't be meant is refused with a mend, whatever its type."""
    assert re.fullmatch(r"(is|has) [^:]+: .+", refused(parser, written))


@given(st.integers(0, 10**12))
def test_a_duration_shown_is_the_duration_read(milliseconds: int) -> None:
    """Help and messages write durations so that they can be read back."""
    seconds = milliseconds / 1000
    assert parse.duration(parse.show_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(0, 2**50))
def test_a_size_shown_is_the_size_read(size: int) -> None:
    """Likewise sizes, exactly."""
    assert parse.size(parse.show_size(size)) == size


@given(st.text(max_size=30))
def test_parsers_never_stumble(written: str) -> None:
    """Any text is either taken or refused with a sentence."""
    told = []
    for field in FIELDS:
        try:
            field.parse(written)
        except parse.BadValue as bad:
            told.append((bad.problem, bad.mend))
    assert all(problem and mend for problem, mend in told)


# -- the tenant's address


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
def test_addresses_are_made_one(written: str, value: str) -> None:
    """An end slash, a version, a default port, capitals: the address is the same."""
    assert base_url(written) == value
    assert base_url(value) == value


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
        ("https://a.example/#x", "has a query or fragment"),
        ("https://", "has no https:// in front"),
        ("https://:443", "has no host"),
        ("https://a.example:99999", "is no URL"),
        ("https://a b", "is no URL"),
        ("https://a\\b", "is no URL"),
        ("https://[::1", "is no URL"),
        ("https://a\n.example", "is no URL"),
        ("", "is no URL"),
        (None, "is no URL"),
    ],
)
def test_addresses_that_are_refused(written: object, said: str) -> None:
    """Unencrypted, ambiguous or plainly wrong addresses are told with the right form."""
    assert said in refused(base_url, written)


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", ""]))
def test_no_address_sends_a_token_in_clear_to_another_machine(rest: str, scheme: str) -> None:
    """Whatever is written: http is for loopback, and a checked address checks the same again."""
    try:
        checked = base_url(scheme + rest)
    except parse.BadValue:
        return
    assert checked.startswith("https://") or re.match(
        r"http://(127\.\d+\.\d+\.\d+|localhost|\[[0:]*1\])(:|/|$)", checked
    )
    assert base_url(checked) == checked


# -- by hand


def test_settings_by_hand() -> None:
    """A library user needs an address and a client; the address is made one."""
    settings = Settings(
        base_url="https://a.example/v2024/", clients=(Client(client_id="a", client_secret=SECRET),)
    )
    assert settings.base_url == "https://a.example"
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"base_url": "http://a.example"}, "base_url: 'http://a.example' would send"),
        ({"page_size": 0}, "page_size: 0 is out of range"),
        ({"page_size": "250"}, "page_size: '250' is no number"),
        ({"timeout": float("nan")}, "timeout: nan is out of range"),
        ({"format": "xml"}, "format: 'xml' is none of"),
        ({"since": "January"}, "since: 'January' is no month"),
        ({"part_rows": 5}, "part_rows: parts need a folder"),
        ({"clients": (Client(client_id="a", client_secret=SECRET),) * 2}, "clients: a is there 2 times"),
    ],
)
def test_settings_check_themselves(values: dict[str, Any], said: str) -> None:
    """Who builds settings by hand gets the same checks, by the settings' own names."""
    with pytest.raises(SettingFault) as caught:
        Settings(**values)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"client_id": "a"},
        {"client_secret": SECRET},
        {"access_token": SECRET, "access_token_file": Path("x")},
    ],
)
def test_a_client_without_credentials_is_none(values: dict[str, Any]) -> None:
    """Half a credential, none, or two tokens are refused without showing any."""
    with pytest.raises(SettingFault) as caught:
        Client(**values)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "folder"), [("-", False), ("a.ndjson", False), ("a/", True), ("s3://b/p", True), ("/", True)]
)
def test_what_is_a_folder(output: str, folder: bool) -> None:  # pytest's parameter
    """A slash at the end or an object store means parts."""
    assert Settings(output=output).output_is_folder is folder


@given(st.integers(1, 1000), st.floats(0.1, 3600), st.integers(1, 300))
def test_the_shards_share_the_quota(requests: int, seconds: float, count: int) -> None:
    """All shards together send what the quota permits: no more in its time, and the same rate."""
    client = Client(client_id="a", client_secret=SECRET, quota=Quota(requests, seconds))
    shares = [Settings(shard=Shard(k, count)).client_quota(client) for k in range(1, count + 1)]
    assert all(share is not None and share.requests >= 1 for share in shares)
    assert sum(share.per_second for share in shares if share) == pytest.approx(requests / seconds)
    if count <= requests:
        assert sum(share.requests for share in shares if share) == requests


def test_a_quota_that_is_not_shared() -> None:
    """Without shards, without a quota, or where each shard has its own client, there is nothing to divide."""
    client = Client(client_id="a", client_secret=SECRET)
    assert Settings().client_quota(client) == Quota(100, 10.0)
    assert Settings(shard=Shard(1, 4), split_quota=False).client_quota(client) == Quota(100, 10.0)
    assert Settings(quota=None, shard=Shard(1, 4)).client_quota(client) is None


# -- the table


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_table_is_sound(field: Any) -> None:
    """Each setting exists, is in a section, is explained, and shows a default that can be read back."""
    default = default_of(field.name)
    assert field.section in SECTIONS
    assert field.help.endswith(".")
    if default not in (None, "", ()):
        shown = field.show(default)
        assert field.parse(shown) == default
    elif field.none:
        assert field.parse(field.none) is None
