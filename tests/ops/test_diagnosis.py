"""Each thing that can stand between a configuration and a harvest is found, named, and has its mend."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from harvester.errors import SettingFault
from harvester.model import Quota
from harvester.sandbox import Sandbox, SandboxOptions
from harvester.settings.model import Client, Settings
from harvester.tenant.diagnosis import Finding, Verdict, diagnose
from tests.ops.tenants import small_tenant
from tests.servers import always, raw_server, response

SECRET = "a-secret-of-some-length"


def settings(url: str, *clients: Client, **values: Any) -> Settings:
    """Settings for a tenant, of one good client unless others are given."""
    good = Client(client_id="any", client_secret="sandbox")
    usual: dict[str, Any] = {"timeout": 5.0, "quota": None}
    return Settings(base_url=url, clients=clients or (good,), **usual | values)


async def found(wanted: Settings, now: datetime | None = None) -> dict[str, list[Finding]]:
    """The findings by topic, once each was looked at for what all have in common."""
    moment = now
    clock = (lambda: moment) if moment is not None else (lambda: datetime.now(UTC))
    topics: dict[str, list[Finding]] = {}
    async for finding in diagnose(wanted, now=clock):
        assert (finding.verdict is Verdict.PROBLEM) == bool(finding.status)
        assert bool(finding.mend) == (finding.verdict is not Verdict.OK)
        assert SECRET not in json.dumps(finding.to_json())
        topics.setdefault(finding.topic, []).append(finding)
    return topics


def the(findings: dict[str, list[Finding]], topic: str) -> Finding:
    (finding,) = findings[topic]
    return finding


async def test_all_is_well() -> None:
    """A good configuration gives ok in every line, for about six requests, and names a real account."""
    async with Sandbox(SandboxOptions(accounts=20, quota=Quota(100, 10))) as sandbox:
        findings = await found(settings(sandbox.url, quota=Quota(100, 10)))
        assert list(findings) == ["name", "TLS", "tenant", "token", "usages", "latency", "clock", "quota"]
        assert {one.verdict for many in findings.values() for one in many} == {Verdict.OK}
        assert sandbox.tally.usages == 3
        assert sandbox.population.find(the(findings, "usages").facts["account"]) is not None
    token = the(findings, "token")
    assert token.facts["org"] == "sandbox"
    assert token.facts["scopes"] == ["sp:scopes:all"]
    assert 740 < token.facts["seconds"] <= 749


@pytest.mark.parametrize("version", ["v3", "beta", "v2026", "v1"])
async def test_each_api_version_is_asked_in_its_own_way(version: str) -> None:
    """The path that is tried is the one that a harvest would take."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url, api_version=version))
    assert the(findings, "usages").verdict is Verdict.OK


async def test_a_wrong_secret_ends_with_4() -> None:
    """Refused credentials are told once, and nothing is asked without a token."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url, Client(client_id="c", client_secret=SECRET)))
        assert sandbox.tally.usages == 0
    token = the(findings, "token")
    assert token.status == 4
    assert "refuses its credentials" in token.text
    assert "usages" not in findings


@pytest.mark.parametrize("client_id", ["noscope-1", "listonly-1"])
async def test_a_missing_scope_is_named(client_id: str) -> None:
    """The token's scopes warn, the refused request decides, and both say which scope to give."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url, Client(client_id=client_id, client_secret="sandbox")))
    token, usages = the(findings, "token"), the(findings, "usages")
    assert (token.verdict, usages.status) == (Verdict.WARNING, 4)
    assert "idn:identity-history:manage" in token.mend
    assert "idn:identity-history:manage" in usages.mend


async def test_without_the_right_to_list_an_id_that_cannot_exist_is_asked_for() -> None:
    """A 404 in the API's own words proves the right as well as rows do."""
    async with Sandbox(SandboxOptions(accounts=0)) as sandbox:
        findings = await found(settings(sandbox.url))
    usages = the(findings, "usages")
    assert usages.verdict is Verdict.OK
    assert usages.facts["status"] == 404


async def test_each_client_is_tried() -> None:
    """One bad client of two is a problem of that one, and says which."""
    clients = (
        Client(client_id="one", client_secret="sandbox", name="first"),
        Client(client_id="two", client_secret="no good", name="second"),
    )
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url, *clients))
    assert [(one.status, "'second'" in one.text) for one in findings["token"]] == [(0, False), (4, True)]
    assert len(findings["usages"]) == 1
    assert "for each of 2 clients" in the(findings, "quota").text


