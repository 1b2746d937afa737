"""The population: reproducible, plausible, and of any size for nothing."""

from __future__ import annotations

import tracemalloc
from calendar import monthrange
from datetime import date
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sandbox import Population, SandboxOptions

sizes = st.integers(1, 400)
seeds = st.integers(0, 2**63)


def population(**options: object) -> Population:
    return Population(SandboxOptions(**options))  # type: ignore[arg-type]


@given(sizes, seeds)
def test_equal_options_give_equal_accounts_and_rows(size: int, seed: int) -> None:
    """Two sandboxes with the same seed hold the same IDs, in the same order, with the same rows."""
    one, two = population(accounts=size, seed=seed), population(accounts=size, seed=seed)
    ids = list(one.ids)
    assert ids == list(two.ids)
    assert [one.rows(i) for i in ids] == [two.rows(i) for i in ids]


@given(sizes, seeds)
def test_ids_are_distinct_and_found_again(size: int, seed: int) -> None:
    """Every ID is 32 hex digits, occurs once, and leads back to its number; numbers follow the IDs' order."""
    accounts = population(accounts=size, seed=seed)
    ids = list(accounts.ids)
    assert len(set(ids)) == size == len(accounts)
    assert all(len(i) == 32 and int(i, 16) >= 0 for i in ids)
    assert [accounts.find(i) for i in sorted(ids)] == list(range(size))


@given(st.text(max_size=40))
def test_an_unknown_id_is_no_account(account_id: str) -> None:
    """Whatever string comes as an ID, it is only an account if it is one of the IDs."""
    accounts = population(accounts=20)
    assert (accounts.find(account_id) is None) == (account_id not in set(accounts.ids))


def test_another_seed_gives_other_accounts() -> None:
    """Two seeds share no ID."""
    assert set(population(seed=1).ids).isdisjoint(population(seed=2).ids)


def test_rows_are_plausible() -> None:
    """Months are distinct first days, latest first, not ahead of today; counts fit; many have none."""
    today = date(2026, 3, 9)
    accounts = population(accounts=1500, today=today, without_usage=0, sources=1)
    lengths = set()
    for account_id in accounts.ids:
        rows = accounts.rows(account_id)
        lengths.add(len(rows))
        months = [row["date"] for row in rows]
        assert months == sorted(set(months), reverse=True)
        for row in rows:
            month = date.fromisoformat(row["date"])
            days = today.day if month == today.replace(day=1) else monthrange(month.year, month.month)[1]
            assert month.day == 1
            assert month <= today
            assert 0 <= row["count"] <= days
    assert lengths >= {0, 12, 13}
    assert max(lengths) == 13
    unused = sum(not accounts.rows(i) for i in accounts.ids) / 1500
    assert 0.2 < unused < 0.5


def test_row_counts_can_be_asked_for() -> None:
    """`rows` fixes the number of rows."""
    assert {len(p.rows(i)) for p in [population(rows=300, accounts=5)] for i in p.ids} == {300}


def test_a_million_accounts_cost_no_memory() -> None:
    """A population of a million takes less than 100 kB, its first IDs included."""
    tracemalloc.start()
    try:
        accounts = population(accounts=1_000_000)
        found = [accounts.find(i) is not None for i in islice(accounts.ids, 100)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(found)
    assert peak < 100_000


@pytest.mark.parametrize(("hopeless", "expected"), [(0, 0), (7, 7), (1000, 300)])
def test_exactly_so_many_are_hopeless(hopeless: int, expected: int) -> None:
    """A number of hopeless accounts is met exactly, with the statuses in turn."""
    accounts = population(accounts=300, hopeless=hopeless, hopeless_statuses=(404, 500))
    statuses = [status for i in accounts.ids if (status := accounts.hopeless(i)) is not None]
    assert len(statuses) == expected
    assert abs(statuses.count(404) - statuses.count(500)) <= 1


def test_deleting_twice_is_an_error() -> None:
    """A deleted account is gone from the list and the order, and cannot be deleted again."""
    accounts = population(accounts=3)
    victim, *others = accounts.ids
    accounts.delete(victim)
    assert (accounts.hopeless(victim), accounts.rows(victim), len(accounts)) == (404, [], 2)
    assert [accounts.id_of(n) for n in accounts.in_order()] == sorted(others) == sorted(accounts.ids)
    with pytest.raises(KeyError):
        accounts.delete(victim)
