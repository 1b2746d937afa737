"""Metrics of a run while it goes on: a file for node_exporter's textfile collector, a port, or both."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from logging import INFO
from pathlib import Path
from urllib.parse import urlsplit

from harvester.errors import OutputFault, SettingFault, StopRun
from harvester.model import Quota
from harvester.report.log import LOGGER, say
from harvester.report.metrics.exposition import last_success_in, text_of
from harvester.report.metrics.families import RunMetrics
from harvester.report.tally import Tally
from harvester.report.version import program_version
from harvester.report.whole_file import write_whole
from harvester.settings.model import Settings

_EVERY = 15.0
"""Seconds between two writings of the file: as often as Prometheus usually looks."""
_MODE = 0o644
"""node_exporter reads the file as another user, and no account is named in it."""

Sleep = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def metrics_kept(
    settings: Settings,
    tally: Tally,
    quotas: Mapping[str, Quota | None],
    in_flight: Callable[[], int],
    *,
    now: Callable[[], float] = time.time,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[Callable[[int], None]]:
    """Keep the metrics that the settings ask for while the body runs, which tells how it ended by the status.

    A `StopRun` that leaves the body tells it too. The file is written at once, so that a place that will
    not do is told before the first request, then every 15 seconds, and when the body has ended.

    Raises:
        OutputFault: the file can't be written.
        SettingFault: the port can't be had.
    """
    if settings.metrics is None and settings.metrics_port is None:
        yield lambda _status: None
        return
    run = RunMetrics(_harvest_of(settings), tally, quotas, in_flight, now(), _about(settings))
    async with AsyncExitStack() as stack:
        if settings.metrics is not None:
            await stack.enter_async_context(_file_kept(settings.metrics, run, sleep))
        if settings.metrics_port is not None:
            await stack.enter_async_context(_served(settings.metrics_address, settings.metrics_port, run))
        try:
            yield lambda status: run.end(status, now())
        except StopRun as why:
            run.end(why.exit_status, now())
            raise


def _harvest_of(settings: Settings) -> str:
    """What sets this job's samples apart: the file's name, else the output's."""
    return settings.output if settings.metrics is None else settings.metrics.stem


def _about(settings: Settings) -> dict[str, str]:
    return {
        "version": program_version(),
        "tenant": urlsplit(settings.base_url).hostname or "",
        "api_version": settings.api_version,
        "output": settings.output,
        "shard": "" if settings.shard is None else str(settings.shard),
    }


@asynccontextmanager
async def _file_kept(path: Path, run: RunMetrics, sleep: Sleep) -> AsyncIterator[None]:
    run.last_success = await asyncio.to_thread(last_success_in, path)
    try:
        await _write(path, run)
    except OSError as error:
        mend = "name a file in a folder that is there"
        raise OutputFault(f"{path}: the metrics can't be written ({error.strerror})", mend) from error
    task = asyncio.create_task(_written_now_and_then(path, run, sleep), name="metrics")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await _write_or_warn(path, run)


async def _written_now_and_then(path: Path, run: RunMetrics, sleep: Sleep) -> None:
    while True:
        await sleep(_EVERY)
        await _write_or_warn(path, run)


async def _write_or_warn(path: Path, run: RunMetrics) -> None:
    """A harvest does not end for want of its metrics."""
    try:
        await _write(path, run)
    except OSError as error:
        LOGGER.warning("%s: the metrics can't be written (%s)", path, error.strerror)


async def _write(path: Path, run: RunMetrics) -> None:
    # Made here, where nothing else runs meanwhile; written on a thread, for disks may be slow.
    text, _ = text_of(run)
    await asyncio.to_thread(write_whole, path, text, _MODE)


@asynccontextmanager
async def _served(address: str, port: int, run: RunMetrics) -> AsyncIterator[None]:
    from aiohttp import web  # noqa: PLC0415  # some 40 ms, and few runs have a port

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path != "/metrics":
            return web.Response(status=404, text="The metrics are at /metrics.\n")
        text, content_type = text_of(run, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError as error:
        await runner.cleanup()
        mend = "give a port that is free, and an address of this machine"
        # Python's own text of it is long, and repeats the address.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        problem = f"{address}:{port} can't be served ({reason})"
        raise SettingFault("--metrics-port", problem, mend) from error
    url = f"http://{address}:{runner.addresses[0][1]}/metrics"
    say(INFO, "metrics_served", f"metrics are at {url} while the run goes on", url=url)
    try:
        yield
    finally:
        await runner.cleanup()
