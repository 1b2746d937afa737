"""The one check of account IDs, the shards, and the properties kept with an account."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import InputError, InvalidAccountId, SettingError
from harvester.model import ListedAccount, Shard
from harvester.source import clean_id, in_shard, listed, listed_records, read_list
from harvester.source.ids import BATCH
from tests.source.test_reader import NOTHING, from_stdin, ids_in


def refusal(account_id: str, way: str) -> str:
    """What is said about this ID when it comes in one of the ways into the program."""
    if way == "library":
        with pytest.raises(InvalidAccountId) as library:
            list(listed([account_id]))
        return library.value.problem
    if way == "--account":
        with pytest.raises(SettingError) as flag:
            read_list([], stdin=NOTHING, accounts=[account_id])
        return flag.value.problem.removeprefix("--account: ")
    with pytest.raises(InputError) as line:
        from_stdin(orjson.dumps({"id": account_id}))
    return line.value.problem.removeprefix("stdin:1: ")


@pytest.mark.parametrize("account_id", ["a\u200bb", "a\tb", "1.23E+15", "#N/A", "x" * 5000, "a\ufffdb"])
def test_one_check_for_every_way_in(account_id: str) -> None:
    """File, --account and library refuse the same IDs with the same words."""
    assert len({refusal(account_id, way) for way in ("library", "--account", "file")}) == 1


@pytest.mark.parametrize("account_id", ["", " ", "\u200b", "\ud800", "a\ud83d"])
def test_no_text_no_id(account_id: str) -> None:
    """An empty or blank ID, and half a character, are refused; the error is a ValueError, too."""
    with pytest.raises(InvalidAccountId):
        clean_id(account_id)
    with pytest.raises(ValueError, match="account ID"):
        list(listed(["good", account_id]))
    assert issubclass(InvalidAccountId, ValueError)


@pytest.mark.parametrize("value", [7, None, b"a", 1.5, ["a"]])
def test_only_strings_are_ids(value: Any) -> None:
    """Anything but a str is a mistake in the caller's program."""
    with pytest.raises(TypeError, match="must be a str"):
        list(listed([value]))


@pytest.mark.parametrize("ids", ["ef38", b"ef38", bytearray(b"x")])
def test_a_bare_string_is_no_list(ids: Any) -> None:
    """One string instead of a list of them is refused at once, not read letter by letter."""
    with pytest.raises(TypeError, match="iterable of str"):
        listed(ids)


def test_ids_are_trimmed() -> None:
    """What surrounds an ID is not part of it."""
    assert ids_in(listed([" x ", "\u200by\ufeff", "z\r\n"])) == ["x", "y", "z"]


@given(st.text(max_size=30))
def test_cleaning_is_idempotent(text: str) -> None:
    """An accepted ID is printable on one line, and is accepted as it is."""
    try:
        account_id = clean_id(text)
    except InvalidAccountId:
        return
    assert account_id
    assert len(account_id.splitlines()) == 1
    assert clean_id(account_id) == account_id
    account_id.encode()


def test_the_callers_iterable_stays_in_the_callers_thread() -> None:
    """A generator over a database cursor is iterated lazily, by the thread that asks for batches."""
    threads = set()

    def ids() -> Iterator[str]:
        for number in range(2 * BATCH + 1):
            threads.add(threading.get_ident())
            yield f"account-{number}"

    batches = listed(ids())
    assert not threads
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 1]
    assert threads == {threading.get_ident()}


@given(st.lists(st.text(min_size=1).filter(lambda s: s.isprintable()), max_size=50), st.integers(1, 9))
def test_shards_are_disjoint_and_complete(ids: list[str], count: int) -> None:
    """Each ID is in exactly one shard."""
    assert all(sum(in_shard(one, Shard(k, count)) for k in range(1, count + 1)) == 1 for one in ids)


def test_shards_never_change() -> None:
    """The shards of known IDs are the same in every version: resumed shards depend on it."""
    ids = [f"account-{n}" for n in range(8)]
    shards = [next(k for k in range(1, 4) if in_shard(one, Shard(k, 3))) for one in ids]
    assert shards == [1, 2, 2, 2, 1, 2, 1, 3]


def test_a_shard_of_the_library_keeps_positions() -> None:
    """The library's shards are disjoint and have the positions of the whole list."""
    ids = [f"account-{n}" for n in range(2500)]
    found = [one for k in (1, 2) for batch in listed(ids, Shard(k, 2)) for one in batch]
    assert sorted(found) == [ListedAccount(n, one) for n, one in enumerate(ids)]