async def test_a_name_that_does_not_exist() -> None:
    """The host can't be found: the connection is at fault, and nothing else is tried."""
    findings = await found(settings("https://tenant.invalid"))
    assert list(findings) == ["name"]
    assert the(findings, "name").status == 2
    assert "tenant.invalid" in the(findings, "name").text


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_port_on_which_nobody_listens(scheme: str, unused_tcp_port: int) -> None:
    """Refused connections are told as such, with and without TLS."""
    findings = await found(settings(f"{scheme}://127.0.0.1:{unused_tcp_port}"))
    last = list(findings.values())[-1][0]
    assert last.topic == ("TLS" if scheme == "https" else "tenant")
    assert last.status == 2
    assert "refused" in last.text.lower()


async def test_a_base_url_with_a_path_too_many() -> None:
    """What answers there is not the API, and the mend is the base URL."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(f"{sandbox.url}/ui"))
        assert sandbox.tally.tokens == 0
    assert list(findings) == ["name", "TLS", "tenant"]
    tenant = the(findings, "tenant")
    assert tenant.status == 2
    assert "/ui/oauth/info" in tenant.text
    assert "--base-url" in tenant.mend


async def test_a_web_page_is_no_tenant() -> None:
    """A host that answers everything with a page is not taken for the API."""
    page = response(b"<html>Welcome</html>", headers="Content-Type: text/html\r\n")
    async with raw_server(always(page)) as server:
        findings = await found(settings(server.url))
    assert the(findings, "tenant").status == 2


async def test_a_tenant_in_trouble_is_no_wrong_configuration() -> None:
    """A 503 says to come back later, not to change the base URL."""
    async with raw_server(always(response(b"{}", "503 Service Unavailable"))) as server:
        findings = await found(settings(server.url))
    assert "try again later" in the(findings, "tenant").mend


def jwt(**claims: Any) -> str:
    """A token with these claims, signed by nobody."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({}, claims)]
    return ".".join([*parts, "signature"])


