"""What a task does in an executor: it harvests one lane and hands over its rows as they are settled."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark import TaskContext

from harvester.api import Harvest
from harvester.errors import StoppedEarly, StopRun, UsageError
from harvester.event_loop import run_blocking
from harvester.export.slices import decoded
from harvester.ledger import Entry
from harvester.model import AccountOutcome, ListedAccount
from harvester.report.event_log import EventLog
from harvester.report.log import LOGGER, logging_to
from harvester.report.redaction import Redactor
from harvester.report.text import plural
from harvester.settings.settings import Settings, secrets_of
from harvester.source import pumped
from harvester.spark.accounts import position_of, unpacked
from harvester.spark.options import Lane, ReadOptions
from harvester.tenant.exact_json import whole_number

SCHEMA: Final = pa.schema(
    [
        ("accountId", pa.string()),
        ("date", pa.date32()),
        ("count", pa.int64()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("position", pa.int64()),
        ("harvestedAt", pa.timestamp("us", tz="UTC")),
    ]
)

_LOCAL: Final = re.compile(r"local\[(\d+|\*)(?:,\d+)?\]")
_LOCAL_CLUSTER: Final = re.compile(r"local-cluster\[(\d+),(\d+),\d+\]")
_ISO_DATE: Final = 10  # characters of YYYY-MM-DD
_BEYOND: Final = 1 << 63


def harvest_lane(options: ReadOptions, lane: Lane, packed: bytes) -> Iterator[pa.RecordBatch]:
    """The rows of one lane's accounts, in batches, as they are settled.

    Raises:
        UsageError: Spark or an option is set in a way that cannot work; nothing was sent.
        StopRun: the harvest of the lane ended before its list: Spark then fails the task.
    """
    context = TaskContext.get()
    settings = options.settings_of(lane)
    with logging_to(verbosity=-1, redact=Redactor(secrets_of(settings))):
        if context is not None:
            _check(context, lanes=len(options.lanes))
            if context.attemptNumber() > 0 and lane.quota is not None:
                # What the attempt before has sent counts until a whole window has passed.
                time.sleep(lane.quota.seconds)
        yield from _streamed(settings, unpacked(packed))


def _check(context: TaskContext, lanes: int) -> None:
    """Refuse speculation, whose second copy of a task would send beside the first; report missing slots."""
    if context.getLocalProperty("spark.master") is None:
        raise UsageError(
            "the settings of Spark are not known here, as when a DataFrame is used as an RDD",
            "write the DataFrame to a table first",
        )
    if str(context.getLocalProperty("spark.speculation")).lower() == "true":
        problem = "spark.speculation is on, and two copies of a task would exceed the quota together"
        raise UsageError(problem, "set it to false")
    slots = slots_of(context)
    if context.partitionId() == 0 and slots is not None and slots < lanes:
        few = plural(slots, "task slot")
        LOGGER.warning("there are %d lanes but %s: the other lanes wait until these are done", lanes, few)


def slots_of(context: TaskContext) -> int | None:
    """How many tasks the application runs at a time, as far as its settings say; None: they do not."""

    def number(name: str, default: int = 0) -> int:
        return int(context.getLocalProperty(f"spark.{name}") or default)

    master = context.getLocalProperty("spark.master") or ""
    if master == "local":
        return 1
    if local := _LOCAL.fullmatch(master):
        return (os.cpu_count() or 1) if local[1] == "*" else int(local[1])
    if cluster := _LOCAL_CLUSTER.fullmatch(master.replace(" ", "")):
        cores = int(cluster[1]) * int(cluster[2])
    elif master.startswith("spark:"):
        cores = number("cores.max")
    else:
        dynamic = context.getLocalProperty("spark.dynamicAllocation.enabled") == "true"
        executors = number("dynamicAllocation.maxExecutors" if dynamic else "executor.instances")
        cores = executors * number("executor.cores", 1)
    return cores // number("task.cpus", 1) or None


def _streamed(settings: Settings, accounts: Iterator[list[ListedAccount]]) -> Iterator[pa.RecordBatch]:
    """The rows of a harvest that runs on a thread of its own, whose event loop goes on while Spark is busy.

    Whoever leaves the iteration ends the harvest.
    """
    harvest = Harvest(settings, EventLog().observe)
    begun: Future[tuple[asyncio.AbstractEventLoop, AsyncGenerator[list[Entry], None]]] = Future()
    ended: Future[None] = Future()

    async def main() -> None:
        entries = harvest.entries(pumped(accounts), scratch())
        async with harvest, aclosing(entries):
            begun.set_result((asyncio.get_running_loop(), entries))
            await asyncio.wrap_future(ended)

    def work() -> None:
        try:
            run_blocking(main)
        except BaseException as error:  # noqa: BLE001  # raised where the rows are taken
            if not begun.done():
                begun.set_exception(error)

    thread = threading.Thread(target=work, name="harvester")
    thread.start()
    try:
        loop, entries = begun.result()
        while some := asyncio.run_coroutine_threadsafe(_next(entries), loop).result():
            yield record_batch(some)
    except StopRun as stop:
        raise stop.with_traceback(None) from None  # a sentence says it all
    finally:
        harvest.stop_from_thread(StoppedEarly("Spark wants no more rows"))
        ended.set_result(None)
        thread.join()


async def _next(entries: AsyncGenerator[list[Entry], None]) -> list[Entry]:
    return await anext(entries, [])


def scratch() -> Path | None:
    """Spark's own directory on this machine, which goes with the application; None: ``$TMPDIR``."""
    found = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    return Path(found) if found and Path(found).is_dir() else None


def record_batch(entries: Sequence[Entry]) -> pa.RecordBatch:
    """The rows of some accounts; one without rows has a row of its own, with neither date nor count."""
    rows: list[tuple[Any, ...]] = []
    for entry in entries:
        outcome = (entry.outcome or AccountOutcome.FAILED).name.lower()
        at = None if entry.settled_at is None else datetime.fromtimestamp(entry.settled_at, UTC)
        account = (outcome, entry.reason, position_of(entry), at)
        rows += [
            (entry.id, (row.get("date") or "")[:_ISO_DATE] or None, _count(row.get("count")), *account)
            for row in decoded(entry) or [{}]
        ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    columns[1] = pa.array(columns[1], pa.string()).cast(pa.date32())
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _count(value: object) -> int | None:
    """The count, which may be written as 17.0; None where there is none, or none of 64 bits."""
    whole = None if value is None else whole_number(value)
    return whole if whole is not None and -_BEYOND <= whole < _BEYOND else None
