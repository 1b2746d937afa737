"""Each thing that can stand between a configuration and a harvest is found and named, with what to do."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from harvester.check import Workload
from harvester.check.access import claims_of
from harvester.credentials import Credentials
from harvester.model import Quota
from harvester.sandbox import FaultRate, Faults, Sandbox, SandboxOptions
from tests.check.helpers import GOOD, SECRET, WRONG, Authority, checked, small_tenant
from tests.tenant.servers import Received, always, proxy_server, raw_server, response

ALL_WELL = ["dns", "token", "usages", "accounts", "sources", "identities", "quota", "estimate", "unreported"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def client(client_id: str, name: str = "") -> Credentials:
    return Credentials(client_id=client_id, client_secret="sandbox", name=name)


@contextmanager
def quickly(seconds: float = 5.0) -> Iterator[None]:
    """Within it, nobody may wait for long."""
    began = asyncio.get_running_loop().time()
    yield
    assert asyncio.get_running_loop().time() - began < seconds


# --- all is well


async def test_all_is_well() -> None:
    """A good configuration is ok in every line, for one token and a few requests."""
    async with Sandbox(SandboxOptions(accounts=200, sources=4, quota=Quota(100, 10))) as sandbox:
        found = await checked(sandbox.url)
        assert (sandbox.tally.tokens, sandbox.tally.usages) == (1, 1)
        assert sandbox.tally.listings == 3 + 4 + 1  # three scopes, four sources, one of which is silent
        silent = {source.id for source in sandbox.population.sources if not source.reports}
        numbers = sandbox.population.in_order()
        saved = sum(sandbox.population.source_of(number).id in silent for number in numbers)
    assert found.topics == ALL_WELL
    assert found.bad == []
    assert found.of("token").facts["scopes"] == ["sp:scopes:all"]
    assert 740 < found.of("token").facts["seconds"] <= 749
    assert found.of("estimate").text == "200 accounts take 20 s at 10.0/s"
    assert found.of("unreported").facts["requests"] == saved
    assert f"saves {saved} requests and" in found.of("unreported").text


@pytest.mark.parametrize("version", ["v3", "beta", "v2026", "v1"])
async def test_each_api_version_is_asked_in_its_own_way(version: str) -> None:
    """The paths that are tried are those that a harvest would take."""
    async with Sandbox(SandboxOptions(accounts=3, versions=(version,))) as sandbox:
        assert (await checked(sandbox.url, versions=[version])).bad == []


async def test_the_combined_quota() -> None:
    """Each version is tried once, and the estimate is for all of them together."""
    async with Sandbox(SandboxOptions(accounts=300)) as sandbox:
        found = await checked(sandbox.url, versions=["v2024", "v2025", "v1"], skipping=True)
        assert sandbox.tally.usages == 3
    assert found.of("quota").facts["requestsPerSecond"] == 30.0
    assert "100/10s on each of 3 lanes, 30.0/s in all" in found.of("quota").text
    saved = found.of("unreported").facts["requests"]
    assert saved > 0
    assert found.of("estimate").facts["requests"] == 300 - saved
    assert "is saving" in found.of("unreported").text


async def test_a_tenant_without_accounts() -> None:
    """There is nothing to harvest, and nothing wrong either."""
    async with raw_server(small_tenant()) as server:
        found = await checked(server.url)
    assert found.bad == []
    assert found.of("estimate").text == "0 accounts take no time"


# --- the way to the tenant


@pytest.mark.parametrize(
    ("code", "status"), [(socket.EAI_NONAME, 2), (socket.EAI_AGAIN, 5)], ids=["unknown", "resolver is busy"]
)
async def test_a_name_that_cannot_be_resolved(
    code: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown host is a wrong configuration; a resolver that does not answer is an outage."""

    def fails(*_: Any, **__: Any) -> None:
        raise socket.gaierror(code, "no such thing")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with quickly():
        found = await checked("https://nobody.invalid")
    assert (found.topics, found.status) == (["dns"], status)
    assert "nobody.invalid" in found.of("dns").text
    assert "DNS" in found.of("dns").hint


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_port_on_which_nobody_listens(scheme: str, unused_tcp_port: int) -> None:
    """A refused connection is not waited for: it is a finding."""
    with quickly():
        found = await checked(f"{scheme}://127.0.0.1:{unused_tcp_port}")
    assert (found.topics, found.status) == (["dns", "connection"], 5)
    assert "refuses the connection" in found.of("connection").text


