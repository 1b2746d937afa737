"""A folder or a prefix of an object store as destination, of which the parts are more than renamed lines.

Lines are spooled in a local folder: that is DEST itself, or for a store one under the user's state folder. A
part that is closed is made into its final files (see `finish`), which are then brought to their place:
``part-…``, ``month=2026-10/part-…``. With ``--partition-by harvested`` all of a harvest stands in a folder
named for the day it was begun, manifest and ``_SUCCESS`` too; so each night's harvest is a whole of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from harvester.errors import OutputFault, ResumeRefused
from harvester.ledger import PartRecord, PartState
from harvester.model import OutputFile, Shard
from harvester.sink.disk import Disk
from harvester.sink.finish import Recipe
from harvester.sink.finish.files import make_folder, remove_tree
from harvester.sink.finish.recipe import described
from harvester.sink.layout.base import Finishing, Whole, partial, size_problem
from harvester.sink.layout.folder import FolderLayout
from harvester.sink.layout.names import FolderNames, shard_tag, tags_in
from harvester.sink.lock import Lock
from harvester.sink.manifest import joint_manifest, output_file, to_bytes
from harvester.sink.part import PartLimits
from harvester.sink.place import LocalPlace, Place
from harvester.sink.place.patience import Patience


class Delivery(Finishing):
    """Makes a recipe's files of the parts spooled in `work`, and brings them to their place."""

    def __init__(self, work: Path, place: Place, recipe: Recipe, patience: Patience) -> None:
        super().__init__(patience)
        self._work = work
        self._place = place
        self._recipe = recipe
        self.home = ""
        """The folder of the place that the harvest stands in."""

    def make(self, part: PartRecord) -> tuple[OutputFile, ...]:
        """See `Recipe`; where a part is fine as it is, it gets only its name."""
        stem = part.name.partition(".")[0]
        if self._recipe.leaves_as_is:
            made = output_file(part)
            return (
                OutputFile(stem + self._recipe.suffix, made.rows, made.accounts, made.bytes, made.sha256),
            )
        into = self._made(part)
        remove_tree(into)
        return self._recipe.follow(
            self.spooled(part), into, stem, rows=part.rows, accounts=part.accounts, check=self.patience.check
        )

    def deliver(self, part: PartRecord, files: Sequence[OutputFile]) -> None:
        """Those that were brought there before, and are no more here, are passed over."""
        for file in files:
            source = self.spooled(part) if self._recipe.leaves_as_is else self._made(part) / file.name
            if source.is_file():
                self._place.take(source, self.home + file.name, file)

    def clear(self, part: PartRecord) -> None:
        """Remove the spooled lines and what was made of them."""
        self.spooled(part).unlink(missing_ok=True)
        remove_tree(self._made(part))

    def spooled(self, part: PartRecord) -> Path:
        """Where the lines of a part are."""
        return FolderNames(self._work).hidden(part.name)

    def _made(self, part: PartRecord) -> Path:
        return self._work / f".{part.name}.made"