async def test_an_expired_ready_token_is_told_without_asking() -> None:
    """The token's own `exp` is enough to know: status 4."""
    expired = jwt(exp=datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        now = datetime(2026, 1, 1, 3, 2, tzinfo=UTC)
        findings = await found(settings(sandbox.url, Client(access_token=expired)), now)
        assert sandbox.tally.usages == 0
    token = the(findings, "token")
    assert token.status == 4
    assert "expired 3 h 02 min ago" in token.text


async def test_a_good_ready_token_is_a_warning() -> None:
    """It works, but it can't be renewed, and that is told."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url, Client(access_token=sandbox.issue_token())))
    assert the(findings, "token").verdict is Verdict.WARNING
    assert "renewed" in the(findings, "token").mend
    assert the(findings, "usages").verdict is Verdict.OK


async def test_a_token_of_another_tenant_is_not_accepted() -> None:
    """A 401 for the token that was sent ends with status 4."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url, Client(access_token="opaque")))
    assert the(findings, "usages").status == 4
    assert "401" in the(findings, "usages").text


async def test_an_unreadable_token_file_is_told(tmp_path: Path) -> None:
    """A token file that is not there is a problem of the credentials."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        client = Client(access_token_file=tmp_path / "token")
        findings = await found(settings(sandbox.url, client))
    assert the(findings, "token").status == 4
    assert str(tmp_path / "token") in the(findings, "token").text


async def test_a_used_up_quota_is_a_warning() -> None:
    """Answers 429 that say to wait for long are no fault of the configuration."""
    headers = "Retry-After: 900\r\n"

    async def handle(request: Any) -> None:
        answers = {"/oauth/info": b'{"tokenEndpoint": "x"}', "/oauth/token": b'{"access_token": "t"}'}
        known = answers.get(request.target.partition("?")[0])
        limited = response(b"{}", "429 Too Many Requests", headers=headers)
        request.writer.write(limited if known is None else response(known))
        await request.writer.drain()

    async with raw_server(handle) as server:
        findings = await found(settings(server.url))
        assert len(server.requests) == 3  # info, token, the listing: that is answer enough
    usages = the(findings, "usages")
    assert usages.verdict is Verdict.WARNING
    assert "429" in usages.text


async def test_headers_that_tell_a_quota_are_shown() -> None:
    """What the tenant says of its limit stands beside what is set."""
    async with small_tenant(headers={"X-RateLimit-Limit": "42"}) as url:
        findings = await found(settings(url, quota=Quota(100, 10)))
    assert the(findings, "quota").facts["headers"] == {"X-RateLimit-Limit": "42"}
    assert "100/10s is set; X-RateLimit-Limit: 42" in the(findings, "quota").text


@pytest.mark.parametrize(
    ("minutes", "verdict"), [(0, Verdict.OK), (0.5, Verdict.OK), (5, Verdict.WARNING), (-5, Verdict.WARNING)]
)
async def test_a_clock_that_is_wrong(minutes: float, verdict: Verdict) -> None:
    """Minutes matter, seconds do no harm; which side it is wrong to is told."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        now = datetime.now(UTC) + timedelta(minutes=minutes)
        clock = the(await found(settings(sandbox.url), now), "clock")
    assert clock.verdict is verdict
    assert abs(clock.facts["skewSeconds"] - minutes * 60) < 3
    assert ("behind" in clock.text) == (minutes < 0)


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA(organization_name="Acme Authority")


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


async def test_a_trusted_certificate_tells_its_issuer_and_its_end(
    authority: trustme.CA, bundle: Path
) -> None:
    """With --ca-bundle a private authority is as good as any."""
    until = datetime.now(UTC) + timedelta(days=100, hours=1)
    async with small_tenant(certificate=authority.issue_cert("localhost", not_after=until)) as url:
        findings = await found(settings(url, ca_bundle=bundle))
    tls = the(findings, "TLS")
    assert tls.verdict is Verdict.OK
    assert "Acme Authority" in tls.text
    assert f"{until:%Y-%m-%d} (100 days)" in tls.text
    assert the(findings, "usages").verdict is Verdict.OK


async def test_a_certificate_about_to_expire_is_a_warning(authority: trustme.CA, bundle: Path) -> None:
    """Two weeks before its end is the time to say so."""
    until = datetime.now(UTC) + timedelta(days=5)
    async with small_tenant(certificate=authority.issue_cert("localhost", not_after=until)) as url:
        assert the(await found(settings(url, ca_bundle=bundle)), "TLS").verdict is Verdict.WARNING


async def test_an_untrusted_certificate_says_how_to_trust_it(authority: trustme.CA) -> None:
    """An unknown authority is mended by --ca-bundle; no request was sent."""
    async with small_tenant(certificate=authority.issue_cert("localhost")) as url:
        findings = await found(settings(url))
    assert list(findings) == ["name", "TLS"]
    assert the(findings, "TLS").status == 2
    assert "--ca-bundle" in the(findings, "TLS").mend


async def test_an_expired_certificate_is_not_mended_by_trust(authority: trustme.CA, bundle: Path) -> None:
    """Expiry is told as such, and --ca-bundle is not offered."""
    past = datetime.now(UTC) - timedelta(days=2)
    expired = authority.issue_cert("localhost", not_before=past - timedelta(days=9), not_after=past)
    async with small_tenant(certificate=expired) as url:
        tls = the(await found(settings(url, ca_bundle=bundle)), "TLS")
    assert "expired" in tls.text
    assert "renew" in tls.mend


async def test_a_certificate_for_another_host(authority: trustme.CA, bundle: Path) -> None:
    """The base URL is what to look at."""
    async with small_tenant(certificate=authority.issue_cert("other.example")) as url:
        assert "--base-url" in the(await found(settings(url, ca_bundle=bundle)), "TLS").mend


async def test_a_port_without_tls() -> None:
    """HTTPS to a port that speaks plain HTTP is told as that."""
    async with Sandbox(SandboxOptions(accounts=3)) as sandbox:
        findings = await found(settings(sandbox.url.replace("http:", "https:")))
    assert "does not speak TLS" in the(findings, "TLS").text


async def test_a_bundle_that_is_none(tmp_path: Path) -> None:
    """A CA bundle without a certificate is a setting at fault."""
    (tmp_path / "no.pem").write_text("hello")
    with pytest.raises(SettingFault, match=r"no\.pem"):
        await found(settings("https://localhost:1", ca_bundle=tmp_path / "no.pem"))


async def test_a_proxy_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """A proxy finds the host by itself; who it lets in is nobody's business."""
    monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.1:{unused_tcp_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    findings = await found(settings("https://acme.api.identitynow.com"))
    assert f"the proxy http://127.0.0.1:{unused_tcp_port}" in the(findings, "name").text
    assert the(findings, "tenant").status == 2
