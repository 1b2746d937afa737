"""The engine against a tenant in memory, on a virtual clock: one behavior a test."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from harvester.errors import AccessDenied, Interrupted, StoppedEarly, UsageError
from harvester.events import (
    ClientDropped,
    Committed,
    LaneDropped,
    OutageBegan,
    OutageEnded,
    RetryScheduled,
    Stopping,
    Warned,
)
from harvester.model import AccountOutcome, Failure, Fault, Harvested, Reason
from harvester.tenant.usages import UsageQuery
from tests.engine.fakes import (
    BAD,
    BROKEN,
    EMPTY,
    FORBIDDEN,
    GARBLED,
    GOOD,
    MISSING,
    REFUSED,
    REJECTED,
    SILENT,
    THROTTLED,
    UNAVAILABLE,
    FakeLane,
    Reply,
    World,
    harvest,
    rows,
)


def always(reply: Reply) -> World:
    return World(lambda *_: reply)


def all_but(good: Reply, others: dict[str, Reply], accounts: int = 20) -> World:
    return World(lambda _lane, account, *_: others.get(account, good), accounts=accounts)


# --- what accounts come to


def test_every_account_is_harvested_by_one_request_each() -> None:
    """The usual harvest: one request an account, in the order of the list, and no reason to stop."""
    world = always(GOOD)
    assert harvest(world).stop is None
    assert [sent.account for sent in world.sent] == [f"a-{i}" for i in range(20)]
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}


def test_an_empty_list_ends_at_once() -> None:
    """Nothing pending: nothing is sent."""
    world = World(lambda *_: GOOD, accounts=0)
    result = harvest(world)
    assert result.stop is None
    assert not world.sent
    assert result.seconds < 2


def test_an_answer_without_rows_is_empty_or_unreported() -> None:
    """Without rows, an account of a source that reports no usage is unreported, any other is empty."""
    world = World(lambda *_: EMPTY, accounts=2, unreported=frozenset({1}))
    harvest(world)
    assert world.ledger.outcomes() == {"a-0": AccountOutcome.EMPTY, "a-1": AccountOutcome.UNREPORTED}


def test_rows_win_over_the_status_of_the_source_with_one_warning() -> None:
    """Rows of accounts whose source is said to report none are kept; a person is told once."""
    world = World(lambda *_: GOOD, unreported=frozenset(range(20)))
    harvest(world)
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}
    assert [event.code for event in world.of(Warned)] == ["unreported_with_rows"]


def test_pages_are_followed() -> None:
    """A full page is followed by the next one, and the rows of all pages are kept."""

    def reply(_lane: FakeLane, _account: str, offset: int, _now: float) -> Reply:
        return Reply(body=rows(10 if offset < 20 else 3, offset))

    world = World(reply, accounts=3)
    harvest(world, query=UsageQuery(10))
    assert sorted((s.account, s.offset) for s in world.sent) == [
        (f"a-{i}", o) for i in range(3) for o in (0, 10, 20)
    ]
    assert {s.rows.rows for s in world.ledger.settled.values() if isinstance(s, Harvested)} == {23}


def test_a_refusal_fails_the_account_at_once() -> None:
    """400 is final: one request, one failure with the tenant's own words."""
    world = all_but(GOOD, {"a-3": BAD})
    assert harvest(world).stop is None
    failure = world.ledger.failures()["a-3"]
    assert (failure.status, failure.reason, failure.attempts) == (400, Reason.BAD_REQUEST, 1)
    assert "bad id" in failure.detail
    assert len(world.requests_for("a-3")) == 1


def test_faults_cost_attempts_and_others_continue() -> None:
    """An account that always errs is given up after its attempts, while the others are harvested."""
    world = all_but(GOOD, {"a-3": BROKEN}, accounts=2000)
    assert harvest(world).stop is None
    failure = world.ledger.failures()["a-3"]
    assert (failure.status, failure.reason, failure.attempts) == (500, Reason.SERVER_ERROR, 5)
    assert failure.tracking_id == "t1"
    assert len(world.requests_for("a-3")) == 5
    assert [event.attempt for event in world.of(RetryScheduled)] == [1, 2, 3, 4]


@pytest.mark.parametrize("reply", [BROKEN, GARBLED, SILENT, Reply(fault=Reason.CONNECTION_LOST)])
def test_the_last_accounts_fail_only_after_a_sign_of_life(reply: Reply) -> None:
    """Erring accounts at the end of the list: the known-good account shows that the tenant is alive."""
    world = all_but(GOOD, {f"a-{i}": reply for i in range(15, 20)})
    assert harvest(world).stop is None
    assert len(world.ledger.failures()) == 5
    assert {sent.purpose for sent in world.sent} == {"usage", "probe"}
    assert all(len(world.requests_for(f"a-{i}")) in (5, 6) for i in range(15, 20))


