"""`harvester accounts`: the tenant's accounts as NDJSON, for `harvester run` to read."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from logging import INFO
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from harvester.cli import closed_pipe
from harvester.cli.options import SettingsCommand, loaded, setting_options
from harvester.errors import OutputFault
from harvester.harvesting import run_blocking
from harvester.report.event_log import EventLog
from harvester.report.figures import plural, span
from harvester.report.log import LOGGER, logging_to, say
from harvester.report.redaction import Redactor
from harvester.settings.model import Settings
from harvester.sink.codec import codec, compression_of
from harvester.tenant.accounts import Detail, all_accounts
from harvester.tenant.listing import AccountRecord

_EXAMPLES = """\b
Examples:
  harvester accounts | harvester run - -o usages.ndjson
  harvester accounts --filters 'sourceId eq "2c9180835d2e5168015d32f890ca1581"' -o accounts.ndjson.gz
  harvester accounts --filters 'source.displayableName eq "Employees"' --fields id,name,identityId"""

_PROGRESS_EVERY = 30.0

Write = Callable[[bytes], None]


@click.command(cls=SettingsCommand, epilog=_EXAMPLES)
@click.option("--filters", metavar="FILTER", default="", help="Which accounts, in the API's own words.")
@click.option(
    "--fields", metavar="NAME,…", default="", help="Only these fields, null where absent.  [default: all]"
)
@click.option(
    "--detail",
    type=click.Choice(["slim", "full"]),
    default="slim",
    show_default=True,
    help="How much the tenant tells of each account.",
)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="FILE",
    default="-",
    help="Whole or absent; .gz and .zst compress; - is stdout.  [default: -]",
)
@setting_options("tenant", "pace", "seeing")
def command(*, filters: str, fields: str, detail: str, destination: str, **options: Any) -> int:
    """List the tenant's accounts, one JSON object a line, for `harvester run` to read.

    Accounts come in the order of their IDs, each exactly once, even if others are added or deleted
    meanwhile. FILTER is the API's, for example: sourceId eq "…", identityId in ("…","…"), id sw "ef",
    modified gt 2026-01-01T00:00:00Z. Needs the scope idn:accounts:read.
    """
    found = loaded(options)
    settings = found.settings
    names = [name.strip() for name in fields.split(",") if name.strip()]
    level: Detail = "FULL" if detail == "full" else "SLIM"
    redact = Redactor.of(settings.clients)
    with logging_to(log_format=settings.log_format, verbosity=settings.verbosity, redact=redact):
        for warning in found.warnings:
            LOGGER.warning("%s", warning)
        try:
            with _output(destination, settings.file_mode) as write:
                run_blocking(lambda: _list(settings, filters, level, names, write))
        except BrokenPipeError:  # click would make a 1 of it
            return closed_pipe()
    return 0


async def _list(settings: Settings, filters: str, detail: Detail, names: list[str], write: Write) -> None:
    told = Progress(settings)
    listing = all_accounts(settings, EventLog().observe, filters=filters, detail=detail)
    absent = set(names)
    async with aclosing(listing) as pages:
        async for page in pages:
            absent.difference_update(*page)
            write(_lines(page, names))
            told.page(len(page))
    told.end()
    if absent and told.accounts:
        LOGGER.warning("no account has %s: try --detail full", " or ".join(sorted(absent)))


def _lines(page: list[AccountRecord], names: list[str]) -> bytes:
    """A page as NDJSON, with the named fields in their order, or all as they came."""
    records = [{name: record.get(name) for name in names} for record in page] if names else page
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)


class Progress:
    """Says now and then how many accounts have been listed."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.accounts = 0
        self._wanted = settings.progress != "off"
        self._clock = clock
        self._began = self._told = clock()

    def page(self, accounts: int) -> None:
        """So many more were listed."""
        self.accounts += accounts
        now = self._clock()
        if self._wanted and now - self._told >= _PROGRESS_EVERY:
            self._told = now
            say(INFO, "progress", f"{plural(self.accounts, 'account')} listed so far", done=self.accounts)

    def end(self) -> None:
        """All were listed."""
        seconds = self._clock() - self._began
        message = f"{plural(self.accounts, 'account')} listed in {span(seconds)}"
        say(INFO, "accounts_listed", message, done=self.accounts, seconds=round(seconds, 3))


@contextmanager
def _output(destination: str, mode: int) -> Iterator[Write]:
    """Where the lines go: stdout, flushed with every page, or a file that is there only once it is whole."""
    if destination == "-":
        yield _write_stdout
        return
    path = Path(destination)
    partial = path.with_name(f"{path.name}.partial")
    seal = codec(compression_of(path.name)).seal
    try:
        with _open(partial, mode) as file:
            yield lambda lines: _put(file, seal(lines), path)
            if not file.tell():
                _put(file, seal(b""), path)  # an empty list is a valid file too, compressed or not
            _sync(file, path)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _write_stdout(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def _open(partial: Path, mode: int) -> BinaryIO:
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        os.fchmod(descriptor, mode)
    except OSError as error:
        raise OutputFault(
            f"{partial}: can't be written ({error.strerror})", "check the folder, or give another with -o"
        ) from error
    return os.fdopen(descriptor, "wb")


def _put(file: BinaryIO, data: bytes, path: Path) -> None:
    try:
        file.write(data)
    except OSError as error:
        raise OutputFault(
            f"{path}: can't be written ({error.strerror})", "make room and run it again"
        ) from error


def _sync(file: BinaryIO, path: Path) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise OutputFault(
            f"{path}: can't be written ({error.strerror})", "make room and run it again"
        ) from error
