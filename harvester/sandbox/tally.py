"""What the sandbox has seen: counters that tests compare."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_ONE_BY_ONE = frozenset({"arrivals", "early", "asked", "attempts", "lanes"})


@dataclass(slots=True)
class Tally:
    """Counts of everything that came in, but for ``/_sandbox``. Moments are monotonic seconds."""

    requests: int = 0
    usages: int = 0
    """Usage requests, whatever their answer."""
    listings: int = 0
    """Requests for accounts, sources, identities, and the usage of sources."""
    tokens: int = 0
    """Requests to the token endpoint."""
    connections: int = 0
    throttled: int = 0
    """Usage and listing requests answered 429 by the quota or after an outage."""
    shut_outs: int = 0
    """How often a client was shut out by the route back-off."""
    turned_away: int = 0
    """Connections reset and requests answered 503 in an outage; a closed port counts nothing."""
    in_flight: int = 0
    most_in_flight: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """Answers to usage and listing requests by status; a reset connection is counted under 0."""
    paths: Counter[str] = field(default_factory=Counter)
    """Usage and listing requests by version and operation, such as ``v2024/account-usages``."""
    clients: Counter[str] = field(default_factory=Counter)
    """Usage and listing requests by client ID."""
    faults: Counter[str] = field(default_factory=Counter)
    arrivals: array[float] = field(default_factory=lambda: array("d"))
    """When each usage request arrived."""
    lanes: dict[str, array[float]] = field(default_factory=dict)
    """When each request that counts against a quota arrived, by ``client/version``."""
    early: array[float] = field(default_factory=lambda: array("d"))
    """For each usage or listing request that arrived while a Retry-After given to its client was running:
    the seconds since the 429 that began the pause. Small ones were in flight when it was sent."""
    asked: Counter[int] = field(default_factory=Counter)
    """Usage requests by the account's number, whatever their answer."""
    attempts: Counter[str | int] = field(default_factory=Counter)
    """What the quota let through: usage requests by the account's number, others by path and query."""

    def as_json(self, *, with_moments: bool) -> dict[str, Any]:
        """The tally as JSON types; `with_moments` adds one number for each request."""
        found = {name: getattr(self, name) for name in self.__slots__ if name not in _ONE_BY_ONE}
        found |= {
            "statuses": {str(status): times for status, times in self.statuses.items()},
            "arrived_early": len(self.early),
            "accounts_asked": len(self.asked),
            "most_asked": max(self.asked.values(), default=0),
        }
        if with_moments:
            lanes = {lane: moments.tolist() for lane, moments in self.lanes.items()}
            found |= {"arrivals": self.arrivals.tolist(), "early": self.early.tolist(), "lanes": lanes}
        return found
