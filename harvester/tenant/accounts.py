"""The tenant's accounts, page after page, under the quota of the first client: `GET …/accounts`.

There is no list to come back to and no ledger: a page that fails is asked for again until the tenant
answers, as long as `Settings.max_outage` allows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal, TypeAlias

from harvester.errors import (
    AccessDenied,
    Fault,
    GiveUp,
    SettingFault,
    StoppedEarly,
    StopRun,
    Throttled,
    TokenRejected,
    UsageFault,
)
from harvester.events import Observer, OutageBegan, OutageEnded, OutageProbed, RequestEnded
from harvester.model import Reason
from harvester.settings.model import Settings
from harvester.tenant.answers import decode, refusal
from harvester.tenant.backoff import delay
from harvester.tenant.client import TenantClient
from harvester.tenant.listing import AccountRecord, id_of, list_accounts
from harvester.tenant.token import Token
from harvester.tenant.transport import Transport

Detail: TypeAlias = Literal["SLIM", "FULL"]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_PAGE_SIZE = 250
"""The API's own maximum."""
_AWAY = 3
"""Faults in a row after which the tenant counts as away, which is told."""
_REJECTIONS = 3
"""Answers 401 in a row, each to another token, after which the client is out."""
_TENANT_AWAY = frozenset({Reason.CONNECT, Reason.CONNECTION_LOST, Reason.TIMEOUT, Reason.SERVER_ERROR})
"""Reasons that time mends. Others are told to a person after `Settings.attempts` tries."""


async def all_accounts(
    settings: Settings, observer: Observer, *, filters: str = "", detail: Detail = "SLIM"
) -> AsyncGenerator[list[AccountRecord], None]:
    """The accounts that `filters` selects, by ID, a list for each page that brought new ones.

    Each that exists throughout comes exactly once (see `listing`). To be closed if not read to its end.

    Raises:
        AccessDenied: the client's credentials are refused, or lack the right.
        SettingFault: the tenant does not understand `filters`.
        UsageFault: the tenant has no such listing: another API version or base URL.
        StoppedEarly: the tenant is away for too long, or the listing never comes to rest.
    """
    async with _pages(settings, observer, filters, detail) as pages:
        async for page in list_accounts(pages.fetch, page_size=_PAGE_SIZE):
            yield page


@asynccontextmanager
async def _pages(
    settings: Settings, observer: Observer, filters: str, detail: Detail
) -> AsyncIterator[AccountPages]:
    async with Transport(settings) as transport:
        pages = AccountPages(settings, transport, observer, filters=filters, detail=detail)
        keeper = asyncio.create_task(pages.client.tokens.keep(), name="token")
        pages.keeper = keeper
        try:
            yield pages
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError, StopRun):  # what it has to say was said by `fetch`
                await keeper


def listing_path(api_version: str) -> str:
    """Where the accounts are listed: `v1` is the scheme where the version stands behind the API's name."""
    return "/accounts/v1" if api_version == "v1" else f"/{api_version}/accounts"


