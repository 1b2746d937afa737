"""What is known about clients, API versions and lanes: counters for the policy, no behavior of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harvester.model import Refused, TokenRejected
from harvester.tenant.client import Lane

DENIALS = 10
"""Answers 401 and 403, and no other, after which a client, or a lane, is not used any more."""
MOST_MISSING = 10
"""Accounts that an unproven API version may answer with 404 before others have been asked for them."""


@dataclass(slots=True, eq=False)
class VersionStanding:
    """One API version, on whatever clients."""

    name: str
    lanes: int = 0
    """Its lanes, as bits."""
    proven: bool = False
    """Whether it has answered for any account."""
    missing: int = 0
    """Accounts that it answered with 404, and that another version is still to be asked for."""


@dataclass(slots=True, eq=False)
class ClientStanding:
    """One client, with all its lanes."""

    label: str
    lanes: list[LaneStanding] = field(default_factory=list)
    proven: bool = False
    """Whether it has been given an answer that only a client with the right is given."""
    denials: int = 0
    """Answers 401 and 403 while it was not proven."""
    denial: Refused | TokenRejected | None = None
    """The last of them."""
    checking: bool = False
    """Whether the known-good account has been requested to find out about it."""

    @property
    def on_trial(self) -> bool:
        """Whether it must not be given accounts until it is decided whether it is dropped."""
        return not self.proven and self.denials >= DENIALS


@dataclass(slots=True, eq=False)
class LaneStanding:
    """One client on one API version."""

    lane: Lane
    index: int
    client: ClientStanding
    version: VersionStanding
    proven: bool = False
    denials: int = 0
    """Answers 403 while it was not proven."""
    in_flight: int = 0

    @property
    def bit(self) -> int:
        """The lane in a set of lanes."""
        return 1 << self.index

    @property
    def live(self) -> bool:
        """Whether it is still used."""
        return not self.lane.dropped


@dataclass(slots=True, eq=False)
class Standings:
    """All lanes of a run."""

    lanes: list[LaneStanding]

    @classmethod
    def of(cls, lanes: Sequence[Lane]) -> Standings:
        """The standings at the start of a run: nothing is known."""
        clients: dict[int, ClientStanding] = {}
        versions: dict[str, VersionStanding] = {}
        standings: list[LaneStanding] = []
        for index, lane in enumerate(lanes):
            client = clients.setdefault(id(lane.client), ClientStanding(lane.client.label))
            version = versions.setdefault(lane.api_version, VersionStanding(lane.api_version))
            standing = LaneStanding(lane, index, client, version)
            client.lanes.append(standing)
            version.lanes |= standing.bit
            standings.append(standing)
        return cls(standings)

    @property
    def live(self) -> list[LaneStanding]:
        """The lanes that are still used."""
        return [standing for standing in self.lanes if standing.live]

    def others(self, avoid: int) -> bool:
        """Whether any lane is still used that is not in the set `avoid`."""
        return any(standing.live and not avoid & standing.bit for standing in self.lanes)
