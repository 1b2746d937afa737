"""Merges ledgers in processes that kill themselves at a step; `python -m` runs it, see `Killer`.

A step is a call within the library of the table, or harvester's own code for it. Delta's commit is one
call; it is killed after a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from itertools import count
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any, Self, cast

import deltalake
import pyiceberg.catalog.sql  # noqa: F401  # once, and not after each fork
from pyiceberg import catalog
from pyiceberg.utils.config import Config

from tests.export.tables.kits import Kit, merge

_WATCHED = ("/export/tables/", "/pyiceberg/", "/psycopg/", "/deltalake/")


class Killer:
    """A process that has imported everything, and forks for each merge."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.export.tables.killed"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)

    def merge(self, kit: Kit, ledger: Path, *, step: int = 0, seconds: float = -1.0) -> tuple[int, float]:
        """Merge up to this step (0: to the end), or for so long into a commit of Delta's.

        Returns how many steps there were, and how long the commit took.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        report = ledger.with_suffix(".report")
        report.unlink(missing_ok=True)
        order: dict[str, Any] = {
            "form": kit.form,
            "dest": kit.dest,
            "ledger": str(ledger),
            "report": str(report),
        }
        order |= {"step": step, "seconds": seconds, "report": str(report), "environ": dict(os.environ)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        steps, took = json.loads(report.read_text()) if report.exists() else (0, 0.0)
        return steps, took


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _merge(
    *, form: str, dest: str, ledger: str, step: int, seconds: float, report: str, environ: dict[str, str]
) -> None:
    os.environ |= environ
    catalog._ENV_CONFIG = Config()
    steps = count(1)
    watched: dict[CodeType, bool] = {}
    took = [0.0]
    write_deltalake = deltalake.write_deltalake

    def watch(frame: FrameType, _event: str, _argument: Any) -> None:
        code = frame.f_code
        if code not in watched:
            watched[code] = any(one in code.co_filename for one in _WATCHED)
        if watched[code] and next(steps) == step:
            _die()

    def timed(*arguments: Any, **named: Any) -> None:
        if seconds >= 0:
            threading.Timer(seconds, _die).start()
        began = time.monotonic()
        write_deltalake(*arguments, **named)
        took[0] = time.monotonic() - began

    deltalake.write_deltalake = timed
    threading.settrace(watch)
    sys.settrace(watch)
    merge(cast("Kit", SimpleNamespace(form=form, dest=dest)), Path(ledger))
    sys.settrace(None)
    Path(report).write_text(json.dumps([next(steps), *took]))


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _merge(**json.loads(line))
            except:  # noqa: E722  # a process that was forked must not go on
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        sys.stdout.write(json.dumps(os.waitpid(pid, 0)[1]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
