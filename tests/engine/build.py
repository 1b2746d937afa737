"""Lanes, standings and work for the pure tests: no loop, no clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from harvester.engine.standing import Standings
from harvester.engine.work import Kind, Work
from harvester.errors import AccessDenied
from harvester.model import Account, Fault, Reason, Refused, Throttled, TokenRejected
from harvester.tenant.client import Lane
from harvester.tenant.paging import Pages


class PlainLane:
    """A lane that can be dropped, and says what it waits for."""

    def __init__(self, client: Any, version: str) -> None:
        self.label = f"{client.label}/{version}"
        self.client = client
        self.api_version = version
        self.gone = False
        self.waiting_for: str | None = None
        self.permanent_fault: Fault | None = None
        self.pause = 0.0
        self.limiter = SimpleNamespace(resumes_in=lambda: self.pause)

    @property
    def dropped(self) -> bool:
        return self.gone or self.client.dropped is not None

    def drop(self, _why: str) -> None:
        self.gone = True


class PlainClient:
    def __init__(self, label: str) -> None:
        self.label = label
        self.dropped: AccessDenied | None = None

    def drop(self, why: AccessDenied) -> None:
        self.dropped = why


def standings(clients: int = 1, versions: int = 1) -> Standings:
    """Lanes of `clients` clients on `versions` versions, in this order."""
    made = [PlainClient(f"c{i}") for i in range(clients)]
    return Standings.of([cast(Lane, PlainLane(client, f"v{v}")) for client in made for v in range(versions)])


def plain(standing: Any) -> PlainLane:
    """The lane of a standing, with its knobs."""
    lane: PlainLane = standing.lane
    return lane


def work(position: int = 0, *, kind: Kind = Kind.ACCOUNT, **state: Any) -> Work:
    made = Work(Account(position, f"a-{position}"), Pages(), kind)
    for name, value in state.items():
        setattr(made, name, value)
    return made


def fault(reason: Reason = Reason.SERVER_ERROR, *, connected: bool = True, permanent: bool = False) -> Fault:
    return Fault(0.0, reason, "HTTP 500", status=500, connected=connected, permanent=permanent)


def refused(status: int, *, page: bool = False) -> Refused:
    reasons = {400: Reason.BAD_REQUEST, 403: Reason.FORBIDDEN, 404: Reason.NOT_FOUND}
    return Refused(0.0, reasons.get(status, Reason.REFUSED), status, "no", page=page)


REJECTED = TokenRejected(0.0, "JWT is expired")
THROTTLED = Throttled(0.0, 1.0)
