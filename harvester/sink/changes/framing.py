"""A harvest that writes only what differs, and moves its state once it is whole.

While it runs, what it found is kept in the ledger, in the transaction that settles the account: so a run that
is killed forgets both or neither. The state file itself is changed once, in one transaction, when the output
stands under its final names and before the ledger goes: so a run killed in between moves it when it goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harvester.errors import ResumeRefused, SettingFault
from harvester.ledger import Baseline, Ledger
from harvester.settings.model import Settings
from harvester.sink.changes.rows import differences
from harvester.sink.disk import at
from harvester.sink.framing import Framing
from harvester.sink.lock import Lock
from harvester.sink.part import Entry
from harvester.sink.provenance import Provenance

_FACT: Final = "changes"
_NAMES: Final = {"tenant": "--base-url", "apiVersion": "--api-version", "since": "--since"}


class ChangesFraming(Framing):
    """Holds the state from its making to `close`: other runs keep away from it meanwhile.

    `asked` is what decides which rows there are at all: a state made for others can't be compared with.
    `settings` are of the run; None where only the publishing is left.
    """

    def __init__(
        self, path: Path, asked: dict[str, Any], file_mode: int, settings: Settings | None = None
    ) -> None:
        """Raises SettingFault or OutputFault when the state can't be used."""
        self._path = path.resolve()
        self._asked = asked
        self._settings = settings
        self._provenance: Provenance | None = None
        self._fresh: list[tuple[int, str]] = []
        if not self._path.parent.is_dir():
            raise SettingFault("--changes", f"the folder {self._path.parent} is not there", "make it first")
        if self._path.is_dir():
            raise SettingFault("--changes", f"{path} is a folder", "name a file")
        lock = self._path.with_name(self._path.name + ".lock")
        self._lock = Lock.acquire(lock, file_mode, does="works with this state of changes")
        try:
            with at(self._path):
                self._baseline = Baseline(self._path, file_mode)
            self._refuse_other_data()
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, path: Path, settings: Settings) -> ChangesFraming:
        """As `settings` ask for it."""
        asked = {"tenant": settings.base_url, "apiVersion": settings.api_version, "since": settings.since}
        return cls(path, asked, settings.file_mode, settings)

    @classmethod
    def found(cls, ledger: Ledger, file_mode: int) -> ChangesFraming | None:
        """That of the harvest in `ledger`, whatever is asked for now; None where it was for all rows."""
        known = ledger.fact(_FACT)
        if known is None:
            return None
        framing = cls(Path(known["path"]), known["asked"], file_mode)
        try:
            framing.join(ledger, str(ledger.fact("runId")))
        except BaseException:
            framing.close()
            raise
        return framing

    def join(self, ledger: Ledger, run_id: str) -> None:
        """Go on as the harvest in `ledger` was begun, or begin it.

        Raises ResumeRefused when the state is another than at its beginning.
        """
        known = ledger.fact(_FACT)
        if known is None:
            known = {"path": str(self._path), "asked": self._asked, "before": self._baseline.harvest}
            ledger.record(_FACT, known)
        self._ledger, self._run_id = ledger, run_id
        if self._settings is not None:
            self._provenance = Provenance.of(self._settings, run_id)
        self._before: str | None = known["before"]
        self._refuse_moved()

    def edit(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Lines that differ, each with its kind of change."""
        ids = self._ledger.roll.ids([seq for seq, *_ in entries])
        before = self._baseline.contents(list(ids.values()))
        edited: list[Entry] = []
        self._fresh = []
        for seq, answered, lines, _ in entries:
            was = before.get(ids[seq], "")
            written, rows, content = differences(ids[seq], was, lines)
            if self._provenance is not None:
                written = self._provenance.stamp(written)
            edited.append((seq, answered, written, rows))
            if content != was:
                self._fresh.append((seq, content))
        return edited

    def note(self) -> None:
        """Keep what was found of the batch's accounts, until the state may move."""
        self._ledger.keep(self._fresh)

    def publish(self) -> None:
        """Move the state to what this harvest has found, unless that was done before."""
        self._refuse_moved()
        if self._baseline.harvest != self._run_id:
            with at(self._path):
                self._baseline.move(self._run_id, self._asked, self._ledger.kept())

    def close(self) -> None:
        """Let go of the state."""
        if hasattr(self, "_baseline"):
            self._baseline.close()
        self._lock.release()

    def _refuse_other_data(self) -> None:
        was = self._baseline.asked or self._asked
        for key, flag in _NAMES.items():
            if was[key] != self._asked[key]:
                raise SettingFault(
                    "--changes",
                    f"{self._path} was made with {flag} {was[key] or 'not given'}, "
                    f"and now it is {self._asked[key] or 'not given'}",
                    "ask for the same rows, or name another state",
                )

    def _refuse_moved(self) -> None:
        if self._baseline.harvest not in (self._before, self._run_id):
            raise ResumeRefused(
                f"{self._path}: another harvest ({self._baseline.harvest}) has moved this state since the "
                "unfinished one found here was begun, whose differences are out of date",
                "start again with --fresh",
            )
