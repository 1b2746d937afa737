"""The one operation that is harvested: `GET …/account-usages/{accountId}/summaries`."""

from __future__ import annotations

from urllib.parse import quote

from harvester.model import UsageRow
from harvester.settings.model import Settings
from harvester.tenant.answers import rows_of
from harvester.tenant.exchange import Headers
from harvester.tenant.transport import Transport

_DOTS = {".": "%2E", "..": "%2E%2E"}


def path_segment(account_id: str) -> str:
    """The ID as exactly one path segment (RFC 3986, 3.3): no `/`, `?` or dot segment gets out of it."""
    if account_id.isalnum() and account_id.isascii():  # the usual one: needs no encoding
        return account_id
    return _DOTS.get(account_id) or quote(account_id, safe="")


class Usages:
    """Asks for usage rows, one page a request. What never changes is prepared once."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._page_size = settings.page_size
        self._sorters = settings.sorters
        self._before, self._after = path_around_id(settings.api_version)
        self._first_page = self._query(0)

    def _query(self, offset: int) -> str:
        query = {"limit": str(self._page_size)}
        if self._sorters:
            query["sorters"] = self._sorters
        if offset:
            query["offset"] = str(offset)
        return self._transport.query(query)

    async def page(self, account_id: str, offset: int, headers: Headers) -> tuple[list[UsageRow], int]:
        """The rows at `offset`, and how many bytes they came in.

        Raises:
            TryAgain: a fault, 429 or 401.
            GiveUp: the answer is final for this account.
        """
        query = self._first_page if not offset else self._query(offset)
        answer = await self._transport.get(
            self._before + path_segment(account_id) + self._after, query, headers
        )
        return rows_of(answer), len(answer.body)


def path_around_id(api_version: str) -> tuple[str, str]:
    """The path before and after the ID.

    `v1` is the per-API versioned scheme, where the version stands behind the API's name.
    """
    if api_version == "v1":
        return "/account-usages/v1/", "/summaries"
    return f"/{api_version}/account-usages/", "/summaries"
