"""Props: accounts with a known truth, a disk that fails and loses power, and a harvest played by hand."""

from __future__ import annotations

import asyncio
import errno
import gzip
import random
import subprocess
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import zstandard

from harvester.errors import ClosedPipe, StoppedEarly
from harvester.events import Event, Observer
from harvester.ledger.database import Database
from harvester.model import Account, Failure, Harvested, Settled
from harvester.settings.model import Settings
from harvester.sink.disk import Disk, at
from harvester.sink.writer import Writer, open_writer

Line = dict[str, Any]


# -- the truth


def usages(account_id: str) -> list[Line]:
    """None to five months, by the ID alone."""
    months = zlib.crc32(account_id.encode()) % 6
    return [{"date": f"2026-{month:02}-01", "count": month} for month in range(months, 0, -1)]


def hopeless(account_id: str) -> bool:
    """One in eleven is given up."""
    return zlib.crc32(account_id.encode()) % 11 == 0


def settle(account: Account) -> Settled:
    """How an account ends."""
    if hopeless(account.id):
        return Failure(account, 404, "not_found", "no such object", None, 1, "2026-11-01T00:00:00Z")
    return Harvested(account, usages(account.id))


def true_lines(ids: Sequence[str], shape: str = "rows") -> list[Line]:
    """The output's lines in the order of the list."""
    answered = [one for one in ids if not hopeless(one)]
    if shape == "accounts":
        return [{"accountId": one, "usages": usages(one)} for one in answered]
    return [{"accountId": one, **row} for one in answered for row in usages(one)]


def true_failures(ids: Iterable[str]) -> list[str]:
    """The IDs of the failures file."""
    return [one for one in ids if hopeless(one)]


# -- reading an output as its users do


def content(path: Path) -> bytes:
    """The plain bytes of a part."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True) as reader:
            return reader.read()
    return path.read_bytes()


def lines(path: Path) -> list[Line]:
    """All lines of a file, or of a folder's parts."""
    if path.is_dir():
        return [line for part in sorted(path.glob("part-*")) for line in lines(part)]
    return [orjson.loads(line) for line in content(path).splitlines()]


def tool_says(path: Path) -> bytes:
    """What the standard tool for this suffix makes of the file."""
    tool = {".gz": ["gzip", "-dc"], ".zst": ["zstd", "-qdc"]}.get(path.suffix, ["cat"])
    return subprocess.run([*tool, path], check=True, capture_output=True).stdout


def canonical(some: Iterable[Line]) -> list[bytes]:
    """Lines in an order that does not depend on when they came."""
    return sorted(map(orjson.dumps, some))


# -- a disk with faults


class PowerCut(BaseException):
    """The machine is gone: no handler of the program may matter any more."""


@dataclass
class Plan:
    """Fail at the `step`-th change of the disk or commit of the ledger, counted from 0; None: never.

    `kind`: ``full`` and ``broken`` are errors of the system (a write is done half before it), ``power`` is
    the end before the step is done, ``late`` the end right after.
    """

    step: int | None = None
    kind: str = "power"
    taken: int = 0
    happened: bool = False

    def at_step(self, do: Callable[[], None], half: Callable[[], None] = lambda: None) -> None:
        """Take one step, or fail at it."""
        if self.happened and self.kind in {"power", "late"}:
            raise PowerCut
        due = self.taken == self.step
        self.taken += 1
        if not due:
            do()
            return
        self.happened = True
        if self.kind == "late":
            do()
        else:
            half()
        if self.kind in {"power", "late"}:
            raise PowerCut
        raise OSError(errno.ENOSPC if self.kind == "full" else errno.EIO, f"{self.kind} disk")


@dataclass
class _Change:
    """A change of names that is not synced yet."""

    paths: set[Path]
    undo: Callable[[], None]