async def test_an_untrusted_certificate(tmp_path: Path) -> None:
    """Who vouches for the tenant is named; with the authority's certificate, all is well."""
    authority = Authority(tmp_path)
    async with raw_server(small_tenant(), authority.context("127.0.0.1")) as server:
        url = f"https://127.0.0.1:{server.port}"
        with quickly():
            found = await checked(url, WRONG, patience=5.0)
        assert (found.topics, found.status, server.requests) == (["dns", "tls"], 2, [])
        assert "--ca-bundle" in found.of("tls").hint
        found = await checked(url, ca_bundle=authority.file, patience=5.0)
    assert found.bad == []
    assert "certificate by trustme" in found.of("tls").text


@pytest.mark.parametrize(("days", "status"), [(-1, 2), (3, 0)])
async def test_a_certificate_that_has_expired_or_will_soon(days: int, status: int, tmp_path: Path) -> None:
    """An expired certificate stops everything; one that expires soon is a warning."""
    authority = Authority(tmp_path)
    async with raw_server(small_tenant(), authority.context("127.0.0.1", days=days)) as server:
        found = await checked(f"https://127.0.0.1:{server.port}", ca_bundle=authority.file, patience=5.0)
    assert found.status == status
    assert found.bad == [("tls", "failed" if status else "warning")]
    assert "must renew it" in found.of("tls").hint


async def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    """The address is wrong then, not the trust."""
    authority = Authority(tmp_path)
    async with raw_server(small_tenant(), authority.context("acme.example")) as server:
        found = await checked(f"https://127.0.0.1:{server.port}", ca_bundle=authority.file, patience=5.0)
    assert (found.topics, found.status) == (["dns", "tls"], 2)
    assert "--base-url" in found.of("tls").hint


async def test_a_proxy_that_refuses_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password is sent once, however many clients there are: it may lock the account."""
    refusal = response(b"", "407 Proxy Authentication Required")
    async with proxy_server(None, refusal) as (port, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{port}")
        with quickly():
            found = await checked("https://acme.example", client("one"), client("two"), client("three"))
    assert (found.topics, found.status, len(heads)) == (["proxy"], 2, 1)
    assert "refuses the user name and password in HTTPS_PROXY (407" in found.of("proxy").text


async def test_a_proxy_on_the_way_of_a_ready_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no token need be fetched, the first request meets the proxy, once as well."""
    async with proxy_server(None, response(b"", "407 Proxy Authentication Required")) as (port, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        found = await checked("https://acme.example", Credentials(access_token=SECRET))
    assert (found.topics, found.status, len(heads)) == (["token", "proxy"], 2, 1)
    assert "requires a user name and password" in found.of("proxy").text


async def test_a_proxy_that_refuses_the_connection(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """The proxy is named, and the variable that names it."""
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    with quickly():
        found = await checked("https://acme.example")
    assert (found.topics, found.status) == (["proxy"], 2)
    assert found.of("proxy").hint == "check ALL_PROXY"


async def test_a_proxy_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy, its address takes the place of the host's."""
    async with raw_server(small_tenant()) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET}@127.0.0.1:{server.port}")
        found = await checked("http://127.0.0.1:9")
    assert found.topics == ["proxy", *ALL_WELL[1:]]
    assert found.of("proxy").text == f"requests go through the proxy 127.0.0.1:{server.port} (HTTP_PROXY)"


# --- something else than the API


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (response(b"<html>Log in</html>", headers="Content-Type: text/html\r\n"), 2),
        (response(b"{}"), 2),
        (response(b"", "302 Found", headers="Location: https://login.example/?secret=1\r\n"), 2),
        (response(b"", "404 Not Found"), 2),
        (response(b"", "503 Service Unavailable"), 5),
        (response(b"", "500 Internal Server Error"), 5),
        (response(b"", "429 Too Many Requests", headers="Retry-After: 600\r\n"), 5),
        (b"", 5),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 2),
    ],
    ids=["login page", "no token", "redirect", "404", "503", "500", "429", "nothing", "ssh"],
)
async def test_what_answers_is_not_the_api(payload: bytes, status: int) -> None:
    """It is told apart whether the address is wrong or the tenant is down; neither is waited for."""
    async with raw_server(always(payload, close=True)) as server:
        with quickly():
            found = await checked(server.url, WRONG)
        assert len(server.requests) < 40
    assert found.status == status
    assert len(found.bad) == 1
    assert "secret=1" not in str(list(found))
    assert all(str(one).count("check --base-url") <= 1 for one in found)