def test_pages_that_contradict_each_other_start_the_account_over_and_fail_it_in_the_end() -> None:
    """A tenant that ignores the offset: the account starts over each time, and fails; nobody else suffers."""

    def reply(_lane: FakeLane, account: str, _offset: int, _now: float) -> Reply:
        return Reply(body=rows(10)) if account == "a-1" else GOOD

    world = World(reply, accounts=3)
    assert harvest(world, query=UsageQuery(10)).stop is None
    assert world.ledger.failures()["a-1"].reason == Reason.WRONG_SHAPE
    assert len(world.requests_for("a-1")) == 10


@pytest.mark.parametrize(("until", "end"), [(2, Harvested), (99, Failure)])
def test_a_total_that_changes_while_paging_starts_the_account_over(until: int, end: type) -> None:
    """The rows have moved: all pages are requested again, as often as there are attempts."""
    asked = 0

    def reply(_lane: FakeLane, _account: str, offset: int, _now: float) -> Reply:
        nonlocal asked
        asked += 1
        total = 15 - asked % 2 if asked <= until else 14
        return Reply(body=rows(10 if offset == 0 else 4, offset), total=total)

    world = World(reply, accounts=1)
    assert harvest(world, query=UsageQuery(10, total=True)).stop is None
    (settled,) = world.ledger.settled.values()
    assert isinstance(settled, end)
    assert [sent.offset for sent in world.sent] == [0, 10] * (2 if end is Harvested else 5)
    if isinstance(settled, Failure):
        assert settled.reason == Reason.COUNT_MISMATCH


def test_a_token_that_is_rejected_now_and_then_costs_nothing() -> None:
    """A 401 is answered with a new token and the same request."""
    seen: Counter[str] = Counter()

    def reply(_lane: FakeLane, account: str, *_: object) -> Reply:
        seen[account] += 1
        return REJECTED if seen[account] <= 2 and account in ("a-5", "a-15") else GOOD

    world = World(reply)
    assert harvest(world).stop is None
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}


def test_an_account_that_is_always_unauthorized_fails_alone() -> None:
    """A proven client: the account that always gets 401 fails after a few new tokens and its attempts."""
    world = all_but(GOOD, {"a-15": REJECTED}, accounts=2000)
    assert harvest(world).stop is None
    failure = world.ledger.failures()["a-15"]
    assert (failure.status, failure.reason) == (401, Reason.UNAUTHORIZED)
    assert 5 <= failure.attempts <= len(world.requests_for("a-15")) <= 10


# --- 429


def test_one_account_that_always_gets_429_fails_alone() -> None:
    """A limit of one object: the other 199 are harvested, and it fails as throttled, in minutes."""
    world = all_but(GOOD, {"a-5": THROTTLED}, accounts=200)
    result = harvest(world)
    assert result.stop is None
    assert result.seconds < 120
    failure = world.ledger.failures()["a-5"]
    assert (failure.status, failure.reason, failure.attempts) == (429, Reason.THROTTLED, 5)
    assert list(world.ledger.failures()) == ["a-5"]


@pytest.mark.parametrize("which", [{199}, {0}, {0, 7, 100, 198, 199}])
def test_accounts_that_always_get_429_fail_wherever_they_are(which: set[int]) -> None:
    """At the end of the list too, where the known-good account takes the part of the others."""
    world = all_but(GOOD, {f"a-{i}": THROTTLED for i in which}, accounts=200)
    result = harvest(world)
    assert result.stop is None
    assert result.seconds < 300
    assert set(world.ledger.failures()) == {f"a-{i}" for i in which}


@pytest.mark.parametrize("others", [EMPTY, MISSING, BAD])
def test_accounts_that_always_get_429_fail_among_others_without_rows(others: Reply) -> None:
    """An account answered without rows, or refused, takes the part of the known-good one."""
    world = all_but(others, {"a-1": THROTTLED, "a-7": THROTTLED}, accounts=12)
    result = harvest(world)
    assert result.stop is None
    assert result.seconds < 300
    assert {one for one, failed in world.ledger.failures().items() if failed.status == 429} == {"a-1", "a-7"}


def test_an_account_that_always_gets_429_fails_in_a_harvest_that_is_resumed_for_it() -> None:
    """An account that was refused in an earlier run takes the part of the known-good one."""
    world = all_but(MISSING, {"a-0": THROTTLED}, accounts=1)
    world.answered_account = "a-gone"
    assert harvest(world).stop is None
    assert world.ledger.failures()["a-0"].reason is Reason.THROTTLED


