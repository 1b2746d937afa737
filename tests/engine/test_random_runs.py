"""Random tenants, lists, readers and interruptions: what holds for every run, whatever happens."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.engine.standing import LaneStanding
from harvester.errors import AccessDenied, Interrupted, StoppedEarly
from harvester.events import LaneDropped
from harvester.model import AccountOutcome, Reason, Settled
from harvester.tenant.client import Lane
from harvester.tenant.usages import UsageQuery
from tests.engine.fakes import (
    BAD,
    BROKEN,
    EMPTY,
    FORBIDDEN,
    GARBLED,
    GOOD,
    MISSING,
    PAGE,
    REDIRECTED,
    REFUSED,
    REJECTED,
    SILENT,
    THROTTLED,
    UNAVAILABLE,
    WALL,
    FakeLane,
    Reply,
    World,
    harvest,
    rows,
)

MAX_OUTAGE = 200.0
PAGE_SIZE = 20

KINDS = [
    "good",
    "empty",
    "pages",
    "bad",
    "missing",
    "forbidden",
    "unauthorized",
    "broken",
    "garbled",
    "page",
    "throttled",
    "flaky",
    "slow",
]
EXPECTED = {
    "good": {AccountOutcome.HARVESTED},
    "slow": {AccountOutcome.HARVESTED},
    "pages": {AccountOutcome.HARVESTED},
    "empty": {AccountOutcome.EMPTY},
    "flaky": {AccountOutcome.HARVESTED, AccountOutcome.FAILED},
}
FINAL = {"bad": BAD, "missing": MISSING, "forbidden": FORBIDDEN}
PASSING = {
    "broken": BROKEN,
    "garbled": GARBLED,
    "page": PAGE,
    "throttled": THROTTLED,
    "unauthorized": REJECTED,
}
AWAY = {
    "unavailable": UNAVAILABLE,
    "refused": REFUSED,
    "silent": SILENT,
    "throttled": THROTTLED,
    "redirected": REDIRECTED,
    "wall": WALL,
    "rejected": REJECTED,
}
PAUSES = (None, 0.0, 1.0, 30.0)


@dataclass(frozen=True)
class Plan:
    """One tenant, one list and what happens to them."""

    accounts: list[str]
    clients: list[str]
    versions: list[str]
    outage: tuple[str, float, float] | None
    noise: float
    reader: float | None
    stop_at: float | None
    known_good: bool
    concurrency: int
    seed: int
    tries: dict[str, int] = field(default_factory=lambda: defaultdict(int), hash=False, compare=False)

    def reply(self, world: World, lane: FakeLane, account: str, offset: int) -> Reply:
        """What the tenant answers at this moment."""
        rng = Random(f"{self.seed}{len(world.sent)}")
        if self.outage is not None and self.outage[1] <= world.now() < self.outage[2]:
            manner, standing = self.outage[0], _standing(world, lane)
            if {"wall": standing.version.proven, "rejected": standing.client.proven}.get(manner, True):
                return AWAY[manner]
        lane_says = self._lane_reply(lane)
        if lane_says is not None:
            return lane_says
        if rng.random() < self.noise:
            return rng.choice([BROKEN, SILENT, REJECTED, Reply(429, b"", retry_after=rng.choice(PAUSES))])
        if account == "a-known":
            return GOOD
        return self._account_reply(self.accounts[int(account[2:])], account, offset, rng)

    def _lane_reply(self, lane: FakeLane) -> Reply | None:
        client = self.clients[int(lane.client.label[1:])]
        version = self.versions[int(lane.api_version[1:])]
        if client == "no right" or version == "forbidden":
            return FORBIDDEN
        if client == "rejected":
            return REJECTED
        return {"not served": MISSING, "down": UNAVAILABLE, "elsewhere": REDIRECTED}.get(version)

    def _account_reply(self, kind: str, account: str, offset: int, rng: Random) -> Reply:
        if kind in FINAL:
            return FINAL[kind]
        if kind in PASSING:
            return PASSING[kind]
        if kind == "pages":
            return Reply(body=rows(PAGE_SIZE if offset < 2 * PAGE_SIZE else 2, offset))
        if kind == "flaky":
            self.tries[account] += 1
            return BROKEN if self.tries[account] % 3 else GOOD
        latency = rng.uniform(1.0, 25.0) if kind == "slow" else rng.uniform(0.01, 0.3)
        return Reply(body=EMPTY.body if kind == "empty" else GOOD.body, latency=latency)

    def script(self, world: World) -> None:
        """Tokens that never come or are refused, a slow reader, a stop."""
        loop = asyncio.get_running_loop()
        for client, state in zip(world.client_list, self.clients, strict=True):
            if state in ("no token", "late token"):
                client.token = False
            if state == "late token":
                loop.call_later(MAX_OUTAGE / 2, client.give_token)
            if state == "refused":
                loop.call_later(self.seed % 7, client.drop, AccessDenied(f"{client.label} is refused"))
        if self.stop_at is not None:
            loop.call_later(self.stop_at, world.engine.stop, Interrupted(2, "interrupted"))
        if self.reader is not None:
            self._read(world, Random(self.seed), -1)

    def _read(self, world: World, rng: Random, read: int) -> None:
        assert self.reader is not None
        read = min(world.ledger.prefix(), read + rng.randint(0, 3))
        world.engine.reader_at(read)
        if read < world.accounts - 1:
            delay = rng.uniform(0, self.reader)
            asyncio.get_running_loop().call_later(delay, self._read, world, rng, read)


def _standing(world: World, lane: FakeLane) -> LaneStanding:
    """What the engine knows of a lane: before it has proven itself, some answers mean something else."""
    standings = world.engine._standings.lanes  # it tells nobody else
    return next(standing for standing in standings if standing.lane is cast(Lane, lane))


CLIENTS = ["good"] * 4 + ["no right", "rejected", "no token", "late token", "refused"]
VERSIONS = ["good"] * 4 + ["not served", "forbidden", "down", "elsewhere"]

plans = st.builds(
    Plan,
    accounts=st.lists(st.sampled_from(["good"] * 6 + KINDS), max_size=60),
    clients=st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=3),
    versions=st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=3),
    outage=st.none()
    | st.tuples(
        st.sampled_from(sorted(AWAY)),
        st.floats(0, 5),
        st.sampled_from([0.5, 3.0, 20.0, 100.0, 1e9]),
    ),
    noise=st.sampled_from([0.0, 0.0, 0.1, 0.4]),
    reader=st.none() | st.sampled_from([0.5, 5.0, 60.0]),
    stop_at=st.none() | st.floats(0, 60),
    known_good=st.booleans(),
    concurrency=st.integers(1, 12),
    seed=st.integers(0, 10_000),
)


def played(plan: Plan) -> tuple[World, object]:
    """Let the plan happen, with what holds for every run asserted on the way."""
    world = World(
        lambda lane, account, offset, _now: plan.reply(world, lane, account, offset),
        accounts=len(plan.accounts),
        clients=len(plan.clients),
        versions=tuple(f"v{i}" for i in range(len(plan.versions))),
        concurrency=plan.concurrency,
        seed=plan.seed,
        known_good="a-known" if plan.known_good else None,
    )
    ahead = None if plan.reader is None else 10
    reader = -1
    first: list[int] = []

    def note(account: str) -> None:
        if account == "a-known" or int(account[2:]) in first:
            return
        position = int(account[2:])
        first.append(position)
        assert ahead is None or position <= reader + ahead
        assert world.engine.in_flight <= plan.concurrency * len(world.lanes)

    def script(world: World) -> None:
        world.on_send = note
        told = world.engine.reader_at

        def reader_at(position: int) -> None:
            nonlocal reader
            reader = max(reader, position)
            told(position)

        world.engine.reader_at = reader_at  # type: ignore[method-assign]
        plan.script(world)

    result = harvest(
        world, script=script, limit=30_000, max_outage=MAX_OUTAGE, query=UsageQuery(PAGE_SIZE), ahead=ahead
    )
    assert first == sorted(first), "accounts are started in the order of the list"
    return world, result.stop


@settings(max_examples=400)
@given(plans)
def test_every_run_ends_and_accounts_for_every_account(plan: Plan) -> None:
    """It ends, in one of the documented ways, and each account has one outcome or is still pending."""
    world, stop = played(plan)
    assert stop is None or isinstance(stop, (StoppedEarly, AccessDenied)), repr(stop)
    assert not isinstance(stop, Interrupted) or plan.stop_at is not None
    if isinstance(stop, AccessDenied):
        assert all(client.dropped is not None for client in world.client_list)
    _assert_outcomes(world, plan)


def _assert_outcomes(world: World, plan: Plan) -> None:
    """Every outcome has a cause in the plan."""
    shared = _shared_causes(plan)
    for account, outcome in world.ledger.outcomes().items():
        kind = plan.accounts[int(account[2:])]
        allowed = EXPECTED.get(kind, {AccountOutcome.FAILED})
        assert outcome in allowed or (shared and outcome is AccountOutcome.FAILED), (account, kind)


def _shared_causes(plan: Plan) -> bool:
    """Whether an account may fail through no fault of its own: noise, or versions that all say no."""
    return bool(plan.noise) or not {"good", "down", "elsewhere"} & set(plan.versions)


@settings(max_examples=200)
@given(plans.filter(lambda plan: not plan.noise and {"good"} == set(plan.versions)))
def test_outages_and_bad_clients_cost_no_account_anything(plan: Plan) -> None:
    """Without noise, an account fails for its own sake alone, and for the right reason."""
    world, stop = played(plan)
    reasons = {
        "bad": {Reason.BAD_REQUEST},
        "missing": {Reason.NOT_FOUND},
        "forbidden": {Reason.FORBIDDEN},
        "broken": {Reason.SERVER_ERROR},
        "garbled": {Reason.NOT_JSON},
        "page": {Reason.NOT_FOUND},
        "unauthorized": {Reason.UNAUTHORIZED},
        "throttled": {Reason.THROTTLED},
    }
    outage = plan.outage is not None
    for account, failure in world.ledger.failures().items():
        kind = plan.accounts[int(account[2:])]
        if outage and kind == "flaky":
            continue  # faults of its own, and of an outage that is too short to be told from them
        assert kind in reasons, (account, kind, failure)
        assert failure.reason in reasons[kind] or (outage and kind in PASSING), (account, kind, failure)
    usable = {"good", "late token"} & set(plan.clients)
    if usable and plan.stop_at is None and not outage and plan.known_good:
        assert stop is None, stop


@settings(max_examples=100)
@given(plans.filter(lambda plan: "not served" in plan.versions and "good" in plan.versions))
def test_a_version_is_dropped_only_if_it_is_not_served_or_forbidden(plan: Plan) -> None:
    """Whatever else happens, a lane that works is not dropped."""
    world, _ = played(plan)
    for event in world.of(LaneDropped):
        version = int(event.lane.split("/v")[1])
        assert plan.versions[version] in ("not served", "forbidden"), event


@settings(max_examples=50)
@given(st.integers(1, 200), st.lists(st.floats(0, 3), max_size=5), st.integers(1, 9), st.integers(0, 99))
def test_a_harvest_that_is_stopped_again_and_again_is_completed(
    accounts: int, stops: list[float], concurrency: int, seed: int
) -> None:
    """Each run continues on the ledger of the one before; nothing that is settled is requested again."""
    settled: dict[int, Settled] = {}
    for stop_at in [*stops, None]:
        world = World(
            lambda *_: GOOD, accounts, concurrency=concurrency, seed=seed, settled_earlier=dict(settled)
        )

        def script(world: World, stop_at: float | None = stop_at) -> None:
            if stop_at is not None:
                why = Interrupted(2, "interrupted")
                asyncio.get_running_loop().call_later(stop_at, world.engine.stop, why)

        harvest(world, script=script)
        requested = {int(sent.account[2:]) for sent in world.sent}
        assert not requested & set(settled)
        settled = world.ledger.settled
    assert len(settled) == accounts