@pytest.mark.parametrize(("manner", "status"), [("html", 2), ("503", 5), ("reset", 5)])
async def test_a_tenant_that_goes_away(manner: Literal["html", "503", "reset"], status: int) -> None:
    """A tenant that is down is a finding, whatever the manner."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        await sandbox.go_away(manner)
        with quickly():
            assert (await checked(sandbox.url)).status == status


async def test_a_page_in_place_of_usages() -> None:
    """Tokens alone do not make an API."""
    async with raw_server(small_tenant(**{"account-usages": b"<html>Welcome</html>"})) as server:
        found = await checked(server.url)
    assert found.bad == [("usages", "failed")]
    assert found.status == 2
    assert "--base-url" in found.of("usages").hint


# --- credentials


async def test_a_wrong_secret_is_tried_once() -> None:
    """Refused credentials end with 4, and nothing is requested without a token."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        found = await checked(sandbox.url, WRONG, versions=["v2024", "v2025"])
        assert (sandbox.tally.tokens, sandbox.tally.usages, sandbox.tally.listings) == (1, 0, 0)
    assert (found.topics, found.status) == (["dns", "token"], 4)
    assert "refuses its credentials (401" in found.of("token").text


async def test_each_client_is_tried() -> None:
    """One bad client of two fails by itself, by name; figures are those of the other."""
    clients = (Credentials(client_id="bad", client_secret=SECRET, name="second"), client("one", "first"))
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        found = await checked(sandbox.url, *clients)
    assert found.bad == [("token", "failed")]
    assert [("'second'" in one.text, one.status) for one in found if one.topic == "token"] == [
        (True, 4),
        (False, 0),
    ]
    assert found.of("quota").facts["quotas"] == ["100/10s"]


@pytest.mark.parametrize("kind", ["503", "429", "401", "garbage", "wrong-shape", "stall"])
async def test_a_broken_token_endpoint(kind: str) -> None:
    """However it fails, it is one failed line within a short time."""
    faults = Faults(token=FaultRate(kind, 1.0))
    async with Sandbox(SandboxOptions(accounts=3, faults=faults, fault_streak=0)) as sandbox:
        with quickly():
            found = await checked(sandbox.url, time_limit=0.5)
    assert found.bad in ([("token", "failed")], [("connection", "failed")])
    assert found.status == {"401": 4, "garbage": 2, "wrong-shape": 2}.get(kind, 5)


async def test_a_token_endpoint_that_recovers_at_once() -> None:
    """What passes by itself is no finding."""
    faults = Faults(token=FaultRate("503", 0.5))
    async with Sandbox(SandboxOptions(accounts=3, faults=faults, seed=2)) as sandbox:
        found = await checked(sandbox.url, client("a"), client("b"), client("c"), patience=5.0)
        assert sandbox.tally.tokens > 3
    assert found.bad == []


async def test_a_ready_token() -> None:
    """It works, with a warning that it cannot be renewed; an expired one does not."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        ready = Credentials(access_token=sandbox.tokens.issue("issued", 600))
        found = await checked(sandbox.url, ready)
        assert found.bad == [("token", "warning")]
        assert "cannot be renewed" in found.of("token").text
        sandbox.tokens.expire()
        found = await checked(sandbox.url, ready)
    assert found.status == 4
    assert found.bad == [("token", "warning"), ("usages", "failed")]
    assert "is rejected or has expired" in found.of("usages").text


async def test_a_token_that_is_another_tenants() -> None:
    """Tokens that are handed out but not accepted end with 4, and not with a storm of new ones."""
    async with Sandbox(SandboxOptions(accounts=3)) as other:
        foreign = other.tokens.issue("issued")
    body = json.dumps({"access_token": foreign, "expires_in": 749}).encode()

    async def handle(request: Any) -> None:
        good = "token" in request.target
        request.writer.write(response(body) if good else response(b"{}", "401 Unauthorized"))

    async with raw_server(handle) as server:
        found = await checked(server.url)
        assert len(server.requests) < 12
    assert found.status == 4
    assert "is not accepted (401" in found.of("usages").text


# --- scopes and versions


@pytest.mark.parametrize("client_id", ["noscope-1", "listonly-1"])
async def test_a_missing_right_to_read_usages(client_id: str) -> None:
    """It ends with 4 and names the scope."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        found = await checked(sandbox.url, client(client_id))
    assert found.status == 4
    assert found.of("usages").hint == "give it the scope idn:identity-history:manage (or sp:scopes:all)"
    assert "estimate" not in found.topics


