from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from harvester.engine.engine import Engine
from harvester.errors import AccessDenied, Interrupted, StoppedEarly
from harvester.events import ClientDropped, ClientPaused, OutageBegan, OutageEnded, RequestEnded, TokenRenewed
from harvester.model import Quota, Reason
from harvester.sandbox import FaultKind, FaultRate, Faults, Sandbox, SandboxOptions
from harvester.settings.model import Client
from tests.engine.harness import CLIENT, Outcome, harvest

EVERY_KIND = tuple(
    FaultRate(kind, 0.02, seconds=0.3 if kind.startswith("stall") else None) for kind in FaultKind
)


def sandbox(**options: Any) -> Sandbox:
    return Sandbox(SandboxOptions(**options))


def assert_true_to(tenant: Sandbox, ids: list[str], outcome: Outcome) -> None:
    """Every account is there once: with its very rows, or as the failure it has to be."""
    population = tenant.population
    hopeless = {i: status for i in ids if (status := population.hopeless(i)) is not None}
    assert outcome.stop is None
    assert set(outcome.failures) == set(hopeless)
    assert {i: f.status for i, f in outcome.failures.items()} == hopeless
    assert outcome.rows == {i: population.rows(i) for i in ids if i not in hopeless}


async def test_one_request_an_account() -> None:
    """Without faults a harvest costs as many requests as there are accounts, and one token."""
    async with sandbox(accounts=300) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids)
        assert_true_to(tenant, ids, outcome)
    assert len(outcome.told(RequestEnded)) == 300
    assert len(outcome.told(TokenRenewed)) == 1


async def test_the_truth_comes_out_of_every_kind_of_fault() -> None:
    """With every fault kind switched on: exact rows, and a failure for exactly the hopeless accounts."""
    faults = Faults(rates=EVERY_KIND, token_share=0.2)
    async with sandbox(accounts=300, hopeless=12, large=0.02, faults=faults, token_life=2.0) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, max_body_bytes=1 << 20)
        assert_true_to(tenant, ids, outcome)
    assert {f.attempts for f in outcome.failures.values() if f.status == 500} == {5}


async def test_hopeless_accounts_alone_fail_and_end() -> None:
    """A list of nothing but an account that always errs ends with its failure, after its attempts."""
    async with sandbox(accounts=2, hopeless=2, hopeless_statuses=(500,)) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, attempts=2)
        assert_true_to(tenant, ids, outcome)
        assert max(tenant.asked(i) for i in ids) == 2


async def test_the_last_accounts_may_be_hopeless() -> None:
    """Accounts that err at the end, when nothing else moves, are told from a tenant that is away."""
    async with sandbox(accounts=40, hopeless=8, hopeless_statuses=(500, 404)) as tenant:
        ids = sorted(tenant.population.ids, key=lambda i: tenant.population.hopeless(i) is not None)
        outcome = await harvest(tenant.url, ids, attempts=2)
        assert_true_to(tenant, ids, outcome)
    assert outcome.told(OutageBegan) == []


@pytest.mark.parametrize("absence", ["refuse", "reset", "503"])
async def test_an_outage_costs_no_account_an_attempt(absence: Any) -> None:
    """The tenant goes away in mid run, then says 429 to everything: nobody fails, little is sent."""

    async def vanish(engine: Engine) -> None:
        await asyncio.sleep(0.15)
        before = tenant.tally.connections
        await tenant.go_away(absence)
        await asyncio.sleep(2.5)
        attempts.append(tenant.tally.connections - before)
        await tenant.come_back(throttle=1.0)

    attempts: list[int] = []
    async with sandbox(accounts=1500, latency=0.02) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, attempts=1, concurrency=16, during=vanish)
        assert_true_to(tenant, ids, outcome)
    assert len(outcome.told(OutageBegan)) == 1
    assert len(outcome.told(OutageEnded)) == 1
    assert len(outcome.told(ClientPaused)) >= 1
    faults = [e for e in outcome.told(RequestEnded) if e.reason not in (None, Reason.THROTTLED)]
    assert len(faults) <= 16 + 12


