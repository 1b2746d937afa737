"""All inputs of a run, one after the other, as batches of accounts, and a thread to read them on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from itertools import chain
from typing import Any, BinaryIO, TypeVar

from harvester.errors import InputError, InvalidAccountId, SettingError, UsageError
from harvester.model import ListedAccount, Shard
from harvester.source.bytestream import STDIN, check_exists, opened, shown
from harvester.source.formats import listed_accounts
from harvester.source.ids import BATCH, clean_id, sharded
from harvester.source.kept import kept_names, kept_of_record
from harvester.source.lines import blocks
from harvester.source.spreadsheet import Found, Wanted

T = TypeVar("T")

_AHEAD = 4
"""Batches read ahead: enough for reading and storing to overlap, and small beside anything else."""
_FAILURES = ("failures.ndjson", "failures.ndjson.gz", "failures.ndjson.zst")


def read_list(
    inputs: Sequence[str],
    *,
    stdin: BinaryIO,
    input_format: str = "auto",
    id_field: str | None = None,
    keep: Sequence[str] = (),
    shard: Shard | None = None,
    accounts: Sequence[str] = (),
) -> Iterator[list[ListedAccount]]:
    """The accounts of all inputs in their order, repeats included, in batches of at most `ids.BATCH`.

    Blocks while an input is slow, so it belongs on a thread (`pumped`). Memory does not depend on
    the length of the list. Positions count the whole list, also the accounts of other shards.

    Args:
        inputs: paths; ``-`` is stdin, which is also read if there is no input and it is not a terminal.
        stdin: read with ``read1``, never closed.
        input_format: ``auto``, ``text``, ``csv`` or ``ndjson``.
        id_field: the column or property with the ID; by default the first of `spreadsheet.ID_FIELDS`.
        keep: properties to keep beyond `kept.KEPT`.
        shard: give only the accounts of this shard.
        accounts: single IDs (`--account`), which come first.

    Raises:
        InputError: an input cannot be read, or a line of it has no account ID, or it has none at all.
        SettingError: one of `accounts` is not an account ID.
        UsageError: there is no input, or stdin is named twice.
    """
    wanted = Wanted(id_field, kept_names(keep))
    if not inputs and not accounts and stdin.isatty():
        raise UsageError("there is no list of account IDs", "name a file of them, or pipe one in")
    names = tuple(inputs) or (() if accounts else (STDIN,))
    if names.count(STDIN) > 1:
        raise UsageError("stdin is named twice, but can be read only once", "name - once")
    try:
        single: Found = [(clean_id(one), None) for one in accounts]
    except InvalidAccountId as error:
        raise SettingError("--account", error.problem, error.hint) from None
    for name in names:
        check_exists(name)
    found = chain.from_iterable(_one_input(name, stdin, input_format, wanted) for name in names)
    return _numbered(chain((single,), found), shard)


def listed_records(
    records: Iterable[Mapping[str, Any]], *, first: int, keep: Sequence[str] = (), shard: Shard | None = None
) -> list[ListedAccount]:
    """The accounts in records of the accounts API (property `id`), the first one at position `first`.

    Raises:
        InvalidAccountId: the ID of a record is not an account ID; KeyError, TypeError: it has none.
    """
    names = kept_names(keep)
    found = [
        ListedAccount(position, clean_id(record["id"]), kept_of_record(record, names))
        for position, record in enumerate(records, first)
    ]
    return sharded(found, shard)


def _one_input(name: str, stdin: BinaryIO, input_format: str, wanted: Wanted) -> Iterator[Found]:
    empty = True
    with opened(name, stdin) as chunks:
        lines = blocks(chunks, shown(name))
        for found in listed_accounts(lines, shown(name), name, input_format, wanted):
            if found:
                empty = False
                yield found
    # An empty failures file is a good list: nothing failed, so there is nothing to do.
    if empty and not name.endswith(_FAILURES):
        raise InputError(shown(name), "has no account ID in it", "give one account ID per line")


def _numbered(groups: Iterator[Found], shard: Shard | None) -> Iterator[list[ListedAccount]]:
    position = 0
    for group in groups:
        for start in range(0, len(group), BATCH):
            batch = [
                ListedAccount(position + at, account_id, kept)
                for at, (account_id, kept) in enumerate(group[start : start + BATCH])
            ]
            position += len(batch)
            if wanted := sharded(batch, shard):
                yield wanted


async def pumped(batches: Iterable[T]) -> AsyncGenerator[T, None]:
    """Iterate `batches` on a thread of its own, which waits when the loop is slower.

    The thread ends with its next batch once the iteration is closed. It is a daemon: reading a terminal
    or a pipe cannot be canceled, and must not hold up the end of the process. Not for an iterable that
    is the caller's own, which is iterated in the caller's thread.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue(_AHEAD)
    closed = threading.Event()

    def hand_over(item: T | BaseException | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def pump() -> None:
        # RuntimeError, CancelledError: the loop ended meanwhile, so nobody wants the rest.
        with contextlib.suppress(RuntimeError, CancelledError):
            try:
                for batch in batches:
                    if closed.is_set():
                        return
                    hand_over(batch)
            except Exception as error:  # noqa: BLE001  # raised where the batches are awaited
                hand_over(error)
            else:
                hand_over(None)

    threading.Thread(target=pump, name="harvester-source", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        while not queue.empty():  # lets a put that waits for room return
            queue.get_nowait()
