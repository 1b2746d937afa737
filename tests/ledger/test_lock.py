"""One run a harvest: the lock on the unfinished ledger itself."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from harvester.errors import OutputError
from harvester.ledger import lock as lock_module
from harvester.ledger.lock import Descriptor, Lock
from tests.ledger.helpers import held, in_child, kill_self


@pytest.fixture(autouse=True)
def _few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "_BETWEEN_ATTEMPTS", 0.0)


def test_it_is_held_until_it_is_released(tmp_path: Path) -> None:
    """Nobody else gets it meanwhile, in this process or another, and it leaves no file of its own."""
    path = tmp_path / "x"
    lock = Lock.acquire(path, create_mode=0o600)
    assert held(path)
    assert in_child(lambda: os._exit(held(path))) == 1
    with pytest.raises(OutputError, match="another run is writing this harvest"):
        Lock.acquire(path)
    lock.close()
    lock.close()
    assert not held(path)
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_the_system_releases_it_when_its_process_dies(tmp_path: Path) -> None:
    """A killed run blocks nobody."""
    path = tmp_path / "x"

    def lock_and_die() -> None:
        lock_module._keep = Lock.acquire(path, create_mode=0o600)  # type: ignore[attr-defined]
        kill_self()

    assert in_child(lock_and_die) == -9
    Lock.acquire(path).close()


def test_a_file_that_was_replaced_meanwhile_is_not_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever locks a file that has lost its name looks again, so that two runs never hold one each."""
    path = tmp_path / "x"
    path.touch()
    replaced: list[int] = []
    lock_it = lock_module._lock

    def replace_first(fd: int, path: Path) -> None:
        if not replaced:
            path.unlink()
            path.write_bytes(b"new")
            replaced.append(fd)
        lock_it(fd, path)

    monkeypatch.setattr(lock_module, "_lock", replace_first)
    lock = Lock.acquire(path)
    assert os.fstat(lock.fd).st_size == 3
    assert replaced
    lock.close()


def test_a_file_that_is_gone_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    """A resumed run finds its ledger or nothing."""
    with pytest.raises(FileNotFoundError):
        Lock.acquire(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_whoever_only_asks_does_not_make_a_run_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is tried again, as someone who asks for it takes it for an instant."""
    path = tmp_path / "x"
    path.touch()
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
    Lock.acquire(path).close()
    os.close(asking)


def test_descriptors_are_closed_together(tmp_path: Path) -> None:
    """None is closed while another use of the file is left, as that would drop SQLite's own locks."""
    path = tmp_path / "x"
    path.touch()
    first, second, other = Descriptor(path), Descriptor(path), Descriptor(tmp_path)
    first.close()
    first.close()
    other.close()
    os.fstat(first.fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(other.fd)
    second.close()
    for descriptor in (first, second):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor.fd)
    assert not lock_module._users
    assert not lock_module._retired