class AccountPages:
    """Fetches pages of the listing, and tries again what may pass."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        observer: Observer,
        *,
        filters: str,
        detail: Detail,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._observer = observer
        self._filters = filters
        self._path = listing_path(settings.api_version)
        self._detail = detail
        self._sleep = sleep
        self._clock = asyncio.get_running_loop().time
        self._rng = random.Random()  # noqa: S311  # jitter, not secrets
        self._patience = _Patience(settings, observer, self._clock)
        self.client = TenantClient(
            settings.clients[0], transport, settings, observer, rest=self._rest, rng=self._rng
        )
        self.keeper: asyncio.Task[None] | None = None

    async def fetch(self, offset: int, limit: int) -> list[AccountRecord]:
        """One page. Raises what `all_accounts` names."""
        rejections = 0
        while True:
            token = await self._token()
            try:
                records = await self._ask(offset, limit, token)
            except TokenRejected as rejected:
                rejections += 1
                if rejections >= _REJECTIONS:
                    raise self._denied(f"does not accept its tokens (401: {rejected.problem})") from rejected
                self.client.tokens.reject(token)
            except GiveUp as refused:
                raise self._refused(refused) from refused
            except Fault as fault:
                await self._rest(self._patience.tries + 1, fault)
            except Throttled:
                pass  # the throttle knows, and holds the next permit back
            else:
                self._patience.rewarded()
                return records

    async def _token(self) -> Token:
        """A token, or the reason why there will be none."""
        ready = self.client.tokens.ready()
        if ready is not None:
            return ready
        current = asyncio.create_task(self.client.tokens.current())
        tasks = {current, self.keeper} if self.keeper is not None else {current}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if self.keeper is not None and self.keeper.done() and self.keeper.exception() is not None:
            current.cancel()
            self.keeper.result()
        return await current

    async def _ask(self, offset: int, limit: int, token: Token) -> list[AccountRecord]:
        """One request with a permit, told to the throttle and the observer however it ends."""
        throttle = self.client.throttle
        sent_at = await throttle.permit()
        size, status, reason = 0, None, None
        try:
            query = self._transport.query(self._query(offset, limit))
            answer = await self._transport.get(self._path, query, token.headers)
            size, status = len(answer.body), answer.status
            if status != 200:  # noqa: PLR2004  # the one good status
                raise refusal(answer)
            return _records(decode(answer.body))
        except (Throttled, TokenRejected, GiveUp, Fault) as error:
            reason = _reason(error)
            if isinstance(error, Throttled):
                throttle.rejected(sent_at, error.retry_after)
            raise
        finally:
            if status is None:
                throttle.released(sent_at)
            elif reason != Reason.THROTTLED:
                throttle.accepted(sent_at)
            took = self._clock() - sent_at
            self._observer(RequestEnded(self.client.label, status, reason, took, size))

    def _query(self, offset: int, limit: int) -> dict[str, str]:
        query = {"limit": str(limit), "offset": str(offset), "sorters": "id", "detailLevel": self._detail}
        return query | {"filters": self._filters} if self._filters else query

    async def _rest(self, _tries: int, fault: Fault | Throttled) -> None:
        """Wait before the next try, of a page or of a token."""
        tries = self._patience.tried(fault)
        seconds = delay(tries, self._rng)
        if isinstance(fault, Throttled) and fault.retry_after is not None:
            seconds = max(seconds, min(fault.retry_after, self._settings.max_retry_after))
        self._patience.tell(fault, seconds)
        await self._sleep(seconds)

    def _denied(self, problem: str) -> AccessDenied:
        return AccessDenied(
            f"client {self.client.label!r}: {self._transport.host} {problem}",
            "give it the scope idn:accounts:read (or sp:scopes:all), and check it with `harvester check`",
        )

    def _refused(self, refused: GiveUp) -> StopRun:
        if refused.reason == Reason.FORBIDDEN:
            return self._denied(f"does not let it list accounts (403: {refused.problem})")
        if refused.reason == Reason.BAD_REQUEST and self._filters:
            problem = f"{self._filters!r} is not understood by the tenant ({refused.problem})"
            return SettingFault("--filters", problem, 'write them as in: sourceId eq "2c91…" and id sw "ef"')
        return UsageFault(
            f"{self._transport.host} has no list of accounts ({refused.status}: {refused.problem})",
            "check --base-url and --api-version",
        )


class _Patience:
    """How long the tenant has been failing, and whether that is told and still borne."""

    def __init__(self, settings: Settings, observer: Observer, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._since = 0.0
        self.tries = 0

    def tried(self, fault: Fault | Throttled) -> int:
        """One more try has failed. Returns how many have in a row.

        Raises:
            StoppedEarly: that is enough.
        """
        if not self.tries:
            self._since = self._clock()
        self.tries += 1
        passing = isinstance(fault, Throttled) or fault.reason in _TENANT_AWAY
        if not passing and self.tries >= self._settings.attempts:
            problem = f"the list of accounts can't be read: {fault.problem}"
            raise StoppedEarly(problem, "check --base-url and any proxy between, then try again")
        if self._clock() - self._since > self._settings.max_outage:
            raise StoppedEarly(
                f"the tenant is away for too long ({fault.problem})", "list the accounts when it is back"
            )
        return self.tries

    def tell(self, fault: Fault | Throttled, seconds: float) -> None:
        """Say that the tenant is away, once it has failed several times."""
        if self.tries == _AWAY:
            self._observer(OutageBegan(str(fault)))
        if self.tries >= _AWAY:
            self._observer(OutageProbed(str(fault), seconds))

    def rewarded(self) -> None:
        """A page has come."""
        if self.tries >= _AWAY:
            self._observer(OutageEnded(self._clock() - self._since))
        self.tries = 0


def _reason(error: Throttled | TokenRejected | GiveUp | Fault) -> str:
    if isinstance(error, Throttled):
        return Reason.THROTTLED
    return Reason.UNAUTHORIZED if isinstance(error, TokenRejected) else error.reason


def _records(document: object) -> list[AccountRecord]:
    if not isinstance(document, list):
        raise Fault(Reason.WRONG_SHAPE, "the list of accounts is no array", status=200)
    for record in document:
        id_of(record)
    return document
