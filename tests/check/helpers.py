"""A check of one tenant, and what all findings have in common."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import trustme

from harvester.check import Check, Finding, Verdict
from harvester.credentials import Credentials
from harvester.model import Quota
from harvester.tenant.client import Tenant
from tests.tenant.servers import Handler, Received, response

SECRET = "a-secret-of-some-length"
GOOD = Credentials(client_id="good", client_secret="sandbox")
WRONG = Credentials(client_id="wrong", client_secret=SECRET)
QUOTA = Quota(100, 10.0)
_FAST = Quota(10_000, 10.0)


class Found(list[Finding]):
    """Findings in their order."""

    def of(self, topic: str) -> Finding:
        """The only one of a topic."""
        (finding,) = (one for one in self if one.topic == topic)
        return finding

    @property
    def topics(self) -> list[str]:
        return [one.topic for one in self]

    @property
    def bad(self) -> list[tuple[str, str]]:
        """Topic and verdict of all that is not well."""
        return [(one.topic, str(one.verdict)) for one in self if one.verdict is not Verdict.OK]

    @property
    def status(self) -> int:
        """The exit status that they come to."""
        return next((one.status for one in self if one.status), 0)


async def hurried(seconds: float) -> None:
    """Sleep for a hundredth of the time."""
    await asyncio.sleep(seconds / 100)


async def checked(
    url: str,
    *clients: Credentials,
    versions: Sequence[str] = ("v2024",),
    quota: Quota | None = QUOTA,
    time_limit: float = 5.0,
    **options: Any,
) -> Found:
    """Check a tenant to the end, and look at each finding for what all have in common.

    The usual quota is what findings are about; requests go faster, to save the tests' time.
    """
    ca_bundle = options.get("ca_bundle")
    async with Tenant(
        url, clients or (GOOD,), api_versions=versions, timeout=time_limit, ca_bundle=ca_bundle,
        quota=_FAST if quota == QUOTA else quota,
        observer=lambda _: None, clock=asyncio.get_running_loop().time, sleep=hurried, rng=Random(1),
    ) as tenant:  # fmt: skip  # one call
        quotas = {lane.label: quota for lane in tenant.lanes}
        defaults: dict[str, Any] = {"patience": 0.3, "quotas": quotas, "tls": url.startswith("https")}
        found = Found()
        await Check(tenant, found.append, **(defaults | options)).run()
    for finding in found:
        assert (finding.verdict is Verdict.FAILED) == bool(finding.status), finding
        assert (finding.verdict is not Verdict.OK) == bool(finding.hint), finding
        assert SECRET not in json.dumps(asdict(finding))
        assert "\n" not in str(finding)
    return found


class Authority:
    """A certificate authority of the test, with its certificate in a file."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def context(self, *names: str, days: int = 100) -> ssl.SSLContext:
        """What a server of these names needs; its certificate expires in so many days."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        until = datetime.now(UTC) + timedelta(days=days, hours=1)
        self.ca.issue_cert(*names, not_after=until).configure_cert(context)
        return context


def small_tenant(**bodies: bytes) -> Handler:
    """A tenant without accounts; `bodies` are its other answers, by a word of the path."""
    usual = {"token": b'{"access_token":"t0ken","expires_in":749}', "status": b'{"status":"COMPLETE"}'}

    async def handle(request: Received) -> None:
        words = usual | bodies
        body = next((words[word] for word in words if word in request.target), b"[]")
        total = f"X-Total-Count: {0 if body == b'[]' else 1}\r\n"
        request.writer.write(response(body, headers=total))
        await request.writer.drain()

    return handle
