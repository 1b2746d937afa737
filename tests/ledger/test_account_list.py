"""Reading a list, reading it again, and following it when it has changed."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import InternalError, ResumeRefused
from harvester.ledger import LedgerReader, SourceStatus, account_list, opening
from harvester.model import Account, AccountOutcome, ListedAccount
from tests.ledger.helpers import (
    created,
    harvested,
    in_child,
    kill_self,
    listed,
    outcomes,
    pending,
    read_list,
    resumed,
    settle,
    usage,
)

IDS = st.lists(st.text("abc\0é", min_size=1, max_size=3), max_size=30)


@settings(max_examples=40)
@given(ids=IDS, size=st.integers(1, 9), start=st.integers(0, 3))
def test_each_id_is_listed_once_where_it_came_first(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], size: int, start: int
) -> None:
    """Whatever IDs look like and however they are batched, repeats are counted and the order is kept."""
    with created(tmp_path_factory.mktemp("ledger") / "x") as writer:
        summary = read_list(writer, listed(ids, start), size)
        distinct = {id_: start + ids.index(id_) for id_ in ids}
        assert pending(writer) == [Account(position, id_) for id_, position in distinct.items()]
        assert (summary.distinct, summary.repeated) == (len(distinct), len(ids) - len(distinct))
        assert (summary.settled_earlier, summary.added, summary.dropped) == (0, len(distinct), 0)


def test_positions_may_have_gaps_but_must_grow(tmp_path: Path) -> None:
    """Shards leave gaps; a position that does not grow would lose an account, so it is a fault."""
    with created(tmp_path / "x") as writer:
        writer.add([ListedAccount(3, "a"), ListedAccount(10, "b")])
        with pytest.raises(InternalError, match="position 10 of the list comes after 10"):
            writer.add([ListedAccount(10, "c")])
        writer.end_list()
        assert pending(writer) == [Account(3, "a"), Account(10, "b")]


def test_pending_accounts_come_in_slices(tmp_path: Path) -> None:
    """What is pending is read in the order of the list, from any position, without what is settled."""
    with created(tmp_path / "x", "abcdef") as writer:
        settle(writer, [harvested(Account(1, "b")), harvested(Account(2, "c"))])
        assert [account.id for account in pending(writer, limit=2)] == ["a", "d"]
        assert [account.id for account in pending(writer, after=3)] == ["e", "f"]


def test_the_source_is_taken_from_what_is_kept(tmp_path: Path) -> None:
    """`sourceId` among the kept properties says which accounts are unreported; no other type of it does."""
    kept = [b'{"sourceId":"s1","name":"x"}', b'{"sourceId":"s2"}', b'{"sourceId":7}', b"{}", None]
    accounts = [ListedAccount(at, f"id{at}", one) for at, one in enumerate(kept)]
    with created(tmp_path / "x") as writer:
        read_list(writer, accounts)
        assert list(writer.unasked_sources()) == ["s1", "s2"]
        writer.save_sources(
            [SourceStatus("s1", "One", "INCOMPLETE", None), SourceStatus("s2", None, None, None)]
        )
        assert [account.unreported for account in pending(writer)] == [True, False, False, False, False]


# --- resuming


@settings(max_examples=60)
@given(
    earlier=IDS,
    now=IDS,
    settled=st.sets(st.integers(0, 29)),
    size=st.integers(1, 9),
    keep=st.booleans(),
)
def test_a_changed_list_is_followed(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    earlier: list[str],
    now: list[str],
    settled: set[int],
    size: int,
    keep: bool,
) -> None:
    """The new list is adopted with its order and kept properties; each response stays with its account."""
    path = tmp_path_factory.mktemp("ledger") / "x"
    with created(path, earlier) as writer:
        done = {account.id for account in pending(writer) if account.position in settled}
        settle(writer, [harvested(account) for account in pending(writer) if account.id in done])
    known, wanted = set(earlier), dict.fromkeys(now)
    shared = known & wanted.keys()
    with resumed(path) as writer:
        accounts = listed(now, kept=b'{"sourceId":"s"}' if keep else None)
        if len(shared) * 2 < len(known):
            with pytest.raises(ResumeRefused, match=f"has only {len(shared)} of the {len(known)} accounts"):
                read_list(writer, accounts, size)
            known_now = {account.id for account in pending(writer)} | done
            assert known_now == known, "the unfinished harvest is as it was"
            return
        summary = read_list(writer, accounts, size)
        assert (summary.distinct, summary.repeated) == (len(wanted), len(now) - len(wanted))
        assert (summary.added, summary.dropped) == (len(wanted.keys() - known), len(known - wanted.keys()))
        assert (summary.shared, summary.settled_earlier) == (len(shared), len(done & shared))
        assert list(writer.unasked_sources()) == (["s"] if keep and wanted else [])
        assert [account.position for account in pending(writer)] == [
            now.index(id_) for id_ in wanted if id_ not in done
        ]
    expected = {
        id_: (AccountOutcome.HARVESTED, usage(id_).blob) if id_ in done else (None, None) for id_ in wanted
    }
    assert list(outcomes(path).items()) == list(expected.items())


def test_an_unchanged_list_writes_nothing(tmp_path: Path) -> None:
    """Reading the same list again, repeats and all, leaves the file as it is."""
    ids = [f"id{number}" for number in range(500)] + ["id7"]
    with created(tmp_path / "x", ids):
        pass
    with resumed(tmp_path / "x") as writer:
        with LedgerReader(tmp_path / "x") as reader:
            summary = read_list(writer, listed(ids), 64)
            assert not reader.changed()
    assert (summary.distinct, summary.repeated, summary.shared) == (500, 1, 500)


def test_a_list_that_grew_keeps_its_beginning(tmp_path: Path) -> None:
    """Accounts appended to a long list are all that is written."""
    ids = [f"id{number}" for number in range(500)]
    with created(tmp_path / "x", ids):
        pass
    with resumed(tmp_path / "x") as writer:
        summary = read_list(writer, listed([*ids, "new"]), 50)
        assert (tmp_path / "x-wal").stat().st_size < 50_000
    assert (summary.added, summary.dropped, summary.shared) == (1, 0, 500)


def test_a_list_read_anew_each_night_is_followed_each_night(tmp_path: Path) -> None:
    """Several changes in a row, failures included, end with the last list."""
    with created(tmp_path / "x", "abcd") as writer:
        settle(writer, [harvested(Account(0, "a")), harvested(Account(3, "d"))])
    for ids in ("dbca", "dca", "xdca", "axcd"):
        with resumed(tmp_path / "x") as writer:
            read_list(writer, listed(ids), 2)
    assert list(outcomes(tmp_path / "x")) == list("axcd")
    assert {id_ for id_, (outcome, _) in outcomes(tmp_path / "x").items() if outcome} == {"a", "d"}


def test_half_of_the_accounts_are_enough(tmp_path: Path) -> None:
    """A list that shares exactly half of the unfinished harvest's accounts is followed."""
    with created(tmp_path / "x", "abcd"):
        pass
    with resumed(tmp_path / "x") as writer:
        summary = read_list(writer, listed("wxyzab"))
    assert (summary.added, summary.dropped, summary.shared) == (4, 2, 2)


