"""Files that are made on the way, in folders of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

from harvester.sink.disk import Disk, at


def make_folder(disk: Disk, folder: Path) -> None:
    """Make `folder` and those above it that are not there; who may read a file may enter them."""
    with at(folder):
        for one in [*reversed(folder.parents), folder]:
            if not one.is_dir():
                one.mkdir(exist_ok=True)
                one.chmod(disk.file_mode | (disk.file_mode & 0o444) >> 2)  # whatever the umask says


def remove_tree(folder: Path) -> None:
    """Remove `folder` with all that is in it; one that is not there is fine."""
    with at(folder):
        if folder.is_dir():
            shutil.rmtree(folder)


def create(disk: Disk, path: Path) -> None:
    """An empty file with the right permissions, for others to write into."""
    make_folder(disk, path.parent)
    disk.close(disk.open(path, keep=0))


def append(disk: Disk, path: Path, data: bytes) -> None:
    """Write `data` behind what is in the file, if it is there."""
    size = disk.size(path)
    if size is None:
        make_folder(disk, path.parent)
    fd = disk.open(path, keep=size or 0)
    try:
        disk.write(fd, data, path)
    finally:
        disk.close(fd)


def sync(disk: Disk, path: Path) -> None:
    """What is in the file survives a power loss."""
    fd = disk.open(path, keep=disk.size(path) or 0)
    try:
        disk.sync(fd, path)
    finally:
        disk.close(fd)
