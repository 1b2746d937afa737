from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import StoppedEarly
from harvester.tenant.listing import PageTooLarge, Record, read_without_gaps

Change = Callable[["Tenant"], None]


def by_string(account_id: str) -> str:
    """The order that comparing strings gives."""
    return account_id


def by_own_rule(account_id: str) -> str:
    """An order that has nothing to do with the strings'."""
    return sha256(account_id.encode()).hexdigest()


class Tenant:
    """A listing in `collation` that the next of `changes` alters before each page; gives `cap` at most."""

    def __init__(
        self, ids: list[str], *, collation: Callable[[str], str] = by_string, cap: int = 250
    ) -> None:
        self.ids = sorted(ids, key=collation)
        self.changes: list[Change] = []
        self.requests = 0
        self._collation = collation
        self._cap = cap

    async def fetch(self, offset: int, limit: int) -> list[Record]:
        """One page, as the API gives it."""
        if self.changes and self.requests:
            self.changes.pop(0)(self)
        self.requests += 1
        return [{"id": i, "name": i.upper()} for i in self.ids[offset : offset + min(limit, self._cap)]]

    def add(self, ids: list[str]) -> None:
        """Accounts appear, each at its place."""
        self.ids = sorted({*self.ids, *ids}, key=self._collation)

    def delete(self, start: int, number: int) -> None:
        """Accounts from a place on disappear."""
        del self.ids[start : start + number]


async def listed(
    tenant: Tenant, *, page_size: int = 10, overlap: int = 3, remembered: int = 16_000
) -> list[str]:
    """The IDs yielded, in order."""
    pages = read_without_gaps(
        tenant.fetch, "accounts", page_size=page_size, overlap=overlap, remembered=remembered
    )
    return [record["id"] async for page in pages for record in page]


def ids_of(numbers: range) -> list[str]:
    """IDs that sort as their numbers do."""
    return [f"{number:06x}" for number in numbers]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 9, 10, 11, 17, 18, 100])
async def test_a_quiet_listing_comes_whole_and_in_order(number: int) -> None:
    """Every account of a listing that does not change comes once, in the server's order."""
    tenant = Tenant(ids_of(range(number)))
    assert await listed(tenant) == tenant.ids


async def test_a_quiet_listing_costs_few_requests() -> None:
    """2,000 accounts cost nine pages of 250, with every join and the end proven."""
    tenant = Tenant(ids_of(range(2000)))
    assert len(await listed(tenant, page_size=250, overlap=5)) == 2000
    assert tenant.requests == 10


async def test_records_come_as_they_are() -> None:
    """What is yielded is the tenant's own record."""
    pages = [page async for page in read_without_gaps(Tenant(["b", "a"]).fetch, "accounts")]
    assert pages == [[{"id": "a", "name": "A"}, {"id": "b", "name": "B"}]]


@pytest.mark.parametrize("cap", [2, 3, 4, 7])
async def test_a_tenant_that_caps_the_limit_loses_nothing(cap: int) -> None:
    """A page shorter than requested is not taken for the end."""
    tenant = Tenant(ids_of(range(60)), cap=cap)
    assert await listed(tenant) == tenant.ids


@pytest.mark.parametrize("collation", [by_string, by_own_rule])
@pytest.mark.parametrize("deleted", [1, 3, 8, 20])
async def test_deletions_before_the_next_page_open_no_gap(
    deleted: int, collation: Callable[[str], str]
) -> None:
    """Accounts that move forward over the next offset are found by stepping back."""
    tenant = Tenant(ids_of(range(200)), collation=collation)
    before = list(tenant.ids)
    tenant.changes = [lambda t: None, lambda t: None, lambda t: None, lambda t: t.delete(0, deleted)]
    assert await listed(tenant) == before


@pytest.mark.parametrize("added", [1, 8, 30, 500])
async def test_additions_before_the_next_page_repeat_nothing(added: int) -> None:
    """Accounts that move back under the next offset are not yielded again."""
    tenant = Tenant(ids_of(range(1000, 1200)))
    before = list(tenant.ids)
    tenant.changes = [lambda t: None, lambda t: t.add(ids_of(range(added)))]
    found = await listed(tenant)
    assert [i for i in found if i in before] == before
    assert len(set(found)) == len(found)


async def test_a_join_that_cannot_be_proven_ends_the_listing() -> None:
    """Losing all that is remembered is reported and not guessed over."""
    tenant = Tenant(ids_of(range(300)))
    tenant.changes = [*[lambda _: None] * 12, lambda t: t.delete(0, 200)]
    with pytest.raises(StoppedEarly, match="without a gap"):
        await listed(tenant, remembered=40)