@pytest.mark.parametrize("unknown", [200, 404])
async def test_scopes_that_only_some_commands_need(unknown: Literal[200, 404]) -> None:
    """Without the right to list, a harvest works: what does not is said. An ID that nobody has will do."""
    async with Sandbox(SandboxOptions(accounts=3, unknown=unknown)) as sandbox:
        found = await checked(sandbox.url, client("usageonly-1"))
    assert found.bad == [(topic, "warning") for topic in ("accounts", "sources", "identities", "estimate")]
    for topic, scope, without in (
        ("accounts", "idn:accounts:read", "harvester run --list"),
        ("sources", "idn:sources:read", "harvester sources"),
        ("identities", "sp:scopes:default", "--add manager"),
    ):
        assert scope in found.of(topic).hint
        assert without in found.of(topic).text


async def test_a_harvest_that_lists_needs_the_right_to() -> None:
    """With --list, a missing scope for accounts is no mere warning."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        found = await checked(sandbox.url, client("usageonly-1"), listing=True)
    assert ("accounts", "failed") in found.bad
    assert found.status == 4


@pytest.mark.parametrize("client_id", ["good", "usageonly"])
async def test_a_version_that_is_not_served(client_id: str) -> None:
    """It is named; alone it is a wrong configuration, among others a warning."""
    async with Sandbox(SandboxOptions(accounts=3, versions=("v2024",))) as sandbox:
        alone = await checked(sandbox.url, client(client_id), versions=["v2026"])
        among = await checked(sandbox.url, client(client_id), versions=["v2026", "v2024"])
    assert (alone.status, alone.bad) == (2, [("usages", "failed")])
    assert "does not serve account usages in API version v2026 (404" in alone.of("usages").text
    assert among.status == 0
    usages = [one for one in among if one.topic == "usages"]
    assert [str(one.verdict) for one in usages] == ["warning", "ok"]
    assert "v2026" in usages[0].text
    assert among.of("quota").facts["quotas"] == ["100/10s"]


@pytest.mark.parametrize("status", [403, 500])
async def test_a_version_that_is_broken(status: int) -> None:
    """One version that answers badly is a warning where another one works."""
    broken = SandboxOptions(accounts=3, broken_versions=(("v2025", status),))
    async with Sandbox(broken) as sandbox:
        found = await checked(sandbox.url, versions=["v2024", "v2025"])
        alone = await checked(sandbox.url, versions=["v2025"])
    assert found.bad == [("usages", "warning")]
    assert alone.status == (4 if status == 403 else 5)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_one_odd_account_says_nothing(status: int) -> None:
    """A refusal for one account is not taken for a missing scope or version: the next one decides."""
    async with Sandbox(SandboxOptions(accounts=10, hopeless=5, hopeless_statuses=(status,))) as sandbox:
        sandbox.population.delete(sandbox.population.id_of(0))
        assert sandbox.population.hopeless(sandbox.population.id_of(1)) == status
        found = await checked(sandbox.url)
    assert found.bad == []


# --- quota, list and saving


async def test_a_tenant_that_throttles() -> None:
    """A quota that others have used up is a warning, and its Retry-After is not waited for."""
    async with Sandbox(SandboxOptions(accounts=3, quota=Quota(1, 60))) as sandbox:
        with quickly():
            found = await checked(sandbox.url)
        assert sandbox.tally.throttled == 1
    assert found.status == 0
    assert ("usages", "warning") in found.bad
    assert ("quota", "warning") in found.bad
    assert "(429)" in found.of("usages").text


@pytest.mark.parametrize("retry_after", [0, 600])
async def test_a_tenant_that_throttles_everything(retry_after: int) -> None:
    """Tokens alone prove nothing: no harvest can begin, and status 5 says so in one sentence."""
    throttled = response(b"{}", "429 Too Many Requests", headers=f"Retry-After: {retry_after}\r\n")
    token = response(b'{"access_token":"t0ken","expires_in":749}')

    async def handle(request: Received) -> None:
        request.writer.write(token if "token" in request.target else throttled)

    async with raw_server(handle) as server:
        with quickly():
            found = await checked(server.url)
    assert [one.topic for one in found if one.status] == ["quota"]
    assert found.status == 5
    assert "every request was answered with 429" in found.of("quota").text


async def test_a_quota_that_is_too_small_to_check() -> None:
    """The check keeps to the quota as well, and does not wait for a minute."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        with quickly():
            found = await checked(sandbox.url, quota=Quota(1, 60))
        assert sandbox.tally.usages + sandbox.tally.listings == 1
    assert found.status == 0
    assert "was not tried" in found.of("usages").text


