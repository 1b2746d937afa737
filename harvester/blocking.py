"""`harvest`: a harvest without an event loop of the caller's, for scripts and notebooks."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Unpack

from harvester.api import Harvest, Ids
from harvester.errors import StoppedEarly
from harvester.event_loop import run_blocking
from harvester.report.summary import Report
from harvester.settings.load import Options, load_settings
from harvester.settings.settings import Settings
from harvester.source.ids import listed

_HANDED_AHEAD: Final = 4
"""Batches that a caller's thread hands over ahead: reading and storing overlap, and memory stays small."""
_LOOK_EVERY: Final = 0.2
"""Seconds after which a thread that waits to hand something over looks whether it is still wanted."""


def harvest(
    ids: Iterable[str] | None = None, settings: Settings | None = None, **options: Unpack[Options]
) -> Report:
    """Harvest `ids`, or the list that the settings name, and return when it is done.

    For scripts, and for notebooks, where an event loop is running already: the harvest then has one of
    its own on another thread. `ids` is iterated in the caller's thread in any case. Without `settings`,
    they are found as the command line finds them; `options` are settings by name.

    Raises:
        UsageError: the list, the output or a setting is wrong.
        InvalidAccountId, TypeError: `ids` has something that is not an account ID.
    """
    if settings is not None and options:
        raise TypeError("give either settings or options, not both")
    found = load_settings(**options) if settings is None else settings
    running = Harvest(found)

    async def main(given: Ids | None) -> Report:
        async with running:
            return await running.run(given)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_blocking(lambda: main(ids))
    return _on_another_thread(running, main, ids)


def _on_another_thread(
    running: Harvest, main: Callable[[Ids | None], Coroutine[Any, Any, Report]], ids: Iterable[str] | None
) -> Report:
    handed: queue.Queue[list[str] | BaseException | None] = queue.Queue(_HANDED_AHEAD)
    done: Future[Report] = Future()

    def work() -> None:
        try:
            done.set_result(run_blocking(lambda: main(None if ids is None else _taken(handed))))
        except BaseException as error:  # noqa: BLE001  # raised where the result is awaited
            done.set_exception(error)

    thread = threading.Thread(target=work, name="harvester")
    thread.start()
    try:
        if ids is not None:
            _hand_over(ids, handed, done)
        return done.result()
    except BaseException:
        running.stop_from_thread(StoppedEarly("the caller was interrupted"))
        raise
    finally:
        thread.join()


def _hand_over(
    ids: Iterable[str], handed: queue.Queue[list[str] | BaseException | None], done: Future[Report]
) -> None:
    """Iterate `ids` in this thread, as far as the harvest wants them."""

    def put(item: list[str] | BaseException | None) -> bool:
        while not done.done():
            with suppress(queue.Full):
                handed.put(item, timeout=_LOOK_EVERY)
                return True
        return False

    try:
        for batch in listed(ids):
            if not put([account.id for account in batch]):
                return
    except BaseException as error:
        if put(error) and isinstance(error, Exception):
            return  # it is raised where the harvest meets it
        raise
    put(None)


async def _taken(handed: queue.Queue[list[str] | BaseException | None]) -> AsyncGenerator[str, None]:
    while (item := await asyncio.to_thread(handed.get)) is not None:
        if isinstance(item, BaseException):
            raise item
        for account_id in item:
            yield account_id