def test_a_429_costs_no_attempt_before_ten_others_were_answered() -> None:
    """An account that is throttled moves behind ten others before it is requested again."""
    world = all_but(GOOD, {"a-5": THROTTLED}, accounts=200)
    world.concurrency = 1
    harvest(world)
    order = [sent.account for sent in world.sent]
    places = [place for place, account in enumerate(order) if account == "a-5"]
    assert all(later - earlier > 10 for earlier, later in pairwise(places))
    assert len(places) == 6


def test_429_for_everything_ends_after_max_outage() -> None:
    """Endless 429s: requests are sent now and then, and the run ends resumable, saying so."""
    world = always(THROTTLED)
    result = harvest(world, max_outage=600)
    assert isinstance(result.stop, StoppedEarly)
    assert "every request was answered with 429 for 6" in result.stop.problem
    assert 599 < result.seconds < 610
    assert not world.ledger.settled


def test_429_for_everything_that_ends_costs_no_account_anything() -> None:
    """When the 429s end, everything is harvested."""
    world = World(lambda _l, _a, _o, _n: THROTTLED if world.now() < 500 else GOOD)
    assert harvest(world, max_outage=600).stop is None
    assert not world.ledger.failures()


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_limits_ends_the_run_at_once(status: int) -> None:
    """Instead of sleeping for longer than the run may last, it ends resumable."""
    limits: list[dict[str, Any]] = [{"deadline": 50.0}, {"max_outage": 50.0}]
    for options in limits:
        result = harvest(always(Reply(status, b"", retry_after=100)), **options)
        assert isinstance(result.stop, StoppedEarly)
        assert "100 s" in result.stop.problem
        assert result.seconds < 3


def test_a_retry_after_within_the_limits_is_waited_for() -> None:
    """A long pause that the run can afford ends, and the run continues."""
    world = World(lambda *_: Reply(429, b"", retry_after=1200) if world.now() < 1000 else GOOD)
    result = harvest(world)
    assert result.stop is None
    assert result.seconds > 1200


def test_a_pause_of_one_lane_does_not_end_the_run() -> None:
    """Another lane can send: its pause alone counts."""
    world = World(
        lambda lane, *_: Reply(429, b"", retry_after=9000) if lane.api_version == "v1" else GOOD,
        versions=("v2024", "v1"),
    )
    assert harvest(world).stop is None
    assert not world.ledger.failures()


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_is_saved_at_once(status: int) -> None:
    """A Retry-After outlives a kill: it is in the ledger before the pause is over."""
    saved: list[float] = []
    first = Reply(status, b"", retry_after=60)
    world = World(lambda *_: first if world.now() < 30 else GOOD, accounts=1)

    def script(world: World) -> None:
        world.ledger.on_settle = lambda: saved.append(world.now())

    harvest(world, script=script)
    assert any(0.1 < at < 0.5 for at in saved)
    assert world.ledger.facts["lane:c0/v2024"]["pausedUntil"] > 60


# --- tokens


@pytest.mark.parametrize(
    "problem",
    [
        "the token endpoint answered 503",
        "the token endpoint answered 200 without a token",
        "the token endpoint sent HTML",
        "the token endpoint answered 429",
        "the token endpoint did not respond",
    ],
)
def test_a_token_that_never_comes_ends_the_run_after_max_outage(problem: str) -> None:
    """Whatever is wrong with the token endpoint is in the sentence, and the wait for it is bounded."""

    def script(world: World) -> None:
        world.client_list[0].token = False
        world.client_list[0].no_token_because = problem

    world = always(GOOD)
    result = harvest(world, script=script, max_outage=1800)
    assert isinstance(result.stop, StoppedEarly)
    assert problem in result.stop.problem
    assert 1800 <= result.seconds < 1810
    assert not world.sent


def test_a_token_that_comes_late_is_waited_for() -> None:
    """Within max_outage, the harvest continues as if nothing had been."""

    def script(world: World) -> None:
        world.client_list[0].token = False
        asyncio.get_running_loop().call_later(1700, world.client_list[0].give_token)

    assert harvest(always(GOOD), script=script, max_outage=1800).stop is None


def test_a_client_without_token_does_not_stop_the_others() -> None:
    """One client never gets a token: the other harvests everything."""

    def script(world: World) -> None:
        world.client_list[0].token = False

    world = World(lambda *_: GOOD, clients=2)
    result = harvest(world, script=script)
    assert result.stop is None
    assert result.seconds < 10


