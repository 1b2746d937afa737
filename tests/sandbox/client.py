"""A plain client for the sandbox, with a token already in hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from harvester.sandbox import Sandbox, SandboxOptions

TODAY = date(2026, 10, 15)


@dataclass
class Reply:
    """One answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: Any


@dataclass
class Client:
    """One client of one sandbox."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    token: str

    async def get(self, path: str, token: str | None = None, **query: str | int) -> Reply:
        """GET with the token; the body as JSON where it is declared so."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        async with self.session.get(
            self.sandbox.url + path, headers=headers, params=query, allow_redirects=False
        ) as response:
            json = response.content_type == "application/json"
            body = await response.json() if json else await response.text()
            return Reply(response.status, response.headers, body)

    async def usages(self, account_id: str, **query: str | int) -> Reply:
        """One account's summaries by way of v2024."""
        return await self.get(f"/v2024/account-usages/{account_id}/summaries", None, **query)

    async def token_request(self, **form: str) -> Reply:
        """POST a form to the token endpoint."""
        async with self.session.post(self.sandbox.url + "/oauth/token", data=form) as response:
            return Reply(response.status, response.headers, await response.json())


@asynccontextmanager
async def connected(
    options: SandboxOptions | None = None, client_id: str = "tester"
) -> AsyncIterator[Client]:
    """A running sandbox and a client of it."""
    async with (
        Sandbox(options or SandboxOptions(accounts=50, today=TODAY)) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        yield Client(sandbox, session, sandbox.tokens.issue(client_id))
