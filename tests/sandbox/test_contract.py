"""The sandbox keeps to SailPoint's published description of the API.

`openapi-v2024.json` is an excerpt of it, with the two listings, the 404 and the headers added that API.md
describes. openapi-core checks both sides: that the requests are valid, and that the responses are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from harvester.model import Quota
from harvester.sandbox import SandboxOptions, parse_faults
from tests.sandbox.client import TODAY, Client, connected

DESCRIPTION = Path(__file__).with_name("openapi-v2024.json")


def description(url: str) -> OpenAPI:
    """The description, with the sandbox as its server.

    openapi-core has no OAuth 2.0; to a request, a bearer token is the same.
    """
    content = orjson.loads(DESCRIPTION.read_bytes())
    content["servers"] = [{"url": f"{url}/v2024"}]
    for name in content["components"]["securitySchemes"]:
        content["components"]["securitySchemes"][name] = {"type": "http", "scheme": "bearer"}
    return OpenAPI.from_dict(content)


class Contract:
    """Sends requests and holds their responses to the description."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._api = description(client.sandbox.url)

    async def get(self, path: str, *, token: str | None = None, status: int = 200) -> Any:
        """GET a path with its query; the body of the response, which must have this status."""
        url = f"{self._client.sandbox.url}/v2024{path}"
        headers = {"Authorization": f"Bearer {token or self._client.token}"}
        async with self._client.session.get(url, headers=headers) as response:
            body = await response.read()
            assert response.status == status, body
            self.check(url, headers, status, body, dict(response.headers))
        return orjson.loads(body)

    def check(self, url: str, headers: dict[str, str], status: int, body: bytes, got: dict[str, str]) -> None:
        """Hold a request and its response to the description."""
        parts = urlsplit(url)
        request = MockRequest(
            f"{parts.scheme}://{parts.netloc}",
            "get",
            parts.path,
            args=dict(parse_qsl(parts.query)),
            headers=headers,
        )
        if status != 400:  # which is about a request that is not valid
            self._api.validate_request(request)
        response = MockResponse(body, status, headers=got, content_type="application/json")
        self._api.validate_response(request, response)


async def test_every_operation_and_every_record() -> None:
    """All accounts, sources and identities, whole and slim, and the usage of each, are as described."""
    options = SandboxOptions(accounts=60, sources=4, today=TODAY)
    async with connected(options) as client:
        contract = Contract(client)
        accounts = await contract.get("/accounts?limit=250&count=true&sorters=id")
        slim = await contract.get("/accounts?detailLevel=SLIM")
        assert [one["id"] for one in accounts] == [one["id"] for one in slim]
        assert {one["isMachine"] for one in accounts} == {True, False}
        for account in accounts:
            path = f"/account-usages/{account['id']}/summaries"
            rows = await contract.get(f"{path}?limit=250&offset=0&sorters=-date&count=true")
            assert rows == client.sandbox.population.rows(account["id"])
        sources = await contract.get("/sources?limit=250&offset=0&count=true")
        assert {one["id"] for one in accounts for one in [{"id": one["sourceId"]}]} <= {
            s["id"] for s in sources
        }
        statuses = {(await contract.get(f"/source-usages/{one['id']}/status"))["status"] for one in sources}
        assert statuses == {"COMPLETE", "INCOMPLETE"}
        for source in sources:
            await contract.get(f"/source-usages/{source['id']}/summaries?limit=250&sorters=date&count=true")
        assert len(await contract.get("/public-identities?limit=250&count=true")) == 30


async def test_every_error() -> None:
    """The errors have the bodies and headers that are described."""
    async with connected(SandboxOptions(accounts=9, quota=Quota(3, 60.0))) as client:
        contract = Contract(client)
        await contract.get("/accounts?limit=999", status=400)
        await contract.get("/accounts", status=401, token="unknown")
        await contract.get("/accounts", status=403, token=client.sandbox.tokens.issue("noscope"))
        await contract.get("/account-usages/unknown/summaries", status=404)
        await contract.get("/source-usages/unknown/status", status=404)
        await contract.get("/accounts", status=429)
        client.sandbox.gateway.change_quota(None)
        client.sandbox.gateway.operations.faults = parse_faults("500=1")
        for path in ("/accounts", "/sources", "/public-identities", "/source-usages/x/status"):
            known = path.replace("/x/", f"/{client.sandbox.population.sources[0].id}/")
            await contract.get(known, status=500)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"date":"2026-10-01","count":"many"}]',
        b'{"items":[]}',
        b'[{"date":"October","count":1}]',
    ],
)
async def test_the_contract_can_be_broken(body: bytes) -> None:
    """What is not as described is found: the checks above are able to fail."""
    async with connected() as client:
        contract = Contract(client)
        url = f"{client.sandbox.url}/v2024/account-usages/x/summaries"
        headers = {"Authorization": "Bearer x"}
        contract.check(url, headers, 200, b"[]", {})
        with pytest.raises(OpenAPIError):
            contract.check(url, headers, 200, body, {})
