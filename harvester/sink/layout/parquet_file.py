"""One Parquet file as destination: lines grow in ``DEST.partial``, and are made into ``DEST`` at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harvester.errors import ResumeRefused
from harvester.ledger import PartRecord, PartState
from harvester.model import OutputFile
from harvester.sink.disk import Disk
from harvester.sink.finish import Recipe
from harvester.sink.finish.files import remove_tree
from harvester.sink.layout.base import Finishing, Whole, partial
from harvester.sink.layout.file import FileLayout, beside
from harvester.sink.place.patience import Patience

_STEM: Final = "rows"


class Conversion(Finishing):
    """Makes one file of the lines in `spooled`, in the folder `into`."""

    def __init__(self, spooled: Path, into: Path, recipe: Recipe, patience: Patience) -> None:
        super().__init__(patience)
        self._spooled = spooled
        self._recipe = recipe
        self.into = into

    def make(self, part: PartRecord) -> tuple[OutputFile, ...]:
        """One file, told of by the name that it is to have in the end."""
        remove_tree(self.into)
        files = self._recipe.follow(
            self._spooled, self.into, _STEM, rows=part.rows, accounts=part.accounts, check=self.patience.check
        )
        return tuple(replace(file, name=part.name) for file in files)

    @property
    def made(self) -> Path:
        """The file."""
        return self.into / f"{_STEM}{self._recipe.suffix}"

    def deliver(self, part: PartRecord, files: Sequence[OutputFile]) -> None:
        """Not before the harvest is complete: see `ParquetFileLayout.publish`."""

    def clear(self, part: PartRecord) -> None:
        """As above."""


class ParquetFileLayout(FileLayout):
    """The output is the file `dest`."""

    finishing: Conversion

    def __init__(
        self,
        disk: Disk,
        dest: Path,
        recipe: Recipe,
        patience: Patience,
        *,
        ledger: Path | None,
        failures: Path | None,
    ) -> None:
        super().__init__(disk, dest, ledger=ledger, failures=failures)
        into = beside(self._dest, ".made")
        self.finishing = Conversion(partial(self._dest), into, recipe, patience)
        self.replacing = True  # a file gets its name only when all is whole

    def begin(self, *, fresh: bool) -> None:
        """Clear away what can't be resumed, since its ledger is gone."""
        super().begin(fresh=fresh)
        remove_tree(self.finishing.into)
        self.replacing = True

    def missing(self, part: PartRecord) -> str | None:
        """Lines that have become the file are needed no more."""
        if self.disk.size(partial(self._dest)) is None and self._published(part):
            return None
        return super().missing(part)

    def publish(self, whole: Whole) -> None:
        """Rename the file, its failures first, and remove the lines it was made of."""
        self.refuse_damage(whole.parts)
        self._settle_failures(whole)
        if self.finishing.made.is_file():
            self.disk.rename(self.finishing.made, self._dest)
            self.disk.sync_folder(self._dest.parent)
        self.disk.remove(partial(self._dest))
        remove_tree(self.finishing.into)
        self.disk.sync_folder(self._dest.parent)

    def reopen(self, part: PartRecord) -> PartState:  # noqa: ARG002  # there is only one
        """Go on behind the lines, if they are there."""
        if self.disk.size(partial(self._dest)) is None:
            raise ResumeRefused(
                f"{self.name}: its harvest was complete, and IDs were appended to the list since",
                "end it with the earlier list first, or start again with --fresh",
            )
        return PartState.OPEN

    def _published(self, part: PartRecord) -> bool:
        files = self.finishing.files.get(part.number, ())
        return bool(files) and all(self.disk.size(self._dest) == file.bytes for file in files)