async def test_many_additions_are_listed_as_they_come() -> None:
    """A tenant that adds accounts faster than they are read is read to its end once it pauses."""
    tenant = Tenant(ids_of(range(10**6, 10**6 + 50)))
    before = list(tenant.ids)
    numbers = iter(range(10**6))
    tenant.changes = [lambda t: t.add([f"{next(numbers):06x}" for _ in range(10)])] * 100
    found = await listed(tenant)
    assert [i for i in found if i in before] == before
    assert len(set(found)) == len(found)


async def test_a_tenant_that_ignores_the_offset_holds_nobody_forever() -> None:
    """Pages without anything new end the listing after a while."""

    async def fetch(_offset: int, limit: int) -> list[Record]:
        return [{"id": one} for one in ids_of(range(limit))]

    with pytest.raises(StoppedEarly, match="faster than it can be read"):
        async for _ in read_without_gaps(fetch, "accounts"):
            pass


def _shuffled_changes(rng: random.Random, most: int) -> list[Change]:
    """Changes of up to `most` accounts at a time, anywhere in the listing."""

    def change(tenant: Tenant) -> None:
        kind = rng.random()
        number = rng.randint(1, most)
        if kind < 0.4:
            tenant.delete(rng.randint(0, max(len(tenant.ids) - 1, 0)), number)
        elif kind < 0.5:
            tenant.delete(0, number)
        elif kind < 0.9:
            tenant.add([f"{rng.randrange(16**6):06x}" for _ in range(number)])

    return [change] * 40


restless = given(
    number=st.integers(0, 120),
    page_size=st.integers(4, 20),
    overlap=st.integers(1, 3),
    collation=st.sampled_from([by_string, by_own_rule]),
    most=st.sampled_from([1, 2, 10, 60]),
    seed=st.integers(0, 2**32),
)


@settings(max_examples=200)
@restless
def test_nothing_is_lost_and_nothing_comes_twice(
    *, number: int, page_size: int, overlap: int, collation: Callable[[str], str], most: int, seed: int
) -> None:
    """Whatever is added and deleted between pages: who stays throughout is listed once, nobody twice."""
    rng = random.Random(seed)
    tenant = Tenant([f"{rng.randrange(16**6):06x}" for _ in range(number)], collation=collation)
    before = set(tenant.ids)
    tenant.changes = _shuffled_changes(rng, most)
    deleted = _watch_deletions(tenant)
    found = asyncio.run(listed(tenant, page_size=page_size, overlap=overlap))
    assert len(set(found)) == len(found)
    assert before - deleted <= set(found)


@settings(max_examples=200)
@restless
def test_nothing_is_lost_with_a_short_memory(
    *, number: int, page_size: int, overlap: int, collation: Callable[[str], str], most: int, seed: int
) -> None:
    """Even if all that is remembered disappears: everyone who stays is listed, or it is reported."""
    rng = random.Random(seed)
    tenant = Tenant([f"{rng.randrange(16**6):06x}" for _ in range(number)], collation=collation)
    before = set(tenant.ids)
    tenant.changes = _shuffled_changes(rng, most)
    deleted = _watch_deletions(tenant)
    try:
        found = asyncio.run(listed(tenant, page_size=page_size, overlap=overlap, remembered=page_size))
    except StoppedEarly:
        return
    assert before - deleted <= set(found)


def _watch_deletions(tenant: Tenant) -> set[str]:
    """A set that fills with every ID that the tenant's changes take away."""
    deleted: set[str] = set()

    def watched(change: Change) -> Change:
        def run(tenant: Tenant) -> None:
            had = set(tenant.ids)
            change(tenant)
            deleted.update(had - set(tenant.ids))

        return run

    tenant.changes = [watched(change) for change in tenant.changes]
    return deleted


@pytest.mark.parametrize("fits", [2, 3, 40, 100])
async def test_pages_that_are_too_large_become_smaller(fits: int) -> None:
    """However few records fit in a response, each comes once."""
    ids = [f"{n:05}" for n in range(300)]

    async def fetch(offset: int, limit: int) -> list[Record]:
        if limit > fits:
            raise PageTooLarge
        return [{"id": one} for one in ids[offset : offset + limit]]

    assert [record["id"] async for page in read_without_gaps(fetch, "accounts") for record in page] == ids
