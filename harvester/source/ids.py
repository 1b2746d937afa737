"""Account IDs: the one place that trims and checks them, for files, stdin, `--account` and the API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

from harvester.errors import InvalidAccountId
from harvester.model import ListedAccount, Shard

LONGEST_ID = 4096
"""In characters. Gateways refuse URLs far shorter than this; whatever is longer is no account ID."""

BATCH = 1000
"""Most accounts in a batch: a size that the ledger adds in one statement without a noticeable pause."""

# What can surround an ID without being part of it: whitespace, zero-width characters and byte order
# marks from web pages and spreadsheets, and Ctrl-Z, which DOS tools put at the end of a file.
_INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
_MARGIN = rf"[\s\x1a{_INVISIBLE}]+"
_BEFORE, _AFTER = re.compile(_MARGIN), re.compile(rf"{_MARGIN}\Z")
_PLAIN = re.compile(rf"[\w-]{{1,{LONGEST_ID}}}", re.ASCII)
_UNUSABLE = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd{_INVISIBLE}]")
_ROUNDED_NUMBER = re.compile(r"\d+(?:[.,]\d+)?[eE]\+\d+")
SPREADSHEET_ERRORS = frozenset(
    {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#NULL!", "#DIV/0!", "#NUM!", "#SPILL!"}
)


def trim(text: str) -> str:
    """`text` without whitespace and invisible characters on either side."""
    plain = text.strip()
    if plain.isascii() and not plain.endswith("\x1a") and not plain.startswith("\x1a"):
        return plain  # nearly every ID
    start = _BEFORE.match(plain)
    end = _AFTER.search(plain)
    return plain[start.end() if start else 0 : end.start() if end else len(plain)]


def clean_id(value: object) -> str:
    """The account ID in `value`, trimmed.

    Raises:
        TypeError: it is not a string.
        InvalidAccountId: it is empty, too long, or contains what no account ID contains.
    """
    if not isinstance(value, str):
        raise TypeError(f"an account ID must be a str, not {type(value).__name__}: {value!r}")
    account_id = trim(value)
    if _PLAIN.fullmatch(account_id) is None:
        _refuse_unusable(account_id)
    return account_id


def _refuse_unusable(account_id: str) -> None:
    if not account_id:
        raise InvalidAccountId("the account ID is empty", "give the account's ID, or remove the entry")
    if len(account_id) > LONGEST_ID:
        problem = f"the account ID is longer than {LONGEST_ID} characters"
        raise InvalidAccountId(problem, "is this a list of account IDs?")
    if found := _UNUSABLE.search(account_id):
        character = f"U+{ord(found[0]):04X}, an invisible or broken character"
        problem = f"the account ID {account_id!a:.100} contains {character}"
        raise InvalidAccountId(problem, "put each ID on a line or in a cell of its own")
    if _ROUNDED_NUMBER.fullmatch(account_id):
        problem = f"{account_id} is a number that a spreadsheet has rounded, not an account ID"
        hint = "format the column as text before the IDs are put into it, and save the list again"
        raise InvalidAccountId(problem, hint)
    if account_id in SPREADSHEET_ERRORS:
        problem = f"{account_id} is a spreadsheet's error value, not an account ID"
        raise InvalidAccountId(problem, "repair that cell")


def in_shard(account_id: str, shard: Shard) -> bool:
    """Whether this shard of the list has the ID.

    The shard is the BLAKE2b-64 hash of the ID's UTF-8 bytes, read as a big-endian number, modulo
    `shard.count`, plus one. It depends on nothing else, so it is the same on every machine and in
    every version; the shards are disjoint and together they are the list.
    """
    digest = blake2b(account_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shard.count == shard.index - 1


def listed(
    ids: Iterable[str], shard: Shard | None = None, *, first: int = 0
) -> Iterator[list[ListedAccount]]:
    """The accounts that `ids` names, in batches of at most `BATCH`, repeats included.

    `ids` is iterated in the caller's thread. Positions count all of `ids` from `first`, also those of
    other shards.

    Raises:
        TypeError: `ids` is a string or bytes, or one of its items is not a string.
        InvalidAccountId: an item is not an account ID.
    """
    if isinstance(ids, str | bytes | bytearray):
        raise TypeError(f"account IDs must be given as an iterable of str, not as one {type(ids).__name__}")
    return _batches(enumerate(ids, first), shard)


def _batches(numbered: Iterator[tuple[int, str]], shard: Shard | None) -> Iterator[list[ListedAccount]]:
    while pairs := list(islice(numbered, BATCH)):
        batch = [ListedAccount(position, clean_id(value)) for position, value in pairs]
        if wanted := sharded(batch, shard):
            yield wanted


def sharded(batch: list[ListedAccount], shard: Shard | None) -> list[ListedAccount]:
    """The accounts of `batch` that are in this shard."""
    return batch if shard is None else [account for account in batch if in_shard(account.id, shard)]
