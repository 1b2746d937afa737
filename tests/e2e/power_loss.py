"""Nights on one output, of which the power is cut again and again; see `forgetful`."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL

from tests.e2e.power import Power
from tests.e2e.processes import Tenant, until
from tests.e2e.truth import assert_nothing_left_over, beside, content_of, ledger_of, truth_of
from tests.e2e.warm import WarmPrograms

MOST_CUTS = 3
"""Of one night; then it is left alone."""


@dataclass(slots=True)
class Nights:
    """A nightly job: the list is another one each night, so that old and new bytes differ."""

    tenant: Tenant
    programs: WarmPrograms
    power: Power
    place: Path
    scratch: Path
    output: str
    options: tuple[str, ...] = ()
    cuts: int = 0
    """How often the power was cut while a run was at work."""
    _old: bytes | None = None
    _night: int = 0
    _changes: int = field(default=0)

    @property
    def path(self) -> Path:
        """The output, without the slash of a directory."""
        return self.place / self.output.rstrip("/")

    def undisturbed(self) -> None:
        """A night without a power cut before its end; but with one just after it."""
        before = self.power.changes()
        arguments, new = self._tonight()
        assert self.programs.run(arguments, self._log) == 0, self._said
        self._changes = self.power.changes() - before
        self._cut_after_the_end(Random(self._night))
        self._assert_complete(new)

    def cut_short(self, rng: Random) -> None:
        """A night with power cuts; the same command again completes it each time, and no output is torn."""
        arguments, new = self._tonight()
        for _ in range(rng.randint(1, MOST_CUTS)):
            self.power.arm(rng.randint(1, self._changes), rng.randrange(1 << 30))
            if self._run_until_cut(arguments):
                self._assert_not_torn(new)
            else:
                self._cut_after_the_end(rng)
                break
        else:
            assert self.programs.run(arguments, self._log) == 0, self._said
        self._assert_complete(new)

    def _tonight(self) -> tuple[tuple[str | Path, ...], bytes]:
        """The command, and what its output must be."""
        self._night += 1
        ids = self.tenant.ids[self._night % 5 :]
        names = self.scratch / "ids.txt"
        names.write_bytes(b"\n".join(ids) + b"\n")
        destination = f"{self.place}/{self.output}"
        command: tuple[str | Path, ...] = (
            "run",
            names,
            "-o",
            destination,
            "--quota",
            "none",
            "--replace",
            *self.options,
        )
        return command, truth_of(self.tenant, ids)

    def _run_until_cut(self, arguments: tuple[str | Path, ...]) -> bool:
        """Run until the power is cut, which ends the process; False if it ends before."""
        pid = self.programs.prepare(arguments, self._log)
        self.programs.begin()
        status: int | None = None

        def over() -> bool:
            nonlocal status
            status = self.programs.ended()
            return status is not None or self.power.was_cut()

        until(over, every=0.001)
        if status is None:
            os.kill(pid, SIGKILL)
            until(lambda: self.programs.ended() is not None, every=0.001)
        if self.power.was_cut():
            self.cuts += 1
            self.power.restart()
            return True
        assert status == 0, self._said
        return False

    def _cut_after_the_end(self, rng: Random) -> None:
        """What a run has published when it ends is on the disk."""
        self.power.cut(rng.randrange(1 << 30))
        self.power.restart()

    def _assert_not_torn(self, new: bytes) -> None:
        """A file is the old one or the new one; a directory that says it is complete, too."""
        if self.output.endswith("/") and not beside(self.path, "x").with_name("_SUCCESS").exists():
            return
        if self._old is None and not self.path.exists():
            return
        assert content_of(self.path) in (self._old, new), "torn"
        with closing(sqlite3.connect(ledger_of(self.path))) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def _assert_complete(self, new: bytes) -> None:
        assert content_of(self.path) == new
        assert_nothing_left_over(self.path)
        if self.path.is_dir():
            assert beside(self.path, "x").with_name("_SUCCESS").exists()
            assert not [one for one in self.path.rglob("*") if one.name.startswith((".", "_journal"))]
        with closing(sqlite3.connect(ledger_of(self.path))) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        self._old = new

    @property
    def _log(self) -> Path:
        return self.scratch / "log"

    @property
    def _said(self) -> str:
        return self._log.read_text()
