"""A disk that is really full, and a file that may really grow no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvester.errors import StoppedEarly
from harvester.settings.model import Settings
from tests.sink.stage import Play, canonical, lines, names, play, true_lines

IDS = names(6000)

LIMITED = """
import resource, sys
from harvester.errors import StoppedEarly
from harvester.settings.model import Settings
from tests.sink.stage import Play, names, play
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    play(Settings(output=sys.argv[1]), Play(names(6000), flush_every=100))
except StoppedEarly as stopped:
    print(stopped)
    sys.exit(stopped.exit_status)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(
            f"THE REAL FULL DISK WAS NOT TESTED: mounting a tmpfs takes root ({mounted.stderr.strip()})"
        )
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("output", ["out.ndjson", "out.ndjson.gz", "out/"])
def test_a_full_disk_stops_the_run_resumable(small_disk: Path, output: str) -> None:
    """Status 5 and a sentence; once there is room again, the same command ends in exactly the truth."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(700 * 1024))
    settings = Settings(output=f"{small_disk}/{output}", part_rows=4000 if output == "out/" else None)
    with pytest.raises(StoppedEarly, match="no space left") as stopped:
        play(settings, Play(IDS, flush_every=100))
    assert stopped.value.exit_status == 5
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    rest = Play(IDS, flush_every=100)
    play(settings, rest)
    assert canonical(lines(small_disk / output)) == canonical(true_lines(IDS))


@pytest.mark.parametrize("limit", [100_000, 700_000])
def test_a_file_that_may_grow_no_more_stops_the_run_resumable(tmp_path: Path, limit: int) -> None:
    """A limit on the size of files meets the data or the ledger first: either way nothing is lost."""
    output = tmp_path / "out.ndjson"
    limited = subprocess.run(
        [sys.executable, "-c", LIMITED, output, str(limit)], check=False, capture_output=True, text=True
    )
    assert limited.returncode == 5, limited.stderr
    assert "out.ndjson" in limited.stdout
    assert "Traceback" not in limited.stderr
    play(Settings(output=str(output)), Play(IDS, flush_every=100))
    assert canonical(lines(output)) == canonical(true_lines(IDS))