def test_single_accounts_come_first() -> None:
    """--account adds to the list, in front; alone, it keeps stdin from being read."""
    assert from_stdin(b"c\n", accounts=[" a ", "b"]) == ["a", "b", "c"]
    assert ids_in(read_list([], stdin=NOTHING, accounts=["a"])) == ["a"]


# -- kept properties

RECORD = {
    "id": "a",
    "name": "ada.adler",
    "nativeIdentity": "CN=ada",
    "sourceId": "s1",
    "sourceName": "GitHub",
    "identityId": "i1",
    "identity": {"type": "IDENTITY", "id": "i1", "name": "Ada Adler"},
    "ownerIdentity": {"type": "IDENTITY", "id": "i9", "name": "Emre Ito"},
    "created": "2026-09-01T00:00:00Z",
    "disabled": False,
    "isMachine": True,
    "hasEntitlements": True,
    "managerName": "Hana Keita",
    "managerEmail": "hana@example.com",
    "usageStatus": "COMPLETE",
    "usageSince": "2025-11",
    "attributes": {"salary": 1},
    "locked": True,
    "description": None,
    "uuid": "",
}
KEPT = {
    "name": "ada.adler",
    "nativeIdentity": "CN=ada",
    "sourceName": "GitHub",
    "sourceId": "s1",
    "identityName": "Ada Adler",
    "identityId": "i1",
    "managerName": "Hana Keita",
    "managerEmail": "hana@example.com",
    "ownerName": "Emre Ito",
    "created": "2026-09-01T00:00:00Z",
    "disabled": False,
    "isMachine": True,
    "hasEntitlements": True,
    "usageStatus": "COMPLETE",
    "usageSince": "2025-11",
}


def kept(data: bytes, **options: Any) -> dict[str, Any]:
    """What is kept of the one account in this list."""
    [[account]] = read_list(["-"], stdin=io.BytesIO(data), **options)
    found: dict[str, Any] = orjson.loads(account.kept or b"{}")
    return found


def test_kept_from_the_api_record() -> None:
    """Of a record of the accounts API, what `unused` names is kept, and nothing else."""
    assert kept(orjson.dumps(RECORD)) == KEPT
    assert list(kept(orjson.dumps(RECORD))) == list(KEPT)


def test_kept_from_the_listing_itself() -> None:
    """Records that come from the tenant in this process are kept like those from a file."""
    [account] = listed_records([RECORD], first=7)
    assert (account.position, account.id) == (7, "a")
    assert orjson.loads(account.kept or b"") == KEPT


def test_kept_from_csv() -> None:
    """Columns of those names are kept, however a spreadsheet spells them; flags become booleans."""
    header = "Account ID,Source Name,sourceId,identity.name,Owner Name,disabled,isMachine,mail"
    assert kept(f"{header}\na,GitHub,s1,Ada,,TRUE,maybe,x\n".encode()) == {
        "sourceName": "GitHub",
        "sourceId": "s1",
        "identityName": "Ada",
        "disabled": True,
        "isMachine": "maybe",
    }


def test_keep_adds_properties() -> None:
    """--keep adds properties, also nested ones; null and empty ones count as absent."""
    data = orjson.dumps(RECORD)
    assert kept(data, keep=["locked", "identity.type", "uuid", "description"]) == {
        **KEPT,
        "locked": True,
        "identity.type": "IDENTITY",
    }
    assert kept(b"id,locked,x\na,yes,1\n", keep=["locked"]) == {"locked": "yes"}


def test_nothing_is_kept_of_nothing() -> None:
    """Text, and records without any of the properties, keep nothing at all."""
    [[text]] = listed_batches(b"a\n")
    [[record]] = listed_batches(b'{"id":"a","x":1}\n')
    assert text.kept is record.kept is None


def listed_batches(data: bytes) -> list[list[ListedAccount]]:
    return list(read_list(["-"], stdin=io.BytesIO(data)))


def test_half_a_character_is_kept_as_json_has_it() -> None:
    """A name with an unpaired surrogate stays what it is."""
    assert read_kept(b'{"id":"a","name":"x\\ud83d"}\n') == b'{"name":"x\\ud83d"}'


def read_kept(data: bytes) -> bytes | None:
    return listed_batches(data)[0][0].kept