def test_refused_credentials_end_the_run_at_once() -> None:
    """The token endpoint refuses the only client: status 4, with its reason."""

    def script(world: World) -> None:
        world.client_list[0].token = False
        why = AccessDenied("client 'c0' is refused (401)")
        asyncio.get_running_loop().call_later(0.3, world.client_list[0].drop, why)

    result = harvest(always(GOOD), script=script)
    assert isinstance(result.stop, AccessDenied)
    assert "401" in result.stop.problem
    assert result.seconds < 3


def test_a_permanent_fault_ends_the_run_with_status_2() -> None:
    """What waiting cannot fix is a usage error, named."""
    result = harvest(always(Reply(fault=Reason.CONNECT, connected=False, permanent=True)))
    assert isinstance(result.stop, UsageError)
    assert result.seconds < 2


def test_a_permanent_fault_of_the_token_endpoint_ends_the_run_with_status_2() -> None:
    """The first request of all is that for a token: its permanent fault counts as well."""

    def script(world: World) -> None:
        world.client_list[0].token = False
        world.permanent_fault = Fault(0.0, Reason.CONNECT, "unknown host", permanent=True)

    result = harvest(always(GOOD), script=script)
    assert isinstance(result.stop, UsageError)
    assert "unknown host" in result.stop.problem


# --- access


@pytest.mark.parametrize("denial", [FORBIDDEN, REJECTED])
def test_a_client_without_the_right_is_dropped_after_ten_denials(denial: Reply) -> None:
    """Ten answers 401 or 403 and no other: status 4, and no more requests than were in flight."""
    world = World(lambda *_: denial, accounts=1000)
    result = harvest(world)
    assert isinstance(result.stop, AccessDenied)
    assert len(world.sent) <= 10 + world.concurrency
    assert not world.ledger.settled


def test_429s_do_not_count_among_the_first_ten() -> None:
    """A client whose first ten responses other than 429 are denials is dropped, whatever else is pending."""
    world = World(
        lambda _l, account, *_: THROTTLED if int(account[2:]) % 3 == 0 else FORBIDDEN, accounts=1000
    )
    result = harvest(world, deadline=3600)
    assert isinstance(result.stop, AccessDenied)
    assert len(world.sent) < 60


@pytest.mark.parametrize("denial", [FORBIDDEN, REJECTED])
def test_a_short_list_of_denials_ends_with_access_denied(denial: Reply) -> None:
    """Fewer than ten accounts, all denied: nothing more will be learned."""
    world = World(lambda *_: denial, accounts=3)
    result = harvest(world)
    assert isinstance(result.stop, AccessDenied)
    assert result.seconds < 5


def test_single_denials_of_a_proven_client_fail_alone() -> None:
    """Forbidden accounts fail by themselves, also those that came before the first good answer."""
    forbidden = {f"a-{i}": FORBIDDEN for i in (0, 1, 2, 12, 19)}
    world = all_but(GOOD, forbidden)
    assert harvest(world).stop is None
    assert set(world.ledger.failures()) == set(forbidden)
    assert len(world.sent) == 20


@pytest.mark.parametrize("accounts", [3, 30])
def test_a_resumed_list_of_forbidden_accounts_fails_them_alone(accounts: int) -> None:
    """The known-good account is answered: the client has the right, the accounts are forbidden."""
    world = World(
        lambda _l, account, *_: GOOD if account == "a-known" else FORBIDDEN,
        accounts=accounts,
        known_good="a-known",
    )
    assert harvest(world).stop is None
    assert len(world.ledger.failures()) == accounts
    assert [sent.purpose for sent in world.sent if sent.account == "a-known"] == ["probe"]


@pytest.mark.parametrize("accounts", [3, 30])
def test_a_resumed_harvest_without_the_right_any_more_ends_with_access_denied(accounts: int) -> None:
    """Even the known-good account is denied: the right is gone, and no account fails for it."""
    world = World(lambda *_: FORBIDDEN, accounts=accounts, known_good="a-known")
    result = harvest(world)
    assert isinstance(result.stop, AccessDenied)
    assert not world.ledger.settled
    assert len(world.sent) <= 10 + world.concurrency + 1


def test_a_check_survives_429_faults_and_rejected_tokens() -> None:
    """The known-good account is requested until there is an answer that says something."""
    answers = iter([THROTTLED, BROKEN, REJECTED, SILENT, GOOD])
    world = World(
        lambda _l, account, *_: next(answers) if account == "a-known" else FORBIDDEN,
        accounts=12,
        known_good="a-known",
    )
    assert harvest(world).stop is None
    assert len(world.ledger.failures()) == 12


