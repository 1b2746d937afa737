"""A real pseudo-terminal, and what a person in front of it sees."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import pytest

pyte: Any = pytest.importorskip("pyte", reason="the terminal that tests look at")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@dataclass
class Screen:
    """A pseudo-terminal, and what its window shows."""

    stream: TextIO
    master: int
    window: Any
    feed: Any

    def shown(self) -> list[str]:
        """The lines that a person sees now."""
        os.set_blocking(self.master, False)
        try:
            while chunk := os.read(self.master, 65536):
                self.feed.feed(chunk)
        except BlockingIOError:
            pass
        return [line.rstrip() for line in self.window.display if line.strip()]

    def resize(self, columns: int) -> None:
        """Make the window narrower or wider."""
        size = struct.pack("HHHH", self.window.lines, columns, 0, 0)
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, size)
        self.window.resize(columns=columns)


@contextmanager
def terminal(columns: int, lines: int = 20) -> Iterator[Screen]:
    """A terminal of so many columns and lines."""
    master, slave = pty.openpty()
    window = pyte.Screen(columns, lines)
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        screen = Screen(stream, master, window, pyte.ByteStream(window))
        screen.resize(columns)
        yield screen
    os.close(master)
