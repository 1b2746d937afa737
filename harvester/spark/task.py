"""What a task does in an executor: it harvests one lane and hands over its rows as they are settled."""

from __future__ import annotations

import asyncio
import os
import queue
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
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

_AHEAD: Final = 2
"""Batches of at most 1,000 accounts handed over ahead, so that fetching goes on while Spark stores one."""
_LOOK_EVERY: Final = 0.2
"""Seconds after which the harvest's thread, waiting for room, looks whether Spark still wants rows."""
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
        yield from Stream(settings, unpacked(packed))


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


class Stream:
    """The rows of a harvest that runs on a thread of its own, whose event loop goes on while Spark is busy.

    Whoever leaves the iteration ends the harvest.
    """

    def __init__(self, settings: Settings, accounts: Iterator[list[ListedAccount]]) -> None:
        self._accounts = accounts
        self._harvest = Harvest(settings, EventLog().observe)
        self._handed: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_AHEAD)
        self._unwanted = threading.Event()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        thread = threading.Thread(target=self._run, name="harvester")
        thread.start()
        try:
            while (item := self._handed.get()) is not None:
                if isinstance(item, StopRun):
                    raise item.with_traceback(None)  # a sentence says it all
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._unwanted.set()
            self._harvest.stop_from_thread(StoppedEarly("Spark wants no more rows"))
            thread.join()

    def _run(self) -> None:
        try:
            run_blocking(self._main)
        except BaseException as error:  # noqa: BLE001  # raised where the rows are taken
            self._hand_over(error)
        else:
            self._hand_over(None)

    async def _main(self) -> None:
        entries = self._harvest.entries(pumped(self._accounts), scratch())
        async with self._harvest, aclosing(entries) as found:
            async for some in found:
                await asyncio.to_thread(self._hand_over, record_batch(some))
                if self._unwanted.is_set():
                    return

    def _hand_over(self, item: pa.RecordBatch | BaseException | None) -> None:
        while not self._unwanted.is_set():
            with suppress(queue.Full):
                self._handed.put(item, timeout=_LOOK_EVERY)
                return


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