def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    """Another list under the same output is refused in one sentence with a hint."""
    with created(tmp_path / "x", "abcd"):
        pass
    with resumed(tmp_path / "x") as writer:
        with pytest.raises(ResumeRefused, match="only 1 of the 4 accounts") as caught:
            read_list(writer, listed("xya"))
    assert "--fresh" in caught.value.hint
    assert caught.value.exit_status == 2


# --- killed


def test_a_list_that_was_not_read_to_its_end_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run killed while it adds a new list leaves nothing that the next run has to follow."""
    monkeypatch.setattr(account_list, "_UNSAVED", 5)

    def add_and_die() -> None:
        writer = opening.create(tmp_path / "x", 0o600, {"of": "this harvest"})
        writer.add(listed(["a", "b", "c", "d", "e", "f"]))
        kill_self()

    assert in_child(add_and_die) == -9
    with sqlite3.connect(tmp_path / "x") as connection:
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (6,), "it was committed"
    connection.close()
    with resumed(tmp_path / "x") as writer:
        summary = read_list(writer, listed(["other", "list"]))
        assert (summary.distinct, summary.added, summary.dropped) == (2, 2, 0)
        assert writer.database.value("SELECT value FROM fact WHERE key = 'of'") == '"this harvest"'
    assert list(outcomes(tmp_path / "x")) == ["other", "list"]


def test_a_kill_while_the_list_is_followed_leaves_the_old_harvest_or_the_new(tmp_path: Path) -> None:
    """Wherever in the one transaction the run is killed, the next run finds all of one of the two."""
    path = tmp_path / "x"
    ids = [f"id{number}" for number in range(60)]
    now = ["first", *reversed(ids[5:]), "last"]
    with created(path, ids) as writer:
        settle(writer, [harvested(account) for account in pending(writer)[::2]])
    before = outcomes(path)
    kills, steps = 0, 1
    while in_child(partial(_follow, path, now, steps)) == -9:
        kills, steps = kills + 1, steps * 2
        assert outcomes(path) == before or list(outcomes(path)) == now
    assert kills > 8
    after = outcomes(path)
    assert list(after) == now
    assert all(after[id_] == before[id_] for id_ in ids[5:])


def _follow(path: Path, now: list[str], steps: int) -> None:
    """Read the list `now`, but die after so many steps of SQLite once its end is reached."""
    writer = opening.resume(path)
    for start in range(0, len(now), 10):
        writer.add(listed(now)[start : start + 10])
    countdown = iter(range(steps))

    def die_at_zero() -> int:
        if next(countdown, None) is None:
            kill_self()
        return 0

    writer.database.connection.set_progress_handler(die_at_zero, 1)
    writer.end_list()