class LakeLayout(FolderLayout):
    """`work` is the local folder; `dated` is set where each day of harvest has a folder of its own."""

    finishing: Delivery

    def __init__(
        self,
        disk: Disk,
        work: Path,
        place: Place,
        recipe: Recipe,
        patience: Patience,
        *,
        shard: Shard | None,
        ledger: Path | None,
        failures: Path | None,
        limits: PartLimits,
        dated: bool,
        one_part: bool,
        spool_suffix: str,
    ) -> None:
        super().__init__(
            disk, work, spool_suffix, shard=shard, ledger=ledger, failures=failures, limits=limits
        )
        self.name = place.name
        self.one_part = one_part
        self.finishing = Delivery(self._folder, place, recipe, patience)
        self._place = place
        self._local = isinstance(place, LocalPlace)
        self.spooled_in = None if self._local else self._folder
        self._dated = dated
        self._own_failures = failures is None
        self._there = FolderNames(Path(), self._tag)
        self._sizes: dict[str, int] = {}

    @property
    def failures_name(self) -> str | None:
        """Its name, or its whole path if it is elsewhere."""
        return self._there.failures.name if self._own_failures else str(self.failures)

    def claim(self) -> Lock:
        """Take the local folder, then try the place."""
        if not self._local:
            make_folder(self.disk, self._folder)
        lock = super().claim()
        try:
            self._place.prepare()
        except BaseException:
            lock.release()
            self.leave()
            raise
        return lock

    def bind(self, run_id: str) -> None:
        """The day of the harvest is that of the run that began it."""
        if not self._dated:
            return
        self.finishing.home = f"harvested={run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}/"
        if self._local:
            home = self._folder / self.finishing.home
            make_folder(self.disk, home)
            names = FolderNames(home, self._tag)
            self.summary = names.summary
            if self._own_failures:
                self.failures = names.failures

    def begin(self, *, fresh: bool) -> None:
        """Refuse a place with a whole harvest or parts of a lost one, unless `fresh`; clear the useless."""
        there = self._place.sizes(self._home)
        here = [path.name for path in self._folder.iterdir()]  # ledgers are, wherever the rest is
        self._refuse_other_tags(tags_in([*here, *(name for name in there if "/" not in name)]))
        whole = self._there.success.name in there
        if whole and not fresh:
            mend = "replace it with --fresh, or name another output"
            raise OutputFault(f"{self.name}{self._home}: holds a complete harvest", mend)
        lost = [] if whole else self._ours(there)
        if lost and not fresh:
            raise OutputFault(
                f"{self.name}{self._home}: holds parts of a harvest whose ledger is not here ({lost[0]})",
                "go on where that was begun, or start again with --fresh",
            )
        self._place.remove(self._home + name for name in lost)
        self._clear_work()
        self.replacing = whole

    def missing(self, part: PartRecord) -> str | None:
        """A closed part may have come to its place already."""
        spooled = self.finishing.spooled(part)
        if part.state is PartState.OPEN:
            return size_problem(self.disk, spooled, part, exact=False)
        if part.state is PartState.CLOSED and self.disk.size(spooled) is not None:
            return size_problem(self.disk, spooled, part, exact=True)
        for file in self.finishing.files.get(part.number, ()):
            if self._sizes.get(file.name) != file.bytes:
                found = self._sizes.get(file.name, "none")
                return f"{self.name}{self._home}{file.name}: should have {file.bytes} bytes, and has {found}"
        return None if part.number in self.finishing.files else f"{spooled}: is gone"

    def refuse_damage(self, parts: Sequence[PartRecord]) -> None:
        """Look at what is there once, for all parts."""
        if any(part.state is not PartState.OPEN for part in parts):
            self._sizes = self._place.sizes(self._home)
        super().refuse_damage(parts)

    def finish(self, part: PartRecord) -> bool:  # noqa: ARG002  # see `finishing`
        """Not in the course of a commit."""
        return False

    def publish(self, whole: Whole) -> None:
        """Old ``_SUCCESS`` away, new parts in, old parts out, failures, manifest, and ``_SUCCESS`` last."""
        self.refuse_damage(whole.parts)
        self._withdraw()
        for part in whole.parts:
            self.finishing.deliver(part, self.finishing.files[part.number])
        self._see_that_all_came(whole.files)
        self._settle_failures(whole)
        self._bring_summary()
        self._place.write(self._home + self._there.manifest.name, to_bytes(whole.manifest))
        self._place.write(self._home + self._there.success.name, b"")
        if self._shard is not None:
            self._join(self._shard.count)
        self._clear_work()

    def reopen(self, part: PartRecord) -> PartState:
        """The place is not whole any more; what was made of its parts stays good."""
        self._withdraw()
        return part.state

    @property
    def _home(self) -> str:
        return self.finishing.home

    def _ours(self, names: Iterable[str]) -> list[str]:
        return sorted(name for name in names if self._there.is_ours(name.rpartition("/")[2]))

    def _withdraw(self) -> None:
        names = {self._there.success.name, FolderNames(Path()).success.name}
        self._place.remove(self._home + name for name in names)

    def _see_that_all_came(self, files: Sequence[OutputFile]) -> None:
        """Each file is there with its size; parts that are none of this harvest's go."""
        there = self._place.sizes(self._home)
        for file in files:
            if there.get(file.name) != file.bytes:
                raise ResumeRefused(
                    f"{self.name}{self._home}{file.name}: was brought there, and is gone or changed",
                    "see who else writes there, then start again with --fresh",
                )
        ours = {file.name for file in files}
        self._place.remove(self._home + name for name in self._ours(there) if name not in ours)

    def _settle_failures(self, whole: Whole) -> None:
        if self._local or not self._own_failures:
            super()._settle_failures(whole)
            return
        name = self._home + self._there.failures.name
        if not whole.failed:
            self._place.remove([name])
            return
        path = self._names.failures
        self.disk.write_whole(path, whole.failure_lines())
        self._place.take(path, name, described(path, name, whole.failed, whole.failed))

    def _bring_summary(self) -> None:
        path = self._names.summary
        if not self._local and path.is_file():
            self._place.write(self._home + self._there.summary.name, path.read_bytes())

    def _join(self, count: int) -> None:
        """Write the overall manifest and ``_SUCCESS`` if all shards are whole: the last one sees them all."""
        shards = [FolderNames(Path(), shard_tag(Shard(index, count))) for index in range(1, count + 1)]
        with self._place.alone(self._home):
            there = self._place.sizes(self._home)
            if not all(shard.success.name in there for shard in shards):
                return
            documents = [orjson.loads(self._place.read(self._home + one.manifest.name)) for one in shards]
            overall = FolderNames(Path())
            self._place.write(self._home + overall.manifest.name, to_bytes(joint_manifest(documents)))
            self._place.write(self._home + overall.success.name, b"")

    def _clear_work(self) -> None:
        for path in self._names.hidden_parts():
            self.disk.remove(path)
        for path in self._folder.glob(".part-*.made"):
            if self._names.is_ours(path.name.removeprefix(".").removesuffix(".made")):
                remove_tree(path)
        leftovers = [partial(self._names.failures)]
        if not self._local:
            leftovers += [self._names.failures, self._names.summary]
        for path in leftovers:
            self.disk.remove(path)

    def leave(self) -> None:
        """Folders that were made and are empty go."""
        self._made = self._made or not self._local
        if self._dated and self._local and self._home:
            self._place.remove([f"{self._home}_nothing"])
        super().leave()
