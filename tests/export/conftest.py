"""Where the tests of exporting write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory, where syncing costs nothing."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="export-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)