async def test_no_quota() -> None:
    """On loopback that is fine: the sandbox has none."""
    async with raw_server(small_tenant()) as server:
        found = await checked(server.url, quota=None)
    assert found.bad == []
    assert found.of("quota").text.startswith("none; ")


async def test_filters_that_the_tenant_does_not_understand() -> None:
    """They are at fault, and not the scope."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        found = await checked(sandbox.url, filters="nonsense", listing=True)
    assert ("accounts", "failed") in found.bad
    assert found.status == 2
    assert "--filters" in found.of("accounts").text


async def test_filters_select_what_is_estimated() -> None:
    """Of one source, only its accounts are counted, and saved if it is silent."""
    async with Sandbox(SandboxOptions(accounts=200, sources=4)) as sandbox:
        silent = next(source for source in sandbox.population.sources if not source.reports)
        found = await checked(sandbox.url, filters=f'sourceId eq "{silent.id}"')
    number = found.of("estimate").facts["requests"]
    assert 0 < number < 200
    assert found.of("unreported").facts["requests"] == number


async def test_a_list() -> None:
    """A list is estimated as it is; its largest sources are asked about, at most ten of them."""
    async with Sandbox(SandboxOptions(accounts=10, sources=12, without_usage=1.0)) as sandbox:
        sources = {source.id: 100 - at for at, source in enumerate(sandbox.population.sources)}
        workload = Workload(pending=1200, settled=50, unreported=7, by_source=sources)
        found = await checked(sandbox.url, workload=workload)
    assert found.of("estimate").text == (
        "1,200 accounts take 2 min 00 s at 10.0/s (50 more were settled by an unfinished run)"
    )
    saved = 7 + sum(range(91, 101))
    assert found.of("unreported").facts == {"requests": saved, "sourcesAsked": 10, "sources": 12}
    assert f"(10 of 12 sources were asked): --skip-unreported saves at least {saved} requests" in str(
        found.of("unreported")
    )


async def test_a_list_without_sources() -> None:
    """What cannot be told is a warning."""
    async with Sandbox(SandboxOptions(accounts=10)) as sandbox:
        found = await checked(sandbox.url, workload=Workload(pending=3))
    assert found.bad == [("unreported", "warning")]
    assert "the list does not name them" in found.of("unreported").text


async def test_a_tenant_that_does_not_give_the_status_of_sources() -> None:
    """One request finds out, and the rest are not sent."""
    async with Sandbox(SandboxOptions(accounts=10, faults=Faults(source_status=403))) as sandbox:
        found = await checked(sandbox.url)
        assert sandbox.tally.listings == 4
    assert found.bad == [("unreported", "warning")]
    assert "403" in found.of("unreported").text


async def test_shards_share_the_accounts() -> None:
    """A shard harvests its part only."""
    async with Sandbox(SandboxOptions(accounts=101)) as sandbox:
        found = await checked(sandbox.url, shards=2)
    assert found.of("estimate").facts["requests"] == 51


async def test_a_check_can_be_left() -> None:
    """Whoever stops reading the findings leaves no task behind."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sandbox.go_away("503")
                await checked(sandbox.url, GOOD, patience=60.0)
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() - before if task.get_name().startswith("tokens of")]


def test_the_claims_of_a_token_are_read_if_it_has_any() -> None:
    """A token that is no JWT has none."""
    claims = base64.urlsafe_b64encode(json.dumps({"iat": 100, "exp": 400}).encode()).rstrip(b"=").decode()
    assert claims_of(f"h.{claims}.s") == {"iat": 100, "exp": 400}
    assert claims_of("none") == claims_of("a.b.c") == claims_of("a.!.c") == {}
