"""The ledger as a run uses it: asynchronous, with all statements on one thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from harvester.errors import LedgerUnreadable
from harvester.files import disk_errors
from harvester.ledger import opening
from harvester.ledger.copies import discard
from harvester.ledger.database import Database
from harvester.ledger.lock import Descriptor
from harvester.ledger.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    method: Callable[Concatenate[Writer, P], T],
) -> Callable[Concatenate[Ledger, P], Coroutine[Any, Any, T]]:
    """A method of the writer as one of the ledger, which is awaited while it runs on the ledger's thread."""

    @wraps(method)
    async def call(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(partial(method, self._writer, *args, **kwargs))

    return call


def _opened(make: Callable[P, Writer]) -> Callable[P, Coroutine[Any, Any, Ledger]]:
    """A function of `opening` as one that is awaited while it runs on the new ledger's thread."""

    @wraps(make)
    async def call(*args: P.args, **kwargs: P.kwargs) -> Ledger:
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        future = executor.submit(make, *args, **kwargs)
        try:
            return Ledger(await asyncio.wrap_future(future), executor)
        except BaseException:  # canceled, too: then it may still be opening
            executor.submit(_close_if_open, future)
            executor.shutdown(wait=False)
            raise

    return call


class Ledger:
    """The ledger of one harvest; one run at a time writes it, and anybody may read along (`LedgerReader`).

    Make one with `create`, `open`, `retry` or `temporary`, the functions of `opening`, and leave its context
    or `close` it at the end. Its methods are those of `Writer`. All are awaited, and raise the same errors.
    """

    def __init__(self, writer: Writer, executor: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._executor = executor
        self.path = writer.path
        self.closed = False
        """Whether it is closed, or removed."""

    add = _awaited(Writer.add)
    end_list = _awaited(Writer.end_list)
    list_complete = _awaited(Writer.list_complete)
    next_pending = _awaited(Writer.next_pending)
    sources = _awaited(Writer.sources)
    unasked_sources = _awaited(Writer.unasked_sources)
    save_sources = _awaited(Writer.save_sources)

    settle = _awaited(Writer.settle)
    settle_unreported = _awaited(Writer.settle_unreported)
    counts = _awaited(Writer.counts)
    totals = _awaited(Writer.totals)
    failures_by_reason = _awaited(Writer.failures_by_reason)
    known_good = _awaited(Writer.known_good)
    answered_account = _awaited(Writer.answered_account)

    fact = _awaited(Writer.fact)
    save_facts = _awaited(Writer.save_facts)
    memory = _awaited(Writer.memory)
    save_lanes = _awaited(Writer.save_lanes)
    begin_run = _awaited(Writer.begin_run)
    end_run = _awaited(Writer.end_run)
    runs = _awaited(Writer.runs)

    is_exclusive = _awaited(Writer.is_exclusive)
    let_others_read = _awaited(Writer.let_others_read)
    publish = _awaited(Writer.publish)

    # --- opening and closing

    @staticmethod
    def begun(path: Path) -> bool:
        """Whether there is an unfinished harvest at `path`, to be resumed. Blocks.

        False also where a run was killed before it had recorded anything: `create` takes that over.
        """
        if not path.exists():
            return False
        try:
            with closing(Descriptor(path)) as file:
                if opening.is_blank(file):
                    return False
            with closing(Database.open(path, writing=False)) as database:
                return database.begun()
        except (LedgerUnreadable, OSError):
            return True  # `open` says what is wrong with it

    create = staticmethod(_opened(opening.create))
    open = staticmethod(_opened(opening.resume))
    retry = staticmethod(_opened(opening.retry))
    temporary = staticmethod(_opened(opening.temporary))

    @staticmethod
    async def discard(path: Path) -> None:
        """Remove the unfinished harvest at `path`, if there is one (``--fresh``).

        Raises:
            OutputError: another run is writing it, or it cannot be removed.
        """
        with disk_errors(path, "the ledger", started=False):
            await asyncio.to_thread(discard, path)

    async def close(self) -> None:
        """Close the ledger; a temporary one is gone then. May be called again."""
        await self._end(self._writer.close)

    async def remove(self) -> None:
        """Remove this harvest and close it: nothing is kept (``--no-keep-ledger``)."""
        await self._end(self._writer.remove)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._executor.submit(function))

    async def _end(self, function: Callable[[], None]) -> None:
        if self.closed:
            return
        self.closed = True
        try:
            await asyncio.shield(self._run(function))
        finally:
            self._executor.shutdown()


def _close_if_open(future: Future[Writer]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
