"""What `accounts` and `sources` share: options, and copying what is listed to where it belongs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from logging import INFO
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
import orjson

from harvester.cli.display import errors_logged
from harvester.cli.help import GroupedOption
from harvester.cli.options import PATH, loaded
from harvester.errors import StopRun
from harvester.event_loop import run_blocking, signals_stopping
from harvester.events import Observer
from harvester.export.control import Control
from harvester.export.destinations.file import Stream
from harvester.export.formats.compress import Compressed
from harvester.files import Destination, descriptor_of, open_destination, try_out
from harvester.parts import secrets_of
from harvester.report.event_log import EventLog
from harvester.report.figures import span
from harvester.report.log import LOGGER, logging_to, say
from harvester.report.redaction import Redactor
from harvester.report.text import is_terminal, safe_json
from harvester.settings import TABLE, Loaded
from harvester.settings.destination import suffix_compression

Pages: TypeAlias = Callable[[Observer], AsyncGenerator[Sequence[Any], None]]
"""Lists something, page by page, and tells the observer what happens."""

TENANT_OPTIONS: Final = (
    "base_url", "clients", "ca_bundle", "timeout", "quota", "burst", "max_outage", "file_mode", "log_format",
)  # fmt: skip  # one name a line would fill the screen
API_VERSION: Final = (
    "API version to list with; of several, the first that is not refused. Listing takes nothing "
    "from a harvest's quota if that uses another version."
)
_OF_A_HARVEST: Final = ("input", "request", "output", "resume")
_LISTED_BY: Final = ("filters", "with_usage", "add", "file_mode")
_AGAIN: Final = "run the same command again"
_SAY_EVERY: Final = 30.0


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-o``."""
    return click.option(
        "-o",
        "--output",
        "output",
        metavar="FILE",
        type=PATH,
        default="-",
        show_default=True,
        cls=GroupedOption,
        common=1,
        help="File to write, - for stdout. It is complete or absent; .gz and .zst compress it.",
    )(function)


def settings_for_listing(options: dict[str, Any], *, accounts: bool) -> Loaded:
    """The settings of a command that lists: what they say of a harvest and its output is not for it.

    `accounts` says whether what they say of the list (`filters` and so on) is.
    """
    kept = _LISTED_BY if accounts else ("file_mode",)
    fixed = {one.name: one.default for one in TABLE if one.section in _OF_A_HARVEST and one.name not in kept}
    return loaded(options, **fixed | {"list": accounts})


def for_a_person(output: str) -> bool:
    """Whether somebody sees on a terminal what is written to `output`."""
    return descriptor_of(Path(output)) == 1 and is_terminal(sys.stdout)


def write_lines(found: Loaded, output: str, what: str, pages: Pages) -> None:
    """Write what is listed to `output` as NDJSON, each page as soon as it has come.

    Raises:
        OutputError: `output` cannot be written; nothing was requested.
        StoppedEarly: it cannot be written any more.
        StopRun: as `listing.list_accounts`.
    """
    settings = found.settings
    name = f"the list of {what}"
    redact = Redactor(secrets_of(settings))
    with (
        logging_to(log_format=settings.log_format, verbosity=settings.verbosity, redact=redact),
        errors_logged(settings, redact),
    ):
        for warning in found.warnings:
            LOGGER.warning("%s", warning)
        try_out(output, settings.file_mode, what=name)
        with open_destination(output, settings.file_mode, what=name, started=True) as destination:
            run_blocking(lambda: _Copying(destination, output, what).run(pages))


def collected(found: Loaded, what: str, pages: Pages) -> list[Any]:
    """All that is listed.

    Raises:
        StopRun: as `listing.list_accounts`.
    """
    settings = found.settings
    redact = Redactor(secrets_of(settings))
    records: list[Any] = []
    with (
        logging_to(log_format=settings.log_format, verbosity=settings.verbosity, redact=redact),
        errors_logged(settings, redact),
    ):
        for warning in found.warnings:
            LOGGER.warning("%s", warning)
        run_blocking(lambda: _Taking(what, records.extend).run(pages))
    return records


class _Taking:
    """Takes page after page until there are no more, or a signal comes."""

    def __init__(self, what: str, take: Callable[[Sequence[Any]], object]) -> None:
        self._what = what
        self._take = take
        self._task: asyncio.Task[Any] | None = None
        self._why: StopRun | None = None

    def stop(self, why: StopRun) -> None:
        """End as soon as possible."""
        self._why = why
        if self._task is not None:
            self._task.cancel()

    async def run(self, pages: Pages) -> None:
        """Take everything.

        Raises:
            Interrupted: a signal came.
        """
        self._task = asyncio.current_task()
        try:
            with signals_stopping(self, _AGAIN):
                await self._run(pages)
        except asyncio.CancelledError:
            if self._why is None:
                raise
            raise self._why from None

    async def _run(self, pages: Pages) -> None:
        clock = asyncio.get_running_loop().time
        listed, began = 0, clock()
        said = began
        log = EventLog()
        async with aclosing(pages(log.observe)) as found:
            async for page in found:
                # On a thread, since a reader of stdout may take its time, and signals must not.
                await asyncio.to_thread(self._take, page)
                listed += len(page)
                if clock() - said >= _SAY_EVERY:
                    said = clock()
                    say(
                        INFO,
                        "listing",
                        f"{self._what}: {listed:,} listed so far",
                        what=self._what,
                        listed=listed,
                    )
        log.finish()
        seconds = round(clock() - began, 3)
        message = f"{self._what}: {listed:,} listed in {span(seconds)}"
        say(INFO, "listed", message, what=self._what, listed=listed, seconds=seconds)


class _Copying(_Taking):
    """Writes pages as NDJSON to a destination."""

    def __init__(self, destination: Destination, output: str, what: str) -> None:
        self._control = Control()
        self._shown = for_a_person(output)
        write: Callable[[bytes], object] = destination.write
        if destination.path is None:
            write = Stream(destination.fileno(), output, self._control).write
        compression = "none" if destination.path is None else suffix_compression(output)
        self._compressed = None if compression == "none" else Compressed(write, compression)
        self._write = write if self._compressed is None else self._compressed.write
        super().__init__(what, lambda page: self._write(self._lines(page)))

    def stop(self, why: StopRun) -> None:
        self._control.stop(why)
        super().stop(why)

    async def run(self, pages: Pages) -> None:
        await super().run(pages)
        if self._compressed is not None:
            await asyncio.to_thread(self._compressed.close)

    def _lines(self, page: Sequence[Any]) -> bytes:
        lines = b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in page)
        if not self._shown:
            return lines
        return "".join(f"{safe_json(line)}\n" for line in lines.decode().splitlines()).encode()
