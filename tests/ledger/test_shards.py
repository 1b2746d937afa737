"""Whether shards are of one list: their positions must be those of one list, repeats included."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harvester.ledger import LedgerReader, opening
from harvester.ledger.shards import Positions, cover_one_list, other_list
from harvester.model import ListedAccount, Shard
from harvester.source import listed
from tests.ledger.helpers import read_list, resumed

LISTS = st.lists(st.sampled_from("abcdefgh"), max_size=12)
MOST = 4


def shard_of(ids: list[str], index: int, count: int) -> list[ListedAccount]:
    return [account for batch in listed(ids, Shard(index, count)) for account in batch]


def positions_of(accounts: list[ListedAccount], size: int = 3) -> Positions:
    found = Positions()
    for begin in range(0, len(accounts), size):
        found = found.and_of([account.position for account in accounts[begin : begin + size]])
    return found


@given(ids=LISTS, count=st.integers(1, MOST))
def test_shards_of_one_list_cover_it(ids: list[str], count: int) -> None:
    """Whatever is repeated, and also if a shard has nothing of it."""
    assert cover_one_list(positions_of(shard_of(ids, index, count)) for index in range(1, count + 1))


@given(lists=st.lists(LISTS, min_size=2, max_size=MOST))
def test_shards_of_different_lists_are_found(lists: list[list[str]]) -> None:
    """Unless there is one list of which all of them are shards."""
    count = len(lists)
    shards = [shard_of(ids, index, count) for index, ids in enumerate(lists, 1)]
    mentions = sorted(account[:2] for shard in shards for account in shard)
    of_one_list = [position for position, _ in mentions] == list(range(len(mentions)))
    assert cover_one_list(map(positions_of, shards)) == of_one_list
    if of_one_list:
        whole = [account_id for _, account_id in mentions]
        assert shards == [shard_of(whole, index, count) for index in range(1, count + 1)]


def test_two_gaps_do_not_make_up_for_two_repeats() -> None:
    """Though the number of IDs and the sums of positions and of their squares agree with one list."""
    one, other = [1, 2, 3, 6], [1, 2, 6]
    assert not cover_one_list([Positions().and_of(one), Positions().and_of(other)])


def ledger(path: Path, ids: str, shard: str | None) -> Path:
    writer = opening.create(path, 0o600, {"shard": shard})
    read_list(writer, shard_of([*ids], *map(int, (shard or "1/1").split("/"))))
    writer.close()
    return path


def other(*paths: Path) -> Path | None:
    with ExitStack() as stack:
        found = other_list([stack.enter_context(LedgerReader(path)) for path in paths])
        return None if found is None else found.path


def test_a_ledger_knows_the_positions_of_its_list(tmp_path: Path) -> None:
    """Those of the last list that was read to its end, also if only its repeats have changed."""
    old, new = "abcabcdefgh", "abcabcdefghhhaah"
    one, two = (ledger(tmp_path / f"{index}", old, f"{index}/2") for index in (1, 2))
    assert other(one, two) is None
    for path, index, expected in ((one, 1, one), (two, 2, None)):
        with resumed(path) as writer:
            for account in shard_of([*new], index, 2):
                writer.add([account])
            assert other(one, two) == (None if index == 1 else one), "not before its end"
            writer.end_list()
        assert other(one, two) == expected


def test_what_cannot_be_told_yet(tmp_path: Path) -> None:
    """A shard is missing, or its list was not read yet, or it is a whole list."""
    one, two, three = (ledger(tmp_path / f"{index}", "abcdefgh", f"{index}/3") for index in (1, 2, 3))
    opening.create(tmp_path / "new", 0o600, {"shard": "3/3"}).close()
    assert other(one, two) is None
    assert other(one, two, tmp_path / "new") is None
    assert other(ledger(tmp_path / "whole", "abc", None)) is None
    assert other(one, two, three) is None
    assert other(one, two, ledger(tmp_path / "other", "aabcdefgh", "3/3")) is not None
