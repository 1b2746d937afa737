"""The event loop of a process: which one, and how signals stop what runs on it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar

from harvester.errors import RESUMABLE, Interrupted, StoppedEarly, StopRun, UsageError

T = TypeVar("T")

FILES: Final = 32
"""Files that a harvest has open without any connection: streams, the loop's own, ledger, outputs, DNS."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group, however deeply nested: what a task group's caller wants raised."""
    first = group.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, but no longer than `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def run_blocking(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main()` on a new event loop: uvloop's where it runs, which takes half the CPU time.

    Raises:
        UsageError: the process may not have as many files open as a harvest needs without any connection.
        StoppedEarly: the system gives it no more threads.
    """
    if (limit := descriptor_limit(FILES)) < FILES:
        raise UsageError(f"this process may only have {limit} files open", f"allow {FILES} (ulimit -n)")
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main())
    except RuntimeError as error:
        if "new thread" not in str(error):
            raise
        raise StoppedEarly("no thread can be started: see `ulimit -v` and `ulimit -u`", RESUMABLE) from error


def descriptor_limit(wanted: int) -> int:
    """How many files this process may have open, once the soft limit is raised to `wanted`, if it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return wanted if soft == resource.RLIM_INFINITY else soft
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32" or sys.implementation.name != "cpython":
        return None
    import uvloop  # noqa: PLC0415  # not available everywhere

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Have `work` run while the body does, and end with it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        # unlike `await task`, does not mistake our own cancellation for the task's
        await asyncio.wait([task])


@contextmanager
def signals_stopping(stop: Callable[[StopRun], object], hint: str = RESUMABLE) -> Iterator[None]:
    """Within it, SIGINT, SIGTERM and SIGHUP call `stop` to end in good order; a second one exits at once.

    A signal that whoever started the process has it ignore (`nohup`) is still ignored.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def received(signum: int) -> None:
        nonlocal asked
        if asked:
            _exit_at_once(signum)
        asked = True
        name = signal.Signals(signum).name
        stop(Interrupted(signum, f"stopped by {name}", hint))

    signums = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    for signum in signums:
        loop.add_signal_handler(signum, received, signum)
    try:
        yield
    finally:
        for signum in signums:
            loop.remove_signal_handler(signum)


def _exit_at_once(signum: int) -> None:
    # What is committed is committed, and the lock goes with the process.
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\n")  # the prompt gets a line of its own, below the progress
    os._exit(128 + signum)
