"""The durable record of a harvest."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import OutputFault, ResumeRefused
from harvester.ledger import IdDigest, Ledger, LedgerUnreadable, Outcome, PartRecord, PartState, Phase
from harvester.ledger.database import Database

Open = Callable[[], Ledger]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Open]:
    """Opens the ledger, after closing the one before."""
    opened: list[Ledger] = []

    def open_it() -> Ledger:
        if opened:
            opened[-1].close()
        opened.append(Ledger.open(tmp_path / "out.ledger"))
        return opened[-1]

    yield open_it
    for ledger in opened:
        ledger.close()


def ids_of(ledger: Ledger) -> list[str]:
    return [account.id for account in ledger.roll.pending(-1, 1000)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.text(max_size=5), max_size=30), max_size=8))
def test_enrolling_takes_out_repeats_and_keeps_the_order(batches: list[list[str]]) -> None:
    """Whatever IDs look like and however they are batched, each is enrolled once, where it came first."""
    ledger = Ledger.temporary()
    everything = [one for batch in batches for one in batch]
    counted = [ledger.roll.enrol(batch) for batch in batches]
    distinct = list(dict.fromkeys(everything))
    assert ids_of(ledger) == distinct
    assert sum(batch.distinct for batch in counted) == len(distinct)
    assert sum(batch.repeated for batch in counted) == len(everything) - len(distinct)
    assert [account.seq for account in ledger.roll.pending(-1, 1000)] == list(range(len(distinct)))
    ledger.close()


@settings(max_examples=60, deadline=None)
@given(
    earlier=st.lists(st.text("abc\0", min_size=1, max_size=2), max_size=20),
    now=st.lists(st.text("abc\0", min_size=1, max_size=2), max_size=30),
    size=st.integers(1, 7),
)
def test_a_list_is_gone_on_with_only_if_it_begins_as_it_did(
    tmp_path_factory: pytest.TempPathFactory, earlier: list[str], now: list[str], size: int
) -> None:
    """The distinct IDs of the earlier list must come first and in the same order; anything may follow."""
    path = tmp_path_factory.mktemp("ledger") / "x.ledger"
    ledger = Ledger.open(path)
    ledger.roll.enrol(earlier)
    ledger.commit()
    ledger.close()
    ledger = Ledger.open(path)
    known, given_now = list(dict.fromkeys(earlier)), list(dict.fromkeys(now))
    try:
        for start in range(0, len(now), size):
            assert ledger.roll.open_to_feed == (len(set(now[:start])) >= len(known))
            ledger.roll.enrol(now[start : start + size])
        ledger.roll.end_list()
    except ResumeRefused:
        assert given_now[: len(known)] != known
    else:
        assert given_now[: len(known)] == known
        assert ids_of(ledger) == given_now
    finally:
        ledger.close()


def test_the_refusal_names_what_changed(reopen: Open) -> None:
    """Whoever changed the list is told which ID, what it was, what it is, and what to do."""
    ledger = reopen()
    ledger.roll.enrol(["a", "b", "b", "c"])
    ledger.commit()
    with pytest.raises(ResumeRefused, match=r"out\.ledger: .*ID number 3 was 'c' and is now 'd': .*--fresh"):
        reopen().roll.enrol(["a", "b", "d"])


def test_a_shorter_list_is_refused(reopen: Open) -> None:
    """A list that lost its end is not the list that was begun."""
    ledger = reopen()
    ledger.roll.enrol(["a", "b", "c"])
    ledger.commit()
    ledger = reopen()
    ledger.roll.enrol(["a", "a", "b"])
    assert not ledger.roll.open_to_feed
    with pytest.raises(ResumeRefused, match=r"had 3 distinct IDs .* now has only 2"):
        ledger.roll.end_list()


def test_only_what_was_committed_is_known_later(reopen: Open) -> None:
    """Outcomes, failures, parts and facts of one commit are all there after a crash, or none of them."""
    ledger = reopen()
    ledger.roll.enrol(["a", "b", "c", "d"])
    part = PartRecord(1, "p", PartState.OPEN, 10, 2, 1)
    ledger.settle(Outcome.HARVESTED, [0])
    ledger.fail([(2, b"{}\n")])
    ledger.save_part(part)
    ledger.commit()
    ledger.settle(Outcome.EMPTY, [1])
    ledger.save_part(PartRecord(1, "p", PartState.OPEN, 99, 9, 9))
    ledger.record("x", 1)
    ledger = reopen()
    ledger.roll.enrol(["a", "b", "c", "d"])
    assert [account.seq for account in ledger.roll.pending(-1, 9)] == [1, 3]
    assert ledger.outcomes() == {Outcome.EMPTY: 0, Outcome.HARVESTED: 1, Outcome.FAILED: 1}
    assert ledger.parts() == [part]
    assert ledger.fact("x") is None
    assert list(ledger.failures()) == [b"{}\n"]


def test_an_account_is_settled_once() -> None:
    """A second outcome for an account is a fault of the program and is not taken."""
    ledger = Ledger.temporary()
    ledger.roll.enrol(["a", "b"])
    ledger.settle(Outcome.HARVESTED, [0])
    with pytest.raises(RuntimeError, match="1 accounts were settled that are unknown or settled"):
        ledger.settle(Outcome.EMPTY, [0, 1])
    ledger.close()


def test_a_ledger_without_outcomes_is_idle(reopen: Open) -> None:
    """Nothing is lost by beginning anew where nothing is finished; a sealed harvest is another matter."""
    ledger = reopen()
    ledger.roll.enrol(["a"])
    assert ledger.idle
    ledger.phase = Phase.COMPLETING
    assert not ledger.idle


def test_proof_tells_each_outcome_apart() -> None:
    """Count and digest of each outcome, which can be recomputed from the IDs alone."""
    ledger = Ledger.temporary()
    ledger.roll.enrol(["a", "b", "c", "d"])
    ledger.settle(Outcome.HARVESTED, [0, 3])
    ledger.settle(Outcome.EMPTY, [1])
    ledger.fail([(2, b"x\n")])
    proof = ledger.proof()
    expected = IdDigest()
    expected.add(["d", "a"])
    assert (proof.harvested.count, proof.harvested.digest) == (2, str(expected))
    everything = IdDigest()
    everything.add(["d", "c", "b", "a"])
    assert proof.distinct.digest == str(everything)
    assert [tally["count"] for tally in proof.to_json().values()] == [4, 2, 1, 1]
    ledger.close()


@settings(deadline=None)
@given(st.sets(st.text(max_size=4), max_size=12), st.integers(0, 12))
def test_digests_of_shares_add_up(ids: set[str], cut: int) -> None:
    """However a set is shared out and ordered, the sum is the digest of the set."""
    ordered = sorted(ids)
    one, other, whole = IdDigest(), IdDigest(), IdDigest()
    one.add(ordered[:cut])
    other.add(reversed(ordered[cut:]))
    whole.add(ordered)
    other.merge(IdDigest(str(one), one.count))
    assert (str(other), other.count) == (str(whole), whole.count)


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """A ledger holds identity data, and so does its log."""
    ledger = Ledger.open(tmp_path / "x.ledger")
    ledger.roll.enrol(["a"])
    ledger.commit()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    ledger.close()
    assert modes == {"x.ledger": 0o600, "x.ledger-wal": 0o600}


def test_a_ledger_in_use_is_refused(tmp_path: Path) -> None:
    """Two outputs can't share one ledger at a time."""
    ledger = Ledger.open(tmp_path / "x.ledger")
    ledger.commit()
    with pytest.raises(OutputFault, match=r"x\.ledger: the ledger is in use by another run"):
        Ledger.open(tmp_path / "x.ledger")
    ledger.close()


