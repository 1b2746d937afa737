"""Tenants to check: the sandbox as a process, and small ones over TLS."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trustme
from aiohttp import web

ROOT = Path(__file__).parents[2]

INFO = {"tenantName": "acme", "pod": "useast1", "tokenEndpoint": "https://localhost/oauth/token"}
TOKEN = {"access_token": "opaque-token", "token_type": "bearer", "expires_in": 749}


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """This one without the tenant's variables, at home in `folder`, and with `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAIL_", "HARVESTER_", "GITHUB_")) and not name.lower().endswith("_proxy")
    }
    return kept | {"HOME": str(folder), "PYTHONPATH": str(ROOT)} | variables


@contextmanager
def sandbox_process(*options: str) -> Iterator[str]:
    """`harvester sandbox` as a process of its own; gives its URL."""
    command = [sys.executable, "-m", "harvester", "sandbox", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def harvester(
    *arguments: str, folder: Path, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "harvester", *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def pat(url: str, client_id: str = "any", secret: str = "sandbox") -> dict[str, str]:
    """The environment that names a tenant and a personal access token."""
    return {"SAIL_BASE_URL": url, "SAIL_CLIENT_ID": client_id, "SAIL_CLIENT_SECRET": secret}


@asynccontextmanager
async def small_tenant(
    *, certificate: trustme.LeafCert | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """A tenant that knows one answer to each question; gives its URL, with TLS if there is a certificate."""

    async def answer(request: web.BaseRequest) -> web.Response:
        answers: dict[str, object] = {"/oauth/info": INFO, "/oauth/token": TOKEN}
        return web.json_response(answers.get(request.path, []), headers=headers)

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
