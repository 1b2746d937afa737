"""What a process without enough threads is told."""

from __future__ import annotations

import pytest

from harvester.errors import StoppedEarly
from harvester.event_loop import run_blocking


def test_a_process_that_gets_no_more_threads_is_told_so() -> None:
    """A limit of the system, and not a bug: one sentence, and 5."""

    async def starts_a_thread() -> None:
        raise RuntimeError("can't start new thread")

    with pytest.raises(StoppedEarly, match="no thread can be started") as stopped:
        run_blocking(starts_a_thread)
    assert stopped.value.exit_status == 5


def test_other_errors_are_left_alone() -> None:
    """They are bugs, and must be seen."""

    async def has_a_bug() -> None:
        raise RuntimeError("odd")

    with pytest.raises(RuntimeError, match="odd"):
        run_blocking(has_a_bug)
