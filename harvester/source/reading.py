"""All inputs of a run, one after the other, as batches of account IDs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from harvester.errors import InputFault, UsageFault
from harvester.model import Shard
from harvester.settings.model import Settings
from harvester.source.bytestream import STDIN, is_regular, opened, shown
from harvester.source.formats import account_ids
from harvester.source.lines import blocks
from harvester.source.shards import in_shard

BATCH = 1000
"""Most IDs in a batch: what the ledger takes in one statement without a pause that anyone notices."""


def ids_of(settings: Settings) -> Iterator[list[str]]:
    """The list that the settings name, as `read_ids` gives it, with the process's own stdin.

    Stdin is opened apart from `sys.stdin`, whose lock a thread that still reads would hold when the process
    ends.
    """
    return read_ids(
        settings.inputs,
        stdin=open(0, "rb", buffering=0, closefd=False),  # lives as long as the process
        input_format=settings.input_format,
        id_field=settings.id_field,
        shard=settings.shard,
    )


def read_ids(
    inputs: Sequence[str],
    *,
    stdin: BinaryIO,
    input_format: str = "auto",
    id_field: str | None = None,
    shard: Shard | None = None,
) -> Iterator[list[str]]:
    """The account IDs of all inputs in their order, trimmed, repeats and all, in batches of at most `BATCH`.

    Blocks while an input is slow, so it belongs on a thread; what is there is given at once. Regular
    files are read to their ends once beforehand, so that a fault in one of them is told before
    the first ID is given. Memory does not depend on the length of the list.

    Args:
        inputs: paths; ``-`` is stdin, which is also read when there is none and it is no terminal.
        stdin: read with ``read1``, never closed.
        input_format: ``auto``, ``text``, ``csv`` or ``ndjson``.
        id_field: the column or property with the ID; by default the first of `formats.ID_FIELDS`.
        shard: give only this share of the list.

    Raises:
        InputFault: an input can't be read, or a line of it holds no ID, or it has no ID at all.
        UsageFault: there is no input, or stdin stands twice among them.
    """
    names = tuple(inputs) or _default_inputs(stdin)
    if names.count(STDIN) > 1:
        raise UsageFault("stdin is named twice, but can be read only once", "name - once")
    for name in [name for name in names if is_regular(name)]:
        for _ in _one_input(name, stdin, input_format, id_field):
            pass
    for name in names:
        for ids in _one_input(name, stdin, input_format, id_field):
            wanted = ids if shard is None else [one for one in ids if in_shard(one, shard)]
            for start in range(0, len(wanted), BATCH):
                yield wanted[start : start + BATCH]


def _default_inputs(stdin: BinaryIO) -> tuple[str, ...]:
    if stdin.isatty():
        raise UsageFault("there is no list of account IDs", "name a file of them, or pipe one in")
    return (STDIN,)


def _one_input(name: str, stdin: BinaryIO, input_format: str, id_field: str | None) -> Iterator[list[str]]:
    empty = True
    with opened(name, stdin) as chunks:
        for ids in account_ids(blocks(chunks, shown(name)), shown(name), name, input_format, id_field):
            if ids:
                empty = False
                yield ids
    if empty:
        raise InputFault(shown(name), "has no account ID in it", "give one account ID a line")
