"""Small files that are whole or absent: written beside, synced, then moved into place."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` by `content` in one step; what is no regular file (a pipe, a device) is written to.

    Raises:
        OSError: it can't be written; nothing is left beside it.
    """
    if path.exists() and not path.is_file():  # /dev/stderr, a pipe: nothing to put in its place
        path.write_bytes(content)
        return
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