async def test_an_outage_longer_than_allowed_ends_the_run_resumable() -> None:
    """Beyond `max_outage` the run is stopped early, with what the tenant said last."""
    async with sandbox(accounts=400, latency=0.02) as tenant:

        async def vanish(engine: Engine) -> None:
            await asyncio.sleep(0.1)
            await tenant.go_away("refuse")

        outcome = await harvest(tenant.url, list(tenant.population.ids), max_outage=1.0, during=vanish)
    assert isinstance(outcome.stop, StoppedEarly)
    assert "away" in str(outcome.stop)
    assert outcome.failures == {}


async def test_a_tenant_that_is_not_there_at_all_is_waited_for(unused_tcp_port: int) -> None:
    """Nobody listens from the start: status 5 after `max_outage`, no failures."""
    outcome = await harvest(f"http://127.0.0.1:{unused_tcp_port}", ["a", "b"], max_outage=1.0)
    assert isinstance(outcome.stop, StoppedEarly)
    assert outcome.failures == {}


async def test_short_lived_tokens_cost_nothing() -> None:
    """Tokens that live two seconds: no account loses an attempt, one request a renewal."""
    async with sandbox(accounts=500, token_life=2.0, latency=0.05) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, concurrency=8, attempts=1)
        assert_true_to(tenant, ids, outcome)
    renewals = len(outcome.told(TokenRenewed))
    assert 2 <= renewals <= 6
    assert [e for e in outcome.told(RequestEnded) if e.status == 401] == []


async def test_tokens_expired_by_the_tenant_are_renewed_once() -> None:
    """All tokens die in mid run: the accounts in flight are asked for again, with one new token."""

    async def expire(engine: Engine) -> None:
        await asyncio.sleep(0.2)
        tenant.expire_tokens()

    async with sandbox(accounts=500, latency=0.02) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, concurrency=16, attempts=1, during=expire)
        assert_true_to(tenant, ids, outcome)
    assert len(outcome.told(TokenRenewed)) == 2


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_a_client_without_the_scope_ends_the_run(count: int) -> None:
    """All first answers are 403: status 4, the scope is named, nobody is failed, few are asked."""
    client = Client(client_id="noscope-client", client_secret="sandbox")
    async with sandbox(accounts=count) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, clients=(client,), concurrency=4)
    assert isinstance(outcome.stop, AccessDenied)
    assert "idn:identity-history:manage" in str(outcome.stop)
    assert outcome.failures == {}
    assert len(outcome.told(RequestEnded)) <= 10 + 4


async def test_a_wrong_secret_ends_the_run_without_showing_it() -> None:
    """Status 4, one sentence, no secret."""
    client = Client(client_id="c", client_secret="wr0ng-secret")
    async with sandbox(accounts=5) as tenant:
        outcome = await harvest(tenant.url, list(tenant.population.ids), clients=(client,))
    assert isinstance(outcome.stop, AccessDenied)
    assert "wr0ng-secret" not in repr(outcome.stop) + str(outcome.moments)


async def test_a_forbidden_account_among_good_ones_is_its_own_failure() -> None:
    """403 for some accounts is no verdict on the client, wherever in the list they stand."""
    async with sandbox(accounts=60, hopeless=6, hopeless_statuses=(403,)) as tenant:
        ids = sorted(tenant.population.ids, key=lambda i: tenant.population.hopeless(i) is None)
        outcome = await harvest(tenant.url, ids, concurrency=3)
        assert_true_to(tenant, ids, outcome)


@pytest.mark.parametrize("count", [3, 25])
@pytest.mark.parametrize("fault", [None, FaultKind.SERVER_ERROR, FaultKind.THROTTLED, FaultKind.UNAUTHORIZED])
async def test_nothing_left_but_forbidden_accounts(count: int, fault: FaultKind | None) -> None:
    """An account that an earlier run had shows that the client has the right: they fail, and the run ends."""
    rates = () if fault is None else (FaultRate(fault, 1.0),)
    async with sandbox(
        accounts=count + 1,
        hopeless=count,
        hopeless_statuses=(403,),
        faults=Faults(rates=rates),
        fault_streak=1,
    ) as tenant:
        (good,) = [i for i in tenant.population.ids if tenant.population.hopeless(i) is None]
        ids = [i for i in tenant.population.ids if i != good]
        outcome = await harvest(tenant.url, ids, before=good, concurrency=4)
        assert_true_to(tenant, ids, outcome)
        assert tenant.asked(good) >= (1 if fault is None else 2)