def test_checks_of_several_clients_at_once_are_all_decided() -> None:
    """A check that is called for during another one is not lost."""

    def reply(lane: FakeLane, account: str, *_: object) -> Reply:
        if account == "a-known":
            return Reply(latency=20.0) if lane.client.label != "c1" else Reply(403, b"{}", latency=20.0)
        return FORBIDDEN

    world = World(reply, accounts=100, clients=4, known_good="a-known")
    assert harvest(world).stop is None
    assert [event.client for event in world.of(ClientDropped)] == ["c1"]
    assert len(world.ledger.failures()) == 100


def test_a_client_without_the_right_leaves_its_accounts_to_the_others() -> None:
    """One of two clients is denied everything: it is dropped, and no account fails."""
    world = World(lambda lane, *_: FORBIDDEN if lane.client.label == "c0" else GOOD, accounts=100, clients=2)
    assert harvest(world).stop is None
    assert [event.client for event in world.of(ClientDropped)] == ["c0"]
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}


def test_denials_of_one_client_are_asked_of_another_at_the_end_of_a_short_list() -> None:
    """Too short for a verdict: what the unproven client was denied, the proven one decides about."""
    world = World(lambda lane, *_: FORBIDDEN if lane.client.label == "c0" else GOOD, accounts=8, clients=2)
    assert harvest(world).stop is None
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}


def test_accounts_that_wait_for_a_client_that_is_dropped_return_to_the_others() -> None:
    """What one client was denied waits for a proven one, whose credentials are then refused."""

    def reply(lane: FakeLane, account: str, *_: object) -> Reply:
        if lane.client.label == "c0":
            return FORBIDDEN
        return GOOD if account != "a-3" else Reply(429, b"", retry_after=20)

    def script(world: World) -> None:
        refused = AccessDenied("client 'c1' is refused (401)")
        asyncio.get_running_loop().call_later(10, world.client_list[1].drop, refused)

    world = World(reply, accounts=4, clients=2, concurrency=1)
    result = harvest(world, script=script)
    assert isinstance(result.stop, AccessDenied)
    assert "'c0'" in result.stop.problem


def test_the_last_client_is_dropped_while_a_429_is_in_flight_and_a_deadline_is_set() -> None:
    """The late 429 finds no client in use, and nothing breaks."""

    def reply(_lane: FakeLane, account: str, *_: object) -> Reply:
        if account == "a-0":
            return Reply(429, b"", retry_after=30, latency=3.0)
        return FORBIDDEN

    world = World(reply, accounts=100, concurrency=20)
    result = harvest(world, deadline=1000)
    assert isinstance(result.stop, AccessDenied)
    assert result.seconds < 5


# --- lanes


def test_a_version_that_is_not_served_is_dropped_with_one_warning() -> None:
    """404 from one version for accounts that another one has: its accounts go to the others."""
    world = World(
        lambda lane, *_: MISSING if lane.api_version == "v2025" else GOOD,
        accounts=300,
        versions=("v2024", "v2025"),
    )
    assert harvest(world).stop is None
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}
    dropped = world.of(LaneDropped)
    assert [event.lane for event in dropped] == ["c0/v2025"]
    assert "v2025" in dropped[0].detail
    assert len(world.sent) < 330


def test_accounts_that_no_version_has_fail_as_not_found() -> None:
    """404 from a version that has answered before is the account's own matter."""
    missing = {f"a-{i}" for i in range(0, 100, 7)}
    world = World(
        lambda _l, account, *_: MISSING if account in missing else GOOD,
        accounts=100,
        versions=("v2024", "v2025"),
    )
    assert harvest(world).stop is None
    assert set(world.ledger.failures()) == missing
    assert not world.of(LaneDropped)


def test_a_version_that_answers_403_to_everything_is_dropped_not_the_client() -> None:
    """One lane is denied everything while another works."""
    world = World(
        lambda lane, *_: FORBIDDEN if lane.api_version == "v2025" else GOOD,
        accounts=300,
        versions=("v2024", "v2025"),
    )
    assert harvest(world).stop is None
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}
    assert [event.lane for event in world.of(LaneDropped)] == ["c0/v2025"]
    assert not world.of(ClientDropped)


def test_fast_denials_of_one_version_wait_for_the_slow_first_answer_of_another() -> None:
    """Ten denials from one lane, while the first requests of the other are in flight, drop no client."""
    world = World(
        lambda lane, *_: Reply(403, b"{}", latency=0.01) if lane.api_version == "v1" else Reply(latency=5.0),
        accounts=300,
        versions=("v1", "v2024"),
    )
    assert harvest(world).stop is None
    assert not world.of(ClientDropped)
    assert not world.ledger.failures()


