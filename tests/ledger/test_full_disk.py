"""A disk that is full, and one that fails: the run stops, and goes on where there is room again."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harvester.errors import StoppedEarly, StopRun
from harvester.ledger import opening
from harvester.ledger.writer import Writer
from tests.ledger.helpers import (
    created,
    harvested,
    in_child,
    listed,
    outcomes,
    pending,
    read_list,
    resumed,
    settle,
    usage,
)

IDS = [f"id{number}" for number in range(20_000)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: a full disk, as a small file system cannot be mounted here ({error})")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(ballast: Path) -> None:
    """Use up all the room there is."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def _settle_until_full(writer: Writer) -> tuple[int, StopRun]:
    """Settle accounts until the ledger raises; how many it took, and what it raised."""
    accounts = pending(writer)
    for start in range(0, len(accounts), 200):
        try:
            settle(writer, [harvested(account, months=12) for account in accounts[start : start + 200]])
        except StopRun as error:
            return start, error
    raise AssertionError("the disk never was full")


def test_a_full_disk_stops_the_run_resumable(small_disk: Path) -> None:
    """The batch that found no room is not stored, all before it are; with room, the run goes on."""
    path = small_disk / "x.ledger.partial"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 2_000_000)
    with created(path, IDS[:4_000]) as writer:
        settled, error = _settle_until_full(writer)
        assert isinstance(error, StoppedEarly)
        assert error.exit_status == 5
        assert (
            str(error)
            == f"{path}: no space left for the ledger: free some space and run the same command again"
        )
    assert 0 < settled < 4_000
    ballast.unlink()
    with resumed(path) as writer:
        assert read_list(writer, listed(IDS[:4_000]), 1_000).settled_earlier == settled
        settle(writer, [harvested(account, months=12) for account in pending(writer)])
        assert writer.database.value("PRAGMA integrity_check") == "ok"
    assert all(rows == usage(id_, 12).blob for id_, (_, rows) in outcomes(path).items())


def test_a_full_disk_while_the_list_is_read(small_disk: Path) -> None:
    """A list that is too long for the disk ends with 5, too, and the next run reads it again."""
    path = small_disk / "x.ledger.partial"
    with created(path) as writer:
        with pytest.raises(StoppedEarly, match="no space left"):
            read_list(writer, listed([f"{number:0100}" for number in range(40_000)]), 1_000)
    with resumed(path) as writer:
        assert read_list(writer, listed(IDS[:10])).distinct == 10


def test_a_full_disk_while_a_list_is_followed(small_disk: Path) -> None:
    """The unfinished harvest stays what it was, all of it."""
    path = small_disk / "x.ledger.partial"
    with created(path, IDS[:5_000]) as writer:
        settle(writer, [harvested(account) for account in pending(writer)])
    before = outcomes(path)
    (small_disk / "ballast").write_bytes(b"x" * 2_600_000)
    with resumed(path) as writer:
        with pytest.raises(StoppedEarly, match="no space left"):
            read_list(writer, listed(["new", *IDS[:5_000]]), 1_000)
    assert outcomes(path) == before


def test_a_full_disk_at_the_end_leaves_the_harvest_to_be_published(small_disk: Path) -> None:
    """The copy finds no room: the old finished ledger is still there, and so is the unfinished one."""
    path, finished, copy = (small_disk / name for name in ("x.ledger.partial", "x.ledger", "x.partial"))
    with created(path, IDS[:1_000]) as writer:
        settle(writer, [harvested(account) for account in pending(writer)])
        _fill(small_disk / "ballast")
        with pytest.raises(StoppedEarly, match="no space left") as caught:
            writer.publish(finished, copy=copy)
        assert caught.value.exit_status == 5
        assert not finished.exists()
        (small_disk / "ballast").unlink()
        writer.publish(finished, copy=copy)
    assert outcomes(finished) == outcomes(path)
    assert not copy.exists()


@pytest.mark.parametrize("started", [False, True])
def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path, started: bool) -> None:
    """EFBIG, as from a quota: 5 before and after the first request; no traceback, and nothing is lost."""
    path = tmp_path / "x"
    with created(path, IDS):
        pass

    def run() -> None:
        writer = opening.resume(path)
        if started:
            read_list(writer, listed(IDS), 1_000)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
            _, error = _settle_until_full(writer)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            with pytest.raises(StopRun) as caught:
                read_list(writer, listed(reversed(IDS)), 1_000)
            error = caught.value
        assert "cannot be written" in error.problem
        assert error.exit_status == 5

    assert in_child(run) == 0
    found = outcomes(path)
    assert list(found) == IDS
    assert len([id_ for id_, (outcome, _) in found.items() if outcome]) % 200 == 0
