"""Shards side by side in one folder: when all are whole, the folder is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import orjson

from harvester.model import Shard
from harvester.sink.disk import Disk, at
from harvester.sink.layout.names import FolderNames, shard_tag
from harvester.sink.lock import Lock
from harvester.sink.manifest import joint_manifest, to_bytes


def join_shards(disk: Disk, folder: Path, count: int) -> bool:
    """Write the overall manifest and ``_SUCCESS`` if each of the `count` shards is whole; whether they are.

    One shard at a time does it: when two finish at once, the later one sees both.
    """
    overall = FolderNames(folder)
    shards = [FolderNames(folder, shard_tag(Shard(index, count))) for index in range(1, count + 1)]
    with _alone(disk, overall):
        if not all(shard.success.exists() for shard in shards):
            return False
        with at(folder):
            manifests = [orjson.loads(shard.manifest.read_bytes()) for shard in shards]
        disk.write_whole(overall.manifest, [to_bytes(joint_manifest(manifests))])
        disk.sync_folder(folder)
        disk.write_whole(overall.success, [])
        disk.sync_folder(folder)
        return True


def withdraw(disk: Disk, folder: Path, names: FolderNames, *, sharded: bool) -> None:
    """Remove ``_SUCCESS``, the shard's and the overall one: what is there is about to change."""
    overall = FolderNames(folder)
    with _alone(disk, overall) if sharded else nullcontext():
        disk.remove(names.success)
        disk.remove(overall.success)
        disk.sync_folder(folder)


@contextmanager
def _alone(disk: Disk, overall: FolderNames) -> Iterator[None]:
    """No other shard joins or withdraws meanwhile."""
    lock = Lock.acquire(overall.joining, disk.file_mode, wait=True)
    try:
        yield
    finally:
        lock.release()
