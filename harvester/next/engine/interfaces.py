"""What the engine needs of the tenant's lanes and of the ledger.

`tenant.Lane` and `ledger.Ledger` are the real ones; tests of the engine have others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from harvester.next.errors import AccessDenied
from harvester.next.model import Account, Counts, Fault, Outcome, Settled
from harvester.next.tenant.request import Request

T = TypeVar("T")


class LimiterLike(Protocol):
    """The permits of one lane, as far as the engine looks at them."""

    def resumes_in(self) -> float:
        """Seconds until a pause ends; 0 if there is none."""
        ...

    def in_flight_limit(self) -> int:
        """How many requests may be in flight now."""
        ...

    def memory(self) -> dict[str, Any]:
        """What the next run must know about this lane, as JSON."""
        ...


class ClientLike(Protocol):
    """A client ID with its secret and token."""

    @property
    def label(self) -> str:
        """How logs name it."""
        ...

    @property
    def dropped(self) -> AccessDenied | None:
        """Why it is not used any more, if so."""
        ...

    def drop(self, why: AccessDenied) -> None:
        """Use it no more, on any lane, and report it."""
        ...


class LaneLike(Protocol):
    """A client on one API version."""

    @property
    def label(self) -> str:
        """How logs name it."""
        ...

    @property
    def client(self) -> ClientLike:
        """Whose lane it is."""
        ...

    @property
    def api_version(self) -> str:
        """The API version, as in the path."""
        ...

    @property
    def limiter(self) -> LimiterLike:
        """Its permits."""
        ...

    @property
    def dropped(self) -> bool:
        """Whether it, or its client, is not used any more."""
        ...

    @property
    def waiting_for(self) -> str | None:
        """Why it cannot send at present, in words; None if it can, or is merely paced."""
        ...

    @property
    def permanent_fault(self) -> Fault | None:
        """What waiting cannot help, if nothing has ever answered because of it."""
        ...

    def drop(self, why: str) -> None:
        """Use it no more, and report it."""
        ...

    async def send(self, take: Callable[[], Request[T] | None], purpose: str) -> Outcome[T]:
        """Send the request that `take` gives when permit and token are in hand."""
        ...


class LedgerLike(Protocol):
    """Where the list is, and where outcomes go. Raises `StopRun` where the disk fails."""

    async def next_pending(self, after: int, limit: int) -> list[Account]:
        """The next accounts without an outcome beyond position `after`, in order."""
        ...

    async def settle(
        self, batch: Sequence[Settled], facts: Mapping[str, Any] = ..., *, release_before: int | None = None
    ) -> None:
        """Store outcomes and facts in one transaction."""
        ...

    async def known_good(self) -> str | None:
        """An account that was answered with rows, in this run or an earlier one."""
        ...

    async def counts(self) -> Counts:
        """How many accounts have ended in which way."""
        ...
