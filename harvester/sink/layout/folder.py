"""A folder as destination: finished parts under their final names, ``_manifest.json``, and last ``_SUCCESS``.

An open part is hidden (``.part-….partial``), so that readers pass over it. Several shards of a list may
share a folder: each has its own manifest, ``_SUCCESS.1of4``, ledger and lock, and the last one writes the
overall ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from harvester.errors import OutputFault
from harvester.ledger import PartRecord, PartState
from harvester.model import Shard
from harvester.sink.disk import Disk, at
from harvester.sink.layout.base import Layout, Whole, folder_of, partial, size_problem
from harvester.sink.layout.names import FolderNames, shard_tag
from harvester.sink.layout.shards import join_shards, withdraw
from harvester.sink.lock import Lock
from harvester.sink.manifest import to_bytes
from harvester.sink.part import FilePart, Part, PartLimits


class FolderLayout(Layout):
    """The output is the folder `folder`, or one shard of what is in it."""

    one_part = False

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        suffix: str,
        *,
        shard: Shard | None,
        ledger: Path | None,
        failures: Path | None,
        limits: PartLimits,
    ) -> None:
        super().__init__(f"{folder}/", disk)
        self._folder = folder.resolve()
        self._suffix = suffix
        self._tag = shard_tag(shard)
        self._names = FolderNames(self._folder, self._tag)
        self._shard = shard
        self.ledger = ledger or self._names.ledger
        self.failures = failures or self._names.failures
        self.summary = self._names.summary
        self.limits = limits
        self._made = False

    @property
    def failures_name(self) -> str | None:
        """Its name, or its whole path if it is elsewhere."""
        if self.failures is None or self.failures.parent.resolve() == self._folder:
            return super().failures_name
        return str(self.failures.resolve())

    def claim(self) -> Lock:
        """Make the folder, its last component only, and take its lock."""
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputFault(
                f"{self.name}: is no folder", "name another output, or leave out the / at its end"
            )
        if not self._folder.is_dir():
            folder_of(self._folder, self.name)
            with at(self._folder):
                self._folder.mkdir(exist_ok=True)
                self._folder.chmod(folder_mode(self.disk.file_mode))  # whatever the umask says
            self.disk.sync_folder(self._folder.parent)
            self._made = True
        self._check_failures(self._folder)
        return Lock.acquire(self._names.lock, self.disk.file_mode)

    def begin(self, *, fresh: bool) -> None:
        """Refuse a folder with a whole harvest or parts of a lost one, unless `fresh`; clear the useless."""
        self._refuse_other_sharding()
        whole = self._names.success.exists()
        if whole and not fresh:
            raise OutputFault(
                f"{self.name}: holds a complete harvest", "replace it with --fresh, or name another output"
            )
        lost = [] if whole else self._names.parts()
        if lost and not fresh:
            raise OutputFault(
                f"{self.name}: holds parts of a harvest whose ledger is gone ({lost[0].name})",
                "remove them, or start again with --fresh",
            )
        for path in [*lost, *self._names.hidden_parts(), partial(self._names.failures)]:
            self.disk.remove(path)
        self.replacing = whole

    def part_name(self, run_id: str, number: int) -> str:
        """Carries the run's id, so that parts of several runs can be told apart."""
        return self._names.part_name(run_id, number, self._suffix)

    def open_part(self, record: PartRecord) -> Part:
        """Hidden until it is finished."""
        return FilePart(self.disk, self._hidden(record), record)

    def missing(self, part: PartRecord) -> str | None:
        """A closed part may have its final name already."""
        if part.state is PartState.OPEN:
            return size_problem(self.disk, self._hidden(part), part, exact=False)
        hidden = self.disk.size(self._hidden(part)) is not None
        return size_problem(self.disk, self._hidden(part) if hidden else self._final(part), part, exact=True)

    def finish(self, part: PartRecord) -> bool:
        """Show the part, unless an older harvest stands until this one is whole."""
        if self.replacing:
            return False
        self._show(part)
        self.disk.sync_folder(self._folder)
        return True

    def publish(self, whole: Whole) -> None:
        """Old ``_SUCCESS`` away, new parts in, old parts out, failures, manifest, and ``_SUCCESS`` last."""
        self.refuse_damage(whole.parts)
        self._withdraw()
        for part in whole.parts:
            self._show(part)
        self._remove_all_parts_but(whole.parts)
        self._settle_failures(whole)
        self.disk.write_whole(self._names.manifest, [to_bytes(whole.manifest)])
        self.disk.sync_folder(self._folder)
        self.disk.write_whole(self._names.success, [])
        self.disk.sync_folder(self._folder)
        if self._shard is not None:
            join_shards(self.disk, self._folder, self._shard.count)

    def reopen(self, part: PartRecord) -> PartState:
        """Go on behind the parts that are finished; the folder is not whole any more."""
        self._withdraw()
        self._show(part)
        self.disk.sync_folder(self._folder)
        return PartState.FINISHED

    def note_failures(self, lines: Iterator[bytes]) -> None:
        """Leave them as ``_failures.ndjson.partial``."""
        if self.failures is not None:
            self.disk.write_whole(partial(self.failures), lines)

    def leave(self) -> None:
        """Remove the folder if this run made it and nothing is in it."""
        if self._made:
            with suppress(OSError):
                self._folder.rmdir()

    def _hidden(self, part: PartRecord) -> Path:
        return self._names.hidden(part.name)

    def _final(self, part: PartRecord) -> Path:
        return self._folder / part.name

    def _show(self, part: PartRecord) -> None:
        if self.disk.size(self._hidden(part)) is not None:
            self.disk.rename(self._hidden(part), self._final(part))

    def _withdraw(self) -> None:
        """Say that the folder is not whole, before it is changed."""
        withdraw(self.disk, self._folder, self._names, sharded=self._shard is not None)

    def _remove_all_parts_but(self, parts: Sequence[PartRecord]) -> None:
        ours = {part.name for part in parts}
        for path in self._names.parts():
            if path.name not in ours:
                self.disk.remove(path)

    def _refuse_other_sharding(self) -> None:
        self._refuse_other_tags(self._names.tags_present())

    def _refuse_other_tags(self, present: Iterable[str]) -> None:
        """One folder holds one list: whole, or in shards of one count."""
        for tag in present:
            if _count(tag) != _count(self._tag):
                raise OutputFault(
                    f"{self.name}: holds {f'shard {tag}' if tag else 'a harvest without shards'}, "
                    "to which this run can't be added",
                    "name another folder",
                )


def folder_mode(file_mode: int) -> int:
    """Who may read a file may enter its folder."""
    return file_mode | (file_mode & 0o444) >> 2


def _count(tag: str) -> str:
    """Of how many shards it is one; nothing where there are none."""
    return tag.partition("of")[2]
