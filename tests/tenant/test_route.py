from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from harvester.errors import SettingError
from harvester.tenant.route import proxy_for

TENANT = URL("https://acme.api.identitynow.com")
SECRET = "pa55"


def where(environ: dict[str, str], origin: URL = TENANT) -> str | None:
    proxy = proxy_for(origin, environ)
    return None if proxy is None else str(proxy)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "proxy.example:3128"),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:2"}, "lower:1"),
        ({"ALL_PROXY": "http://all:9"}, "all:9"),
        ({"HTTPS_PROXY": "http://own:1", "ALL_PROXY": "http://all:9"}, "own:1"),
        ({"HTTP_PROXY": "http://plain:1"}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example"}, "proxy.example:80"),
        ({"HTTPS_PROXY": "https://proxy.example/"}, "proxy.example:443"),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "::1:3128"),
        ({"HTTPS_PROXY": "  "}, None),
    ],
)
def test_the_environment_names_the_proxy(environ: dict[str, str], expected: str | None) -> None:
    """HTTPS_PROXY, then ALL_PROXY, lower case first; no scheme means http."""
    assert where(environ) == expected


@pytest.mark.parametrize(
    ("no_proxy", "exempt"),
    [
        ("*", True),
        ("identitynow.com", True),
        (".identitynow.com", True),
        ("*.identitynow.com", True),
        ("other.example, acme.api.identitynow.com", True),
        ("ACME.api.IdentityNow.com", True),
        ("acme.api.identitynow.com:443", True),
        ("acme.api.identitynow.com:8443", False),
        ("now.com", False),
        ("127.0.0.1", False),
        ("", False),
        (",,", False),
    ],
)
def test_no_proxy_exempts_hosts_and_domains(no_proxy: str, exempt: bool) -> None:
    """NO_PROXY takes hosts, domains with or without a dot, ports, and an asterisk."""
    found = where({"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy})
    assert (found is None) == exempt


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:8443"])
def test_loopback_uses_the_proxy_unless_exempted(entry: str) -> None:
    """Only a NO_PROXY entry (address, network, or address with port) exempts loopback."""
    origin = URL("https://127.0.0.1:8443")
    assert where({"HTTPS_PROXY": "http://p:1"}, origin) == "p:1"
    assert where({"HTTPS_PROXY": "http://p:1", "no_proxy": entry}, origin) is None


def test_plain_http_does_not_leave_the_machine_through_a_proxy() -> None:
    """http:// is for loopback, and a proxy elsewhere would see the token: it is refused, with the way out."""
    sandbox = URL("http://127.0.0.1:8080")
    assert where({"HTTP_PROXY": "http://127.0.0.1:3128"}, sandbox) == "127.0.0.1:3128"
    assert where({"HTTPS_PROXY": "http://proxy.example:3128"}, sandbox) is None
    with pytest.raises(
        SettingError, match=r"HTTP_PROXY: the proxy proxy.example:3128 would see the token"
    ) as caught:
        where({"HTTP_PROXY": f"http://me:{SECRET}@proxy.example:3128"}, sandbox)
    assert "NO_PROXY" in caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (f"me:{SECRET}", f"me:{SECRET}"),
        (f"me:{SECRET}#1", f"me:{SECRET}#1"),
        (f"me:{SECRET}/1?2", f"me:{SECRET}/1?2"),
        (f"me:{SECRET}@home", f"me:{SECRET}@home"),
        (f"me:{SECRET}%C5%82", f"me:{SECRET}ł"),
        (f"me:{SECRET}ä", f"me:{SECRET}ä"),
        (f"me:100%{SECRET}", f"me:100%{SECRET}"),
        (f"me:{SECRET}%3A%40", f"me:{SECRET}:@"),
        ("me", "me:"),
        ("me:", "me:"),
    ],
)
def test_user_and_password_go_out_in_utf_8(written: str, sent: str) -> None:
    """Whatever characters a password has, written as such or percent-encoded, it is sent as UTF-8."""
    proxy = proxy_for(TENANT, {"HTTPS_PROXY": f"http://{written}@proxy.example:3128"})
    assert proxy is not None
    assert proxy.authorization is not None
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode() == sent
    assert str(proxy) == "proxy.example:3128"
    assert SECRET not in repr(proxy)


@pytest.mark.parametrize(
    "value",
    [
        f"http://[::1{SECRET}",
        "http://[::1",
        "proxy:80a",
        "http://proxy:80a",
        "http://proxy:0",
        "http://proxy:70000",
        f"http://me:{SECRET}@",
        f"ftp://me:{SECRET}@proxy:1",
        "http://",
        f"http://proxy:3128/{SECRET}",
        f"http://me:{SECRET}@pro xy:1",
        f"http://me:{SECRET}@proxy:1?x",
        "http://\ud800:1",
        f"me:{SECRET}:1",
    ],
)
def test_what_is_not_a_proxy_is_refused_in_one_sentence(value: str) -> None:
    """A malformed proxy is a setting error that names the variable and shows no part of a password."""
    with pytest.raises(SettingError) as caught:
        proxy_for(TENANT, {"HTTPS_PROXY": value})
    assert caught.value.setting == "HTTPS_PROXY"
    assert "http://USER:PASSWORD@HOST:PORT" in caught.value.hint
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS"])
def test_socks_is_said_to_be_unsupported(scheme: str) -> None:
    """A SOCKS proxy is named as such, with what to do instead."""
    with pytest.raises(SettingError, match="SOCKS proxies are not supported") as caught:
        proxy_for(TENANT, {"all_proxy": f"{scheme}://me:{SECRET}@proxy:1080"})
    assert caught.value.setting == "all_proxy"
    assert SECRET not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_value_gives_a_proxy_or_one_sentence(value: str) -> None:
    """No text in the variable causes anything but a proxy, none, or a setting error."""
    with contextlib.suppress(SettingError):
        assert (proxy_for(TENANT, {"HTTPS_PROXY": value}) is None) == (not value.strip())