class FaultyDisk(Disk):
    """A real folder, with faults by plan; `lose_power` takes away what was not synced."""

    def __init__(self, plan: Plan, attic: Path) -> None:
        super().__init__()
        self._plan = plan
        self._attic = attic
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}
        self._unsynced_names: list[_Change] = []

    def open(self, path: Path, keep: int) -> int:
        new = not path.exists()
        opened: list[int] = []
        with at(path):
            self._plan.at_step(lambda: opened.append(Disk.open(self, path, keep)))
        [fd] = opened
        self._paths[fd] = path
        self._synced.setdefault(path, keep)
        if new:
            self._unsynced_names.append(_Change({path}, lambda: path.unlink(missing_ok=True)))
        return fd

    def write(self, fd: int, data: bytes, path: Path) -> None:
        half = data[: len(data) // 2]
        with at(path):
            self._plan.at_step(
                lambda: Disk.write(self, fd, data, path), lambda: Disk.write(self, fd, half, path)
            )

    def sync(self, fd: int, path: Path) -> None:
        with at(path):
            self._plan.at_step(lambda: Disk.sync(self, fd, path))
        self._synced[self._paths[fd]] = path.stat().st_size

    def cut(self, fd: int, size: int, path: Path) -> None:
        with at(path):
            self._plan.at_step(lambda: Disk.cut(self, fd, size, path))

    def rename(self, old: Path, new: Path) -> None:
        back = self._kept(new)
        with at(new):
            self._plan.at_step(lambda: Disk.rename(self, old, new))
        self._synced[new] = self._synced.pop(old, new.stat().st_size)

        def undo() -> None:
            new.replace(old)
            self._synced[old] = self._synced.get(new, 0)
            if back is not None:
                back.replace(new)

        self._unsynced_names.append(_Change({old, new}, undo))

    def remove(self, path: Path) -> None:
        back = self._kept(path)
        with at(path):
            self._plan.at_step(lambda: Disk.remove(self, path))
        if back is not None:
            kept = back
            self._unsynced_names.append(_Change({path}, lambda: void(kept.replace(path))))

    def sync_folder(self, folder: Path) -> None:
        with at(folder):
            self._plan.at_step(lambda: Disk.sync_folder(self, folder))
        self._unsynced_names = [
            change for change in self._unsynced_names if all(path.parent != folder for path in change.paths)
        ]

    def lose_power(self, chance: random.Random) -> None:
        """Names that were not synced go back as chance has it, in no order; so do unsynced data."""
        stay = set[Path]()
        while self._unsynced_names:
            change = self._unsynced_names.pop()
            if stay & change.paths or chance.random() < 0.5:
                stay |= change.paths
            else:
                change.undo()
        for path, synced in self._synced.items():
            if path.exists() and path.stat().st_size > synced:
                with path.open("r+b") as file:
                    file.truncate(chance.randint(synced, path.stat().st_size))

    def _kept(self, path: Path) -> Path | None:
        """A second name for what stands at `path`, so that it can come back."""
        if not path.exists():
            return None
        back = self._attic / f"{len(list(self._attic.iterdir()))}-{path.name}"
        back.hardlink_to(path)
        return back


def void(_: object) -> None:
    """Forget a result."""


class FaultyCommits:
    """While entered, each commit of a ledger is a step of the plan too."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._commit: Any = Database.commit

    def __enter__(self) -> None:
        plan, commit = self._plan, self._commit

        def faulty(database: Database) -> None:
            try:
                plan.at_step(lambda: commit(database))
            except OSError as error:
                raise StoppedEarly(f"ledger: {error}") from error

        setattr(Database, "commit", faulty)  # noqa: B010  # the fault that is tested for

    def __exit__(self, *_: object) -> None:
        setattr(Database, "commit", self._commit)  # noqa: B010  # as above


# -- a harvest by hand


@dataclass
class Play:
    """What one run of the program does. `stop_after` accounts it is suspended; None: it goes to the end."""

    ids: Sequence[str]
    stop_after: int | None = None
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    flush_every: int = 5
    batch: int = 7
    durable: set[str] = field(default_factory=set)
    """Accounts that the writer has called durable."""
    begun: list[str] = field(default_factory=list)
    """Accounts it was given to ask for."""
    sealed: bool = False
    answer: Callable[[Account], Settled] = settle

    async def run(self, writer: Writer) -> None:
        """List in, results in, and to the end."""
        for start in range(0, len(self.ids), self.batch):
            await writer.enroll(self.ids[start : start + self.batch])
        await writer.list_ended()
        if not await self._harvest(writer):
            await writer.suspend()
            return
        self.sealed = True
        await writer.seal()
        await writer.publish()

    async def _harvest(self, writer: Writer) -> bool:
        """Put results in by small stretches, each shuffled; whether all are."""
        after, ticket, put = -1, 0, set[str]()
        while stretch := await writer.pending(after, 10):
            after = stretch[-1].seq
            numbered = list(enumerate(stretch, ticket))
            ticket += len(stretch)
            self.begun += [account.id for account in stretch]
            self.chance.shuffle(numbered)
            for number, account in numbered:
                if self.stop_after is not None and len(put) >= self.stop_after:
                    return False
                await writer.put(self.answer(account), number)
                put.add(account.id)
                if len(put) % self.flush_every == 0:
                    await writer.flush()
                    if writer._reorder is None:
                        self.durable |= put
            if writer._reorder is not None:
                await writer.flush()
                self.durable |= put
        return True


def ignore(_: Event) -> None:
    """An observer that does not care."""


@asynccontextmanager
async def writing(settings: Settings, disk: Disk | None = None, **more: Any) -> AsyncIterator[Writer]:
    """A writer with its commits running, as the engine runs them."""
    observer = more.pop("observer", ignore)
    async with open_writer(settings, observer, disk=disk, **more) as writer:
        commits = asyncio.create_task(writer.run())
        try:
            yield writer
        finally:
            commits.cancel()
            await asyncio.wait([commits])
            if (
                not commits.cancelled()
                and (error := commits.exception())
                and not isinstance(error, ClosedPipe)
            ):
                raise error


def play(settings: Settings, script: Play, disk: Disk | None = None, observer: Observer = ignore) -> Writer:
    """One whole run of the program."""

    async def main() -> Writer:
        async with open_writer(settings, observer, disk=disk) as writer:
            await script.run(writer)
            return writer

    return asyncio.run(main())


def names(count: int, first: int = 0) -> list[str]:
    """IDs to harvest."""
    return [f"account-{number}" for number in range(first, first + count)]
