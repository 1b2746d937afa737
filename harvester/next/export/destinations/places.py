"""Where the files of a directory output are: a directory of this machine or a prefix of an object store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from harvester.next.export.destinations.base import Sink


class Place(Protocol):
    """Files by name; there are no directories in it. What a method has done is durable when it returns.

    Methods may be repeated. They raise StoppedEarly where the place cannot be written to or read.
    """

    name: str
    """As messages name it; ends with ``/``."""
    staged: bool
    """Whether files wait under another name until `publish`; else they are visible once they are closed."""

    def try_out(self) -> None:
        """See that files can be written, without changing any that is there.

        Raises:
            OutputError, AccessDenied: they cannot.
        """
        ...

    def names(self, prefix: str) -> set[str]:
        """The files whose names begin like this."""
        ...

    def read(self, name: str) -> bytes | None:
        """What is in a small file; None where there is none."""
        ...

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file in one step, in place of an older one."""
        ...

    def create(self, name: str) -> Sink:
        """Begin a file; an older one remains until `publish` or, where nothing is staged, `close`."""
        ...

    def publish(self, names: list[str]) -> None:
        """Give closed files their final names."""
        ...

    def remove(self, names: list[str]) -> None:
        """Remove files, staged or not; those that are not there are fine."""
        ...

    def discard(self, names: list[str]) -> None:
        """Remove what is staged under these names; a file that has its final name stays."""
        ...