def test_a_version_that_answers_5xx_holds_its_own_lane() -> None:
    """The tenant as a whole is not held, no outage is reported, and no account fails."""
    world = World(
        lambda lane, *_: UNAVAILABLE if lane.api_version == "v2025" else GOOD,
        accounts=2000,
        versions=("v2024", "v2025"),
    )
    result = harvest(world)
    assert result.stop is None
    assert not world.ledger.failures()
    assert not world.of(OutageBegan)
    assert [event.code for event in world.of(Warned)] == ["lane_fails"]
    assert sum(sent.lane == "c0/v2025" for sent in world.sent) < 60


def test_a_lane_that_is_held_comes_back() -> None:
    """When the version answers again, its lane is used again."""
    world = World(
        lambda lane, *_: UNAVAILABLE if lane.api_version == "v2025" and world.now() < 20 else GOOD,
        accounts=8000,
        versions=("v2024", "v2025"),
    )
    assert harvest(world).stop is None
    assert sum(sent.lane == "c0/v2025" for sent in world.sent) > 1000


# --- outages


@pytest.mark.parametrize("reply", [UNAVAILABLE, REFUSED, SILENT, GARBLED])
@pytest.mark.parametrize("accounts", [1, 3, 500])
def test_an_outage_costs_no_account_its_attempts(reply: Reply, accounts: int) -> None:
    """However the tenant fails, and however long the list is: when it is back, everything is harvested."""
    world = World(lambda *_: reply if world.now() < 700 else GOOD, accounts=accounts)
    result = harvest(world)
    assert result.stop is None
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}
    assert len(world.sent) < accounts + 40 + 700 / 10


@pytest.mark.parametrize("seed", range(8))
def test_an_outage_that_begins_lane_by_lane_is_one(seed: int) -> None:
    """With few accounts and many lanes, these are held one after the other: that uses up no refunds."""
    world = World(
        lambda *_: UNAVAILABLE if world.now() < 100 else GOOD,
        accounts=1,
        clients=2,
        versions=("v1", "v2024"),
        concurrency=1,
        seed=seed,
    )
    assert harvest(world).stop is None
    assert not world.ledger.failures()


def test_an_outage_is_probed_by_one_request_at_a_time() -> None:
    """While the tenant is away, there is never more than one request in flight, over all lanes."""
    in_flight: list[int] = []
    world = World(
        lambda *_: UNAVAILABLE if 2 < world.now() < 600 else GOOD,
        accounts=3000,
        clients=3,
        versions=("v1", "v2024"),
    )

    def note(_account: str) -> None:
        if 5 < world.now() < 600:
            in_flight.append(sum(lane.in_flight for lane in world.lanes))

    world.on_send = note
    assert harvest(world).stop is None
    assert in_flight
    assert set(in_flight) == {0}
    assert not world.ledger.failures()
    assert len(world.of(OutageBegan)) == 1
    assert len(world.of(OutageEnded)) == 1
    assert 590 < world.of(OutageEnded)[0].seconds < 620


def test_a_probe_that_is_told_429_is_followed_by_another() -> None:
    """A 429 in the middle of an outage says nothing about the tenant, and ends no probing."""

    def reply(*_: object) -> Reply:
        if 10 < world.now() < 50:
            return THROTTLED
        return UNAVAILABLE if world.now() < 100 else GOOD

    world = World(reply, accounts=30)
    result = harvest(world)
    assert result.stop is None
    assert 100 < result.seconds < 125
    assert not world.ledger.failures()


def test_an_outage_that_does_not_end_stops_the_run_after_max_outage() -> None:
    """The tenant never answers: status 5 with what was seen, and nothing is settled."""
    world = World(lambda *_: UNAVAILABLE, accounts=100)
    result = harvest(world, max_outage=900)
    assert isinstance(result.stop, StoppedEarly)
    assert "HTTP 503" in result.stop.problem
    assert 899 < result.seconds < 920
    assert not world.ledger.settled


def test_faults_now_and_then_are_no_outage_however_long_the_run_takes() -> None:
    """Each useful answer starts the wait anew."""
    asked = 0

    def reply(*_: object) -> Reply:
        nonlocal asked
        asked += 1
        return (GOOD, GOOD, BROKEN, GOOD, THROTTLED)[asked % 5]

    world = World(reply, accounts=400, interval=1.0)
    result = harvest(world, max_outage=100)
    assert result.stop is None
    assert result.seconds > 300


def test_a_single_account_that_always_errs_on_its_own_ends_after_max_outage() -> None:
    """No life ever: nobody can tell whose fault it is, so nothing fails."""
    world = World(lambda *_: BROKEN, accounts=1)
    result = harvest(world, max_outage=900)
    assert isinstance(result.stop, StoppedEarly)
    assert not world.ledger.settled