async def test_a_client_that_has_lost_its_right() -> None:
    """What an earlier run had is denied now: status 4, and nobody is failed."""
    client = Client(client_id="noscope-client", client_secret="sandbox")
    async with sandbox(accounts=30) as tenant:
        before, *ids = tenant.population.ids
        outcome = await harvest(tenant.url, ids, clients=(client,), before=before)
    assert isinstance(outcome.stop, AccessDenied)
    assert outcome.failures == {}


async def test_a_client_that_dies_leaves_its_accounts_to_the_others() -> None:
    """Two clients, one is revoked in mid run: a warning, and every account is harvested by the other."""

    async def revoke(engine: Engine) -> None:
        await asyncio.sleep(0.2)
        tenant.revoke("first")

    clients = tuple(Client(client_id=name, client_secret="sandbox") for name in ("first", "second"))
    async with sandbox(accounts=800, latency=0.02) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, clients=clients, concurrency=8, during=revoke)
        assert_true_to(tenant, ids, outcome)
    assert [event.client for event in outcome.told(ClientDropped)] == ["first"]


async def test_two_clients_take_half_the_time() -> None:
    """Each client has its own quota: both are used up, side by side."""
    clients = tuple(Client(client_id=name, client_secret="sandbox") for name in ("one", "two"))
    # The tenant permits each a little more: with a window of one second a busy machine's stall would be
    # refused, and how near the edge one can go is for the simulations on a virtual clock.
    async with sandbox(accounts=200, quota=Quota(60, 1.0), algorithm="sliding") as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, clients=clients, quota=Quota(50, 1.0))
        assert_true_to(tenant, ids, outcome)
    shares = [event.client for event in outcome.told(RequestEnded)]
    assert 60 <= shares.count("one") <= 140
    assert outcome.told(ClientPaused) == []


async def test_a_pause_holds_the_whole_client() -> None:
    """While a Retry-After runs nothing is sent but what was on its way, and 429 costs no attempt."""
    async with sandbox(accounts=60, quota=Quota(20, 1.0), algorithm="fixed") as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, concurrency=4, attempts=1)
        assert_true_to(tenant, ids, outcome)
        assert tenant.tally.arrived_early(grace=0.1) <= 4 * len(outcome.told(ClientPaused))
    assert outcome.told(ClientPaused)


async def test_a_retry_after_past_the_deadline_ends_the_run_at_once() -> None:
    """Nobody sleeps through a pause that outlasts the run."""
    began = time.monotonic()
    async with sandbox(accounts=50, quota=Quota(10, 3600.0), algorithm="fixed") as tenant:
        outcome = await harvest(tenant.url, list(tenant.population.ids), deadline=60.0, concurrency=2)
    assert isinstance(outcome.stop, StoppedEarly)
    assert "Retry-After" in str(outcome.stop)
    assert time.monotonic() - began < 30


async def test_the_deadline_ends_the_run() -> None:
    """What was had until then is kept, and what was in flight is waited for."""
    async with sandbox(accounts=5000, latency=0.05) as tenant:
        outcome = await harvest(tenant.url, list(tenant.population.ids), deadline=0.5, concurrency=4)
        assert isinstance(outcome.stop, StoppedEarly)
        assert sum(tenant.asked(i) for i in tenant.population.ids) == len(outcome.rows)
    assert 1 <= len(outcome.rows) < 1000


