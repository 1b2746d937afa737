"""Where the files of an output stand, and how they come by their final names.

An output is whole or absent: its bytes grow under working names, and the final ones are given at the end, by
steps each of which may be repeated after a crash at any instant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.errors import OutputFault, ResumeRefused, SettingFault
from harvester.ledger import PartRecord, PartState
from harvester.model import OutputFile
from harvester.sink.disk import Disk, scratch
from harvester.sink.lock import Lock
from harvester.sink.part import Part, PartLimits
from harvester.sink.place.patience import Patience


@dataclass(frozen=True, slots=True)
class Whole:
    """A harvest of which every account is finished and durable."""

    parts: Sequence[PartRecord]
    files: Sequence[OutputFile]
    """Of which the parts consist, as the manifest tells of them."""
    failed: int
    failure_lines: Callable[[], Iterator[bytes]]
    manifest: dict[str, Any]


class Finishing(ABC):
    """Makes the files that people get of closed parts: other formats, partitions, objects in a store.

    It blocks, and may be called from another thread than the layout's, for one part at a time. Every step may
    be repeated. `files` is what the ledger knows to have been made, by the number of the part.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.files: dict[int, tuple[OutputFile, ...]] = {}

    @abstractmethod
    def make(self, part: PartRecord) -> tuple[OutputFile, ...]:
        """Make the files of a closed part, durable under working names."""

    @abstractmethod
    def deliver(self, part: PartRecord, files: Sequence[OutputFile]) -> None:
        """Give files that were made their final names, or bring them to their store."""

    @abstractmethod
    def clear(self, part: PartRecord) -> None:
        """The part is finished, and the ledger says so: nothing that led to it is needed any more."""


class Layout(ABC):
    """One kind of destination. All methods block; they raise OutputFault or StoppedEarly."""

    ledger: Path | None = None
    """None: nothing can be resumed."""
    failures: Path | None = None
    summary: Path | None = None
    """Where the run's summary belongs; whoever knows the run writes it."""
    replacing: bool = False
    """A whole harvest stands there until this one is whole, too: nothing new gets a final name before."""
    limits: PartLimits = PartLimits()
    finishing: Finishing | None = None
    """Where finishing a part takes more than giving it a name: who does it, apart from the commits."""
    spooled_in: Path | None = None
    """Where lines are kept until they are finished, if that is elsewhere than the output."""
    one_part: bool = True
    """The output is one file, which is there even if it holds nothing."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        """How errors and logs name the output."""
        self.disk = disk

    @property
    def failures_name(self) -> str | None:
        """How the manifest names the failures file: as seen from the output's folder."""
        return None if self.failures is None else self.failures.name

    def bind(self, run_id: str) -> None:  # noqa: B027  # most don't name anything by the run
        """The harvest was begun by this run. Called before anything but `claim`."""

    @abstractmethod
    def claim(self) -> Lock | None:
        """Look whether the place can be written to, and keep other runs away from it."""

    @abstractmethod
    def begin(self, *, fresh: bool) -> None:
        """A new harvest begins: refuse to replace what must not be lost, clear away what is of no use."""

    @abstractmethod
    def part_name(self, run_id: str, number: int) -> str:
        """The final name of a part; `number` is from 1."""

    @abstractmethod
    def open_part(self, record: PartRecord) -> Part:
        """Open a part as far as its record says it is good."""

    @abstractmethod
    def missing(self, part: PartRecord) -> str | None:
        """What is wrong with a part that the ledger knows of; None when it is as it should be."""

    @abstractmethod
    def finish(self, part: PartRecord) -> bool:
        """Give a closed part its final name, if it may have it already; whether it has."""

    @abstractmethod
    def publish(self, whole: Whole) -> None:
        """Make the whole harvest stand under its final names."""

    @abstractmethod
    def reopen(self, part: PartRecord) -> PartState:
        """Go on behind a harvest that was about to be published, since IDs were appended; the new state."""

    @abstractmethod
    def note_failures(self, lines: Iterator[bytes]) -> None:
        """The harvest stops unfinished: show people what has failed so far."""

    def leave(self) -> None:  # noqa: B027  # most layouts make no folder
        """The run has ended: take back what `claim` made, if it was of no use."""

    def refuse_damage(self, parts: Sequence[PartRecord]) -> None:
        """Raise ResumeRefused when a part isn't as the ledger says."""
        for part in parts:
            if problem := self.missing(part):
                raise ResumeRefused(problem, "put it back as it was, or start again with --fresh")

    def _check_failures(self, output: Path) -> None:
        if self.failures is None:
            return
        if not self.failures.parent.is_dir():
            raise SettingFault(
                "--failures", f"the folder {self.failures.parent} is not there", "make it first"
            )
        if self.failures.is_dir() or self.failures == output:
            raise SettingFault(
                "--failures", f"{self.failures} can't be a file of failures", "name another file"
            )

    def _settle_failures(self, whole: Whole) -> None:
        """Put the failures file in place; where nothing failed, none of an earlier harvest stays."""
        if self.failures is None:
            return
        if whole.failed:
            self.disk.write_whole(self.failures, whole.failure_lines())
        else:
            self.disk.remove(self.failures)
        self.disk.remove(partial(self.failures))
        self.disk.remove(scratch(partial(self.failures)))  # of a run that was killed as it wrote that
        self.disk.sync_folder(self.failures.parent)


def partial(path: Path) -> Path:
    """The working name of a file."""
    return path.with_name(path.name + ".partial")


def size_problem(disk: Disk, path: Path, part: PartRecord, *, exact: bool) -> str | None:
    """What is wrong with the file of a part: gone, or shorter (or other) than the ledger says."""
    size = disk.size(path)
    if size is None:
        return (
            f"{path}: the ledger knows of {part.size} bytes there, but the file is gone"
            if part.size
            else None
        )
    if size < part.size or (exact and size != part.size):
        return f"{path}: the ledger knows {part.size} bytes of it to be good, but it has {size}"
    return None


def folder_of(path: Path, name: str) -> Path:
    """The folder a file is to be made in; raises OutputFault when it isn't there."""
    if not path.parent.is_dir():
        raise OutputFault(
            f"{name}: the folder {path.parent} is not there", "make it first, or name another output"
        )
    return path.parent
