"""The log: standard `logging` under the name `harvester`, as readable text or as JSON lines, on stderr.

A library installs no handler, so whoever imports `harvester` decides what becomes of its records; the
command line calls `logging_to`. Each record has a stable event name and fields (see `event_log`).

A JSON line has `time` (RFC 3339, UTC), `level` (debug, info, warning, error), `event`, `message`, and the
event's own fields. Records of other libraries have the event `log` and the field `logger`; an unexpected
error has the field `exception`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from harvester.report.redaction import Redactor
from harvester.report.text import columns, is_terminal, safe, safe_json, wrap

LOGGER: Final = logging.getLogger("harvester")
LOGGER.addHandler(logging.NullHandler())

DETAIL: Final = 5
"""The level of what is logged for each request; standard logging has no name for it."""

_THRESHOLDS: Final = {-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}
_OTHERS: Final = ("asyncio", "aiohttp")
"""Libraries whose warnings must come out as lines, too, and not across the progress."""
_INDENT: Final = len("12:03:05 warning  ")


def say(level: int, event: str, message: str, **fields: Any) -> None:
    """Log one event: `message` is for people, `event` and `fields` are for programs."""
    if LOGGER.isEnabledFor(level):
        # The message is an argument, not the format: a `%` in an ID is just one.
        LOGGER.log(level, "%s", message, extra={"event": event, "fields": fields})


def level_name(number: int) -> str:
    """The four levels that a line can have."""
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


class TextLines(logging.Formatter):
    """`12:03:05 warning  message`, with date and UTC offset where `dated`."""

    def __init__(self, *, dated: bool) -> None:
        super().__init__()
        self._dated = dated

    def format(self, record: logging.LogRecord) -> str:
        """One line; the traceback of an unexpected error follows it."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        stamp = moment.isoformat(timespec="seconds") if self._dated else f"{moment:%H:%M:%S}"
        line = f"{stamp} {level_name(record.levelno):<7}  {safe(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line; the top of this module names its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        document: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level_name(record.levelno),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
        }
        document.update(getattr(record, "fields", {"logger": record.name}))
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return safe_json(json.dumps(document, ensure_ascii=False, default=str))


class Lines(logging.Handler):
    """Writes records as lines, secrets masked, on a terminal wrapped between words.

    While something live is shown, `through` sends the lines above it. A stream that is closed or full
    loses lines and nothing else: no method raises for it.
    """

    def __init__(self, stream: TextIO, redact: Callable[[str], str]) -> None:
        super().__init__()
        self.stream = stream
        self.redact = redact
        self._write: Callable[[str], None] = self._write_stream

    @property
    def width(self) -> int | None:
        """Columns of the terminal, None where there is none."""
        return columns(self.stream) if is_terminal(self.stream) else None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            first, *rest = self.format(record).split("\n")
            wrapped = wrap(self.redact(first), self.width, _INDENT)
            self.write("\n".join([*wrapped, *rest]))
        except Exception:  # noqa: BLE001  # logging's own rule: a record that can't be formatted is reported, not raised
            with suppress(OSError, ValueError):
                self.handleError(record)

    def write(self, text: str) -> None:
        """Write `text` and a line end, secrets masked."""
        with suppress(OSError, ValueError):  # full disk, closed pipe, closed file: nobody is left to tell
            self._write(self.redact(text))

    def _write_stream(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()

    @contextmanager
    def through(self, write: Callable[[str], None]) -> Iterator[None]:
        """Send lines through `write` for a while, which adds the line end itself."""
        self._write = write
        try:
            yield
        finally:
            self._write = self._write_stream


@contextmanager
def logging_to(
    stream: TextIO | None = None,
    *,
    log_format: Literal["text", "json"] = "text",
    verbosity: int = 0,
    redact: Callable[[str], str] | None = None,
) -> Iterator[Lines]:
    """Send the program's log to `stream` (stderr) for a while; afterwards everything is as it was before.

    `verbosity`: -1 only warnings and errors, 0 the run in outline, 1 each retry, 2 each request.
    """
    target = sys.stderr if stream is None else stream
    lines = Lines(target, redact or Redactor())
    lines.setFormatter(JsonLines() if log_format == "json" else TextLines(dated=not is_terminal(target)))
    loggers = [LOGGER, *(logging.getLogger(name) for name in _OTHERS)]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(lines)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    LOGGER.setLevel(_THRESHOLDS.get(verbosity, DETAIL))
    try:
        yield lines
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(lines)
            logger.setLevel(level)
            logger.propagate = propagate