@pytest.mark.parametrize("others", [EMPTY, MISSING, BAD])
def test_a_single_account_that_always_errs_among_others_without_rows_fails(others: Reply) -> None:
    """An empty answer and a refusal show that the tenant is alive, too."""
    world = World(lambda _l, account, *_: BROKEN if account == "a-1" else others, accounts=3)
    assert harvest(world).stop is None
    assert world.ledger.failures()["a-1"].attempts == 5


@pytest.mark.parametrize("versions", [("v1", "v2024"), ("v1", "v2024", "v2025")])
@pytest.mark.parametrize("which", ["a-0", "a-29", "a-59"])
def test_an_account_that_always_errs_fails_while_a_version_does_nothing_else(
    versions: tuple[str, ...], which: str
) -> None:
    """That one lane is probed for as long as it errs holds up no decision about the others."""

    def reply(lane: FakeLane, account: str, *_: object) -> Reply:
        return BROKEN if lane.api_version == "v1" or account == which else GOOD

    world = World(reply, accounts=60, versions=versions)
    result = harvest(world, max_outage=600)
    assert result.stop is None
    assert list(world.ledger.failures()) == [which]
    assert result.seconds < 120


def test_a_single_account_that_always_errs_on_a_resumed_harvest_fails() -> None:
    """The known-good account shows that the tenant is alive."""
    world = World(
        lambda _l, account, *_: GOOD if account == "a-known" else BROKEN, accounts=1, known_good="a-known"
    )
    assert harvest(world).stop is None
    assert world.ledger.failures()["a-0"].attempts == 5


# --- the list


def test_none_of_the_first_hundred_exists() -> None:
    """A list of wrong IDs stops after a hundred of them, with a hint."""
    world = World(lambda *_: MISSING, accounts=1000)
    result = harvest(world)
    assert isinstance(result.stop, StoppedEarly)
    assert "none of the first 100 accounts" in result.stop.problem
    assert 100 <= len(world.ledger.settled) <= 100 + world.concurrency


@pytest.mark.parametrize(
    "options", [{"max_failures": 10_000}, {"check_list": False}], ids=["max_failures", "check_list"]
)
def test_wrong_ids_may_be_wanted(options: dict[str, Any]) -> None:
    """With --max-failures, the person decides how many may fail."""
    world = World(lambda *_: MISSING, accounts=300)
    assert harvest(world, **options).stop is None
    assert len(world.ledger.failures()) == 300


def test_a_resumed_harvest_with_answers_does_not_doubt_its_list() -> None:
    """The ledger has an answered account: hundreds that are gone are failures of their own."""
    world = World(lambda *_: MISSING, accounts=300, known_good="a-known")
    assert harvest(world).stop is None


def test_max_failures_stops_the_run() -> None:
    """So many failures, and no more than were in flight."""
    world = World(lambda *_: BAD, accounts=500)
    result = harvest(world, max_failures=20)
    assert isinstance(result.stop, StoppedEarly)
    assert 20 <= len(world.ledger.failures()) <= 20 + world.concurrency


# --- stopping


def test_the_deadline_ends_the_run() -> None:
    """Resumable, and on time."""
    world = World(lambda *_: GOOD, accounts=100_000, interval=1.0)
    result = harvest(world, deadline=60)
    assert isinstance(result.stop, StoppedEarly)
    assert "deadline" in result.stop.problem
    assert 60 <= result.seconds < 61


def test_stop_lets_requests_in_flight_finish() -> None:
    """What is in flight is stored; nothing new is sent; the grace is not used up."""
    world = World(lambda *_: Reply(latency=2.0), accounts=1000, concurrency=30)

    def script(world: World) -> None:
        asyncio.get_running_loop().call_later(3, world.engine.stop, Interrupted(2, "interrupted"))

    result = harvest(world, script=script)
    assert isinstance(result.stop, Interrupted)
    assert len(world.ledger.settled) == len(world.sent)
    assert 3 < result.seconds < 5.5
    assert all(sent.at - world.began <= 3 for sent in world.sent)
    assert world.of(Stopping) == [Stopping("interrupted", 5.0, by_signal=True)]


def test_stop_waits_no_longer_than_the_grace() -> None:
    """Requests that hang are left, and their accounts stay pending."""
    world = World(lambda *_: SILENT, accounts=100)

    def script(world: World) -> None:
        asyncio.get_running_loop().call_later(3, world.engine.stop, Interrupted(15, "terminated"))

    result = harvest(world, script=script, stop_grace=5)
    assert isinstance(result.stop, Interrupted)
    assert 8 <= result.seconds < 8.5
    assert not world.ledger.settled


