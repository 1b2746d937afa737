"""The list of a read: from a file that `run` reads too, or from the column of a table, and split by lane.

It is read in the driver, through a temporary ledger, which finds repeats in bounded memory. Each lane gets
accounts from the whole list, in proportion to its quota, so that all lanes end at the same time even where
neighbors on the list are alike. Of an account's properties only its source travels to the executors.
"""

from __future__ import annotations

import asyncio
import heapq
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import zstandard

from harvester.errors import InputError, InvalidAccountId
from harvester.event_loop import run_blocking
from harvester.export.extras import lake_module
from harvester.ledger import Entry, Ledger, LedgerReader
from harvester.model import ListedAccount, Quota
from harvester.source import listed_records, pumped, read_list
from harvester.source.bytestream import standard_input
from harvester.source.ids import BATCH
from harvester.source.spreadsheet import ID_FIELDS


def accounts_of(
    ids: str, input_format: str = "auto", id_field: str | None = None
) -> Iterator[list[ListedAccount]]:
    """The accounts that the option `ids` names, in batches, repeats included.

    A directory, a ``.parquet`` file and a URL are tables: Delta, or Parquet files. Everything else is a list
    as `harvester run` reads it.

    Raises:
        UsageError: it cannot be read, or has no account ID where there should be one.
    """
    if "://" in ids or ids.endswith(".parquet") or Path(ids).is_dir():
        return _of_table(ids, id_field)
    return read_list([ids], stdin=standard_input(), input_format=input_format, id_field=id_field)


def shares(
    accounts: Iterable[list[ListedAccount]], quotas: Sequence[Quota | None], directory: Path | None
) -> list[tuple[int, bytes]]:
    """Each lane's number of accounts, and the accounts packed for `unpacked`; the lanes' quotas are given.

    Raises:
        UsageError: as `accounts_of`.
    """
    return run_blocking(lambda: _shares(accounts, quotas, directory))


async def _shares(
    accounts: Iterable[list[ListedAccount]], quotas: Sequence[Quota | None], directory: Path | None
) -> list[tuple[int, bytes]]:
    async with await Ledger.temporary(directory) as ledger:
        async for batch in pumped(accounts):
            await ledger.add(batch)
        await ledger.end_list()
        return await asyncio.to_thread(_split, ledger.path, weights(quotas))


def weights(quotas: Sequence[Quota | None]) -> list[float]:
    """The lanes' rates. One without a limit counts as much as the fastest of the others."""
    most = max((quota.per_second for quota in quotas if quota), default=1.0)
    return [quota.per_second if quota else most for quota in quotas]


def _split(ledger: Path, rates: Sequence[float]) -> list[tuple[int, bytes]]:
    """Deal the accounts out: each goes to the lane that would be done with it first."""
    packers = [zstandard.ZstdCompressor().compressobj() for _ in rates]
    packed = [io.BytesIO() for _ in rates]
    counts = [0] * len(rates)
    next_done = [(1 / rate, lane) for lane, rate in enumerate(rates)]
    heapq.heapify(next_done)
    with LedgerReader(ledger) as reader:
        for entry in reader.all_entries():
            _, lane = next_done[0]
            counts[lane] += 1
            packed[lane].write(packers[lane].compress(_line(entry)))
            heapq.heapreplace(next_done, ((counts[lane] + 1) / rates[lane], lane))
    for packer, buffer in zip(packers, packed, strict=True):
        buffer.write(packer.flush())
    return [(count, buffer.getvalue()) for count, buffer in zip(counts, packed, strict=True)]


def _line(entry: Entry) -> bytes:
    kept = orjson.loads(entry.kept) if entry.kept else {}
    source = {"sourceId": kept["sourceId"]} if "sourceId" in kept else {}
    return orjson.dumps([entry.id, {"position": entry.position, **source}]) + b"\n"


def unpacked(packed: bytes) -> Iterator[list[ListedAccount]]:
    """The accounts of a lane, in batches, numbered from 0; `position_of` gives the position on the list."""
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True)
    batch: list[ListedAccount] = []
    for number, line in enumerate(io.BufferedReader(stream)):
        account_id, kept = orjson.loads(line)
        batch.append(ListedAccount(number, account_id, orjson.dumps(kept)))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def position_of(entry: Entry) -> int:
    """The position on the whole list of an account that was `unpacked`."""
    position: int = orjson.loads(entry.kept or b"{}")["position"]
    return position


# --- tables


def _of_table(path: str, id_field: str | None) -> Iterator[list[ListedAccount]]:
    try:
        table = _opened(path)
        columns = table.schema.names
        field = next((one for one in ((id_field,) if id_field else ID_FIELDS) if one in columns), None)
        if field is None:
            problem = f"has no column {id_field or ' or '.join(ID_FIELDS)}, only {', '.join(columns)}"
            raise InputError(path, problem, "name the column as id_field")
        wanted = [field, *({"sourceId"} & {*columns})]
        first = 0
        for batch in table.to_batches(columns=wanted):
            records = batch.rename_columns(["id", *wanted[1:]]).to_pylist()
            for start in range(0, len(records), BATCH):
                some = [_text_id(record) for record in records[start : start + BATCH]]
                yield listed_records(some, first=first)
                first += len(some)
    except InvalidAccountId as error:
        raise InputError(path, error.problem, error.hint) from None
    except TypeError:
        raise InputError(path, f"{field} is null somewhere", "leave such rows out") from None
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as a table ({error})", "check the path") from None
    if first == 0:
        raise InputError(path, "has no account ID in it", "give a table with one row an account")


def _text_id(record: dict[str, Any]) -> dict[str, Any]:
    found = record["id"]
    return {**record, "id": str(found)} if isinstance(found, int) else record


def _opened(path: str) -> Any:
    """The table at `path` as a dataset of pyarrow's."""
    fs: Any = lake_module("pyarrow.fs", "ids", path, "spark")
    filesystem, inside = fs.FileSystem.from_uri(path if "://" in path else str(Path(path).absolute()))
    log = filesystem.get_file_info(fs.FileSelector(f"{inside}/_delta_log", allow_not_found=True))
    if log:
        delta: Any = lake_module("deltalake", "ids", path, "delta")
        return delta.DeltaTable(path).to_pyarrow_dataset()
    dataset: Any = lake_module("pyarrow.dataset", "ids", path, "spark")
    return dataset.dataset(inside, filesystem=filesystem, format="parquet", partitioning="hive")
