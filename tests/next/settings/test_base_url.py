"""The tenant's address: one form of it, and never a token in the clear to another machine."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.next.settings.base_url import base_url, origin
from harvester.next.settings.parse import BadValue
from tests.next.settings.test_parse import refused


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
    assert said in refused(base_url, written)


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", ""]))
def test_no_address_sends_a_token_in_clear_to_another_machine(rest: str, scheme: str) -> None:
    """Whatever is written: http is for loopback, and a checked address is accepted again unchanged."""
    try:
        checked = base_url(scheme + rest)
    except BadValue:
        return
    assert checked.startswith("https://") or re.match(
        r"http://(127\.\d+\.\d+\.\d+|localhost|\[[0:]*1\])(:|/|$)", checked
    )
    assert base_url(checked) == checked


def test_the_origin_has_no_path() -> None:
    """Scheme, host and port say whose secret it is."""
    assert origin("https://a.example:8443/gateway/x") == "https://a.example:8443"