def test_what_is_no_ledger_is_said_so(tmp_path: Path) -> None:
    """A text file, another database, a ledger of another format, and a folder: one sentence each."""
    text, database = tmp_path / "text", tmp_path / "database"
    text.write_text("account-1\n" * 100)
    with pytest.raises(LedgerUnreadable, match="text: is damaged or no ledger at all"):
        Ledger.open(text)
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(OutputFault, match="is a database, but no ledger"):
        Ledger.open(database)
    Ledger.open(tmp_path / "x").close()
    connection = sqlite3.connect(tmp_path / "x")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerUnreadable, match="has format 99"):
        Ledger.open(tmp_path / "x")
    with pytest.raises(OutputFault, match="can't be opened"):
        Ledger.open(tmp_path)


def test_a_damaged_ledger_is_no_traceback(tmp_path: Path) -> None:
    """Garbage within the file is told as damage."""
    path = tmp_path / "x"
    ledger = Ledger.open(path)
    ledger.roll.enrol([f"id-{number}" for number in range(2000)])
    ledger.commit()
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerUnreadable, match="damaged"):
        Database.at(path, 0o600).value("SELECT count(*) FROM account")


def test_memory_is_bounded_by_the_page_cache(tmp_path: Path) -> None:
    """A long list is committed in between: the log does not grow with it."""
    ledger = Ledger.open(tmp_path / "x")
    for start in range(0, 60_000, 1000):
        ledger.roll.enrol([f"account-{number:08}" for number in range(start, start + 1000)])
    assert ledger.roll.known == 60_000
    assert (tmp_path / "x-wal").stat().st_size < 20_000_000
    ledger.close()
