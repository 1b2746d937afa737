"""What a layout asks of the place where finished files stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from harvester.model import OutputFile


class Place(ABC):
    """Files by name, ``/`` between folders. All methods block and may be repeated.

    What a method has done is durable when it returns. They raise OutputFault or StoppedEarly.
    """

    name: str
    """How errors and logs name it; ends with ``/``."""

    @abstractmethod
    def prepare(self) -> None:
        """See that the place can be written to, before anything depends on it."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """The files in `folder` (``""``: in all), those of its folders too: names from there, and sizes."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """What is in a small file that is there."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Put a small file there in one step, in place of an older one."""

    @abstractmethod
    def take(self, source: Path, name: str, file: OutputFile) -> None:
        """Put the local file `source` there, in one step; it may be moved. `file` tells size and checksum."""

    def alone(self, folder: str) -> AbstractContextManager[object]:  # noqa: ARG002  # most can't
        """Within it, no other shard changes what is common to all in `folder`, if the place can see to that.

        Where it can't, the last one to end sees all others, and what two would write is the same.
        """
        return nullcontext()

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there are fine."""