def test_stop_before_the_start_sends_nothing() -> None:
    """A signal may come before the first request."""
    world = always(GOOD)
    result = harvest(world, script=lambda world: world.engine.stop(Interrupted(2, "interrupted")))
    assert isinstance(result.stop, Interrupted)
    assert not world.sent


def test_a_ledger_that_fails_ends_the_run_with_its_error() -> None:
    """A full disk: status 5, whatever else is going on."""
    disk = StoppedEarly("the disk is full")

    def script(world: World) -> None:
        asyncio.get_running_loop().call_later(5, setattr, world.ledger, "broken", disk)

    world = World(lambda *_: GOOD, accounts=10_000)
    result = harvest(world, script=script)
    assert result.stop is disk
    assert result.seconds < 15


def test_a_ledger_that_fails_at_the_very_end_ends_the_run_with_its_error() -> None:
    """Every account was answered, but the last batch could not be stored."""
    disk = StoppedEarly("the disk is full")
    world = World(lambda *_: GOOD, accounts=5)

    def script(world: World) -> None:
        world.ledger.broken = disk

    assert harvest(world, script=script).stop is disk


def test_a_slow_disk_holds_requests_back() -> None:
    """Settled accounts that wait for the disk are bounded."""
    world = World(lambda *_: GOOD, accounts=9000, interval=0.0001, concurrency=50)
    world.reply = lambda *_: Reply(latency=0.001)

    def script(world: World) -> None:
        world.ledger.settle_delay = 20.0

    assert harvest(world, script=script).stop is None
    assert max(world.ledger.batches) <= 2000 + world.concurrency


# --- commits and the reader


def test_accounts_are_committed_in_batches() -> None:
    """Every quarter of a second, or two hundred accounts; the first one at once."""
    world = World(lambda *_: Reply(latency=0.01), accounts=3000, interval=0.0005, concurrency=50)
    harvest(world)
    sizes = [event.accounts for event in world.of(Committed)]
    assert sum(sizes) == 3000
    assert max(sizes) <= 400
    assert len(sizes) < 40


def test_a_slow_reader_bounds_how_far_ahead_accounts_are_started() -> None:
    """No account is started more than `ahead` positions before what the reader has emitted."""
    worst = 0
    read = -1

    def note(account: str) -> None:
        nonlocal worst
        worst = max(worst, int(account[2:]) - read)

    def script(world: World) -> None:
        world.on_send = note
        read_slowly(world)

    def read_slowly(world: World) -> None:
        nonlocal read
        if read < world.ledger.prefix():
            read += 1
            world.engine.reader_at(read)
        if read < world.accounts - 1:
            asyncio.get_running_loop().call_later(7.0, read_slowly, world)

    forbidden = {f"a-{i}": BROKEN for i in range(0, 300, 11)}
    world = all_but(GOOD, forbidden, accounts=300)
    result = harvest(world, script=script, ahead=20, max_outage=60)
    assert result.stop is None
    assert set(world.ledger.failures()) == set(forbidden)
    assert worst <= 20
    assert result.seconds > 7 * 270


def test_a_slow_reader_is_waited_for_longer_than_max_outage() -> None:
    """Whatever went wrong before: nobody waits for the tenant."""

    def script(world: World) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(10, setattr, world.engine._conductor, "failing_since", world.began)
        loop.call_later(5000, world.engine.reader_at, 19)

    world = always(GOOD)
    result = harvest(world, script=script, ahead=5, max_outage=60)
    assert result.stop is None
    assert result.seconds > 5000


def test_a_first_account_that_fails_does_not_block_the_window_behind_it() -> None:
    """The window is full behind an account that errs: it is decided about, and the run goes on."""
    world = all_but(GOOD, {"a-0": BROKEN}, accounts=12_000)

    def script(world: World) -> None:
        world.ledger.on_settle = lambda: world.engine.reader_at(world.ledger.prefix())

    result = harvest(world, script=script, ahead=50)
    assert result.stop is None
    assert list(world.ledger.failures()) == ["a-0"]


def test_rows_are_released_behind_the_reader_only_if_asked() -> None:
    """A temporary ledger forgets what was emitted; any other keeps it."""
    for release, expected in ((True, 20), (False, None)):
        world = always(GOOD)

        def script(world: World) -> None:
            world.ledger.on_settle = lambda: world.engine.reader_at(world.ledger.prefix())
            asyncio.get_running_loop().call_later(3, world.engine.reader_at, 19)

        world.interval = 0.3
        harvest(world, script=script, release_behind_reader=release)
        assert (world.ledger.released_before is None) is (expected is None)
