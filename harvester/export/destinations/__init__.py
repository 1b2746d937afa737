"""Where outputs go: stdout, files, directories, object stores. The protocols that all of them keep.

Their methods raise StoppedEarly where the destination cannot be written to or read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

MayReplace: TypeAlias = Callable[[Mapping[str, Any]], bool]
"""Says whether a complete output with this manifest may be replaced."""


class Sink(Protocol):
    """One file that is being written."""

    name: str
    """As results and manifests name it."""

    def write(self, data: bytes) -> object:
        """Write all of `data`; a live destination's readers see it now. Raises ClosedPipe, too."""
        ...

    def close(self) -> None:
        """What was written is durable. It may not have its final name yet."""
        ...

    def discard(self) -> None:
        """Let go of the file; nothing is made of it. May be called at any time."""
        ...


class Destination(Protocol):
    """Where an output goes. In this order: `try_out`, `begin`, `open` for each file, `publish`, `complete`.

    After a kill at any instant, the same steps again, in a new process, make the output whole and leave
    nothing else behind.
    """

    name: str
    live: bool
    """Whether it can be written while the harvest runs."""

    def try_out(self, may_replace: MayReplace) -> None:
        """See that it can be written to, without changing anything that is there.

        Raises:
            OutputError: it cannot be written to, or holds what may not be replaced.
            AccessDenied: a store refuses the credentials.
        """
        ...

    def begin(self) -> None:
        """Prepare for a new output, in place of what an interrupted export has left."""
        ...

    def open(self, number: int, suffix: str) -> Sink:
        """Begin the `number`-th file (from 1); the one before is closed."""
        ...

    def publish(self, manifest: Mapping[str, Any]) -> None:
        """All files are closed: give them their final names, in place of an older output."""
        ...

    def write_beside(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write another file that belongs to the output, in one step. Not for a single file."""
        ...

    def complete(self) -> None:
        """Everything that belongs to the output is published: mark it as complete."""
        ...

    def discard(self) -> None:
        """The export failed: remove what can be removed at once."""
        ...
