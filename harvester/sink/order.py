"""Results in the order of the list although they come as they finish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

Held = TypeVar("Held")

WINDOW: Final = 4096
"""How far beyond the oldest unsettled account others may be begun: half a minute at a hundred a second."""
WINDOW_BYTES: Final = 16 * 1024 * 1024
"""How much may wait for its turn; what is in flight already comes on top."""


class Reorder(Generic[Held]):
    """Keeps what comes early until its turn. Tickets are consecutive from 0."""

    def __init__(self, window: int = WINDOW, window_bytes: int = WINDOW_BYTES) -> None:
        self._window = window
        self._window_bytes = window_bytes
        self._held: dict[int, tuple[Held, int]] = {}
        self._bytes = 0
        self._next = 0

    def has_room(self, ticket: int) -> bool:
        """Whether the account with this ticket may be begun; the one that all wait for always may."""
        if ticket <= self._next:
            return True
        return ticket < self._next + self._window and self._bytes < self._window_bytes

    def take(self, ticket: int, held: Held, size: int) -> Iterator[Held]:
        """Take one in (`size` in bytes), and give those whose turn has come."""
        self._held[ticket] = (held, size)
        self._bytes += size
        while self._next in self._held:
            due, due_size = self._held.pop(self._next)
            self._bytes -= due_size
            self._next += 1
            yield due
