"""What the tests of settings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An empty desk, which the test works at."""
    made = Desk(tmp_path)
    monkeypatch.chdir(made.cwd)
    monkeypatch.setenv("HOME", str(made.home))
    return made