async def test_so_many_failures_end_the_run() -> None:
    """`max_failures` stops it, with those failures told."""
    async with sandbox(accounts=200, hopeless=100, hopeless_statuses=(404,)) as tenant:
        outcome = await harvest(tenant.url, list(tenant.population.ids), max_failures=7, concurrency=1)
    assert isinstance(outcome.stop, StoppedEarly)
    assert 7 <= len(outcome.failures) <= 8


async def test_a_stop_lets_what_is_in_flight_finish() -> None:
    """After a stop no request is begun, and those under way are not lost."""

    async def interrupt(engine: Engine) -> None:
        await asyncio.sleep(0.3)
        engine.stop(Interrupted(15, "stopped"))

    async with sandbox(accounts=5000, latency=0.1) as tenant:
        outcome = await harvest(tenant.url, list(tenant.population.ids), concurrency=10, during=interrupt)
        assert sum(tenant.asked(i) for i in tenant.population.ids) == len(outcome.rows)
    assert isinstance(outcome.stop, Interrupted)
    assert outcome.stop.exit_status == 143


async def test_a_slow_sink_slows_the_fetching() -> None:
    """Backpressure: no more accounts are asked for than lanes wait at the sink."""
    gate = asyncio.Event()

    async def look(engine: Engine) -> None:
        await asyncio.sleep(0.5)
        asked.append(sum(tenant.asked(i) for i in ids))
        gate.set()

    async def wait() -> None:
        await gate.wait()

    asked: list[int] = []
    async with sandbox(accounts=500) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, concurrency=6, slow=wait, during=look)
        assert_true_to(tenant, ids, outcome)
    assert asked == [6]


async def test_an_empty_list_ends_at_once() -> None:
    """Nothing to do is done; not even a token is needed for it."""
    async with sandbox(accounts=1) as tenant:
        outcome = await harvest(tenant.url, [])
    assert (outcome.rows, outcome.stop) == ({}, None)


async def test_a_tenant_where_everything_errs_is_away() -> None:
    """5xx for many different accounts from the very first request is an outage, not many failures."""
    async with sandbox(accounts=30, hopeless=30, hopeless_statuses=(500,)) as tenant:
        outcome = await harvest(tenant.url, list(tenant.population.ids), max_outage=0.5)
    assert isinstance(outcome.stop, StoppedEarly)
    assert outcome.failures == {}


async def test_hopeless_accounts_first_do_not_stand_for_the_tenant() -> None:
    """A list that begins with a dozen accounts that err goes on to the good ones."""
    async with sandbox(accounts=60, hopeless=12, hopeless_statuses=(500,)) as tenant:
        ids = sorted(tenant.population.ids, key=lambda i: tenant.population.hopeless(i) is None)
        outcome = await harvest(tenant.url, ids, attempts=2, concurrency=2)
        assert_true_to(tenant, ids, outcome)


def test_the_test_client_hides_its_secret() -> None:
    """Even the tests' own settings show no secret."""
    assert "sandbox" not in repr(CLIENT)


async def test_no_token_is_asked_for_while_a_retry_after_runs() -> None:
    """A pause is for all that the client sends: a token that has to be renewed in it waits for its end."""
    async with sandbox(accounts=40, quota=Quota(10, 3.0), algorithm="fixed", token_life=1.0) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, concurrency=2, attempts=1)
        assert_true_to(tenant, ids, outcome)
    pauses = [(at, at + event.seconds) for at, event in outcome.moments if isinstance(event, ClientPaused)]
    renewals = [at for at, event in outcome.moments if isinstance(event, TokenRenewed)]
    assert len(pauses) >= 2
    assert len(renewals) >= 2
    assert not [at for at in renewals for begin, end in pauses if begin + 0.2 < at < end]


async def test_a_tenant_that_rejects_good_tokens_now_and_then_fails_nobody() -> None:
    """401 out of the blue: the token is renewed and the account asked for again, attempts permitting."""
    faults = Faults(rates=(FaultRate(FaultKind.UNAUTHORIZED, 0.3),))
    async with sandbox(accounts=120, faults=faults) as tenant:
        ids = list(tenant.population.ids)
        outcome = await harvest(tenant.url, ids, concurrency=8)
        assert_true_to(tenant, ids, outcome)
