"""Beginning a harvest, or finding the one that is to go on."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from harvester.errors import OutputFault, ResumeRefused
from harvester.ledger import Ledger, LedgerUnreadable, Phase, database_files, is_database
from harvester.settings.model import Settings
from harvester.sink.changes import ChangesFraming
from harvester.sink.codec import codec
from harvester.sink.disk import Disk
from harvester.sink.finishing import made_files
from harvester.sink.framing import Framing
from harvester.sink.layout import Layout, layout_for
from harvester.sink.lock import Lock
from harvester.sink.options import data_options, refuse_other_options, spool_compression
from harvester.sink.singer import SingerFraming
from harvester.sink.spool import Spool


@dataclass(frozen=True, slots=True)
class Opened:
    """An open harvest. `resumed` tells whether an earlier run began it."""

    spool: Spool
    lock: Lock | None
    resumed: bool

    def close(self) -> None:
        """Let go of everything."""
        try:
            self.spool.close()
        finally:
            if self.lock is not None:
                self.lock.release()
            self.spool.layout.leave()


def open_spool(settings: Settings, run_id: str, *, stdout: int = 1, disk: Disk | None = None) -> Opened:
    """Take the lock, find or begin the ledger, and see that options and parts are as it says. Blocks.

    Raises SettingFault, OutputFault or ResumeRefused; then nothing was changed.
    """
    disk = disk or Disk(settings.file_mode)
    layout = layout_for(settings, disk, stdout)
    with ExitStack() as undo:
        undo.callback(layout.leave)
        if (lock := layout.claim()) is not None:
            undo.callback(lock.release)
        if settings.fresh:
            _discard(settings, layout)
        framing = _framing(settings)
        undo.callback(framing.close)
        ledger, resumed = _find(settings, layout, run_id)
        undo.callback(ledger.close)
        if resumed:
            _agree(settings, layout, ledger)
        framing.join(ledger, str(ledger.fact("runId")))
        ledger.commit()
        spool = _spool(settings, layout, ledger, framing)
        undo.pop_all()
        return Opened(spool, lock, resumed)


def _framing(settings: Settings) -> Framing:
    if settings.format == "singer":
        return SingerFraming.of(settings)
    return Framing() if settings.changes is None else ChangesFraming.of(settings.changes, settings)


def _find(settings: Settings, layout: Layout, run_id: str) -> tuple[Ledger, bool]:
    """The ledger, and whether an earlier run began it."""
    if layout.ledger is None:
        ledger = Ledger.temporary()
    elif (begun := _begun(layout.ledger, settings.file_mode)) is not None:
        return begun, True
    else:
        layout.bind(run_id)
        layout.begin(fresh=settings.fresh)
        ledger = Ledger.open(layout.ledger, settings.file_mode)
    try:
        ledger.record("runId", run_id)
        ledger.record("options", data_options(settings))
        ledger.record("replacing", layout.replacing)
        ledger.commit()
        if layout.ledger is not None:
            layout.disk.sync_folder(layout.ledger.parent)
    except BaseException:
        ledger.close()
        raise
    return ledger, False


def _begun(path: Path, file_mode: int) -> Ledger | None:
    """The ledger at `path`, if there is anything in it that is worth going on from."""
    if not path.exists():
        return None
    ledger = Ledger.open(path, file_mode)
    if not ledger.idle:
        return ledger
    ledger.close()
    for file in database_files(path):
        file.unlink(missing_ok=True)
    return None


def _agree(settings: Settings, layout: Layout, ledger: Ledger) -> None:
    """The earlier run's options and parts are as they must be to go on."""
    refuse_other_options(layout.name, ledger.fact("options") or {}, data_options(settings))
    _bind(layout, ledger)
    layout.refuse_damage(ledger.parts())


def _bind(layout: Layout, ledger: Ledger) -> None:
    """Let the layout know what the earlier run has found and made."""
    layout.bind(str(ledger.fact("runId")))
    layout.replacing = bool(ledger.fact("replacing"))
    if layout.finishing is not None:
        layout.finishing.files = made_files(ledger)


def _spool(settings: Settings, layout: Layout, ledger: Ledger, framing: Framing) -> Spool:
    return Spool(
        layout,
        ledger,
        codec(spool_compression(settings)),
        run_id=str(ledger.fact("runId")),
        options=ledger.fact("options") or {},
        framing=framing,
    )


def _discard(settings: Settings, layout: Layout) -> None:
    """`--fresh`: forget an unfinished harvest; one that lacks only its final names gets them first."""
    path = layout.ledger
    if path is None or not path.exists():
        return
    if not is_database(path):
        raise OutputFault(f"{path}: is no ledger, and is not removed", "name another place with --ledger")
    with suppress(LedgerUnreadable, ResumeRefused):  # damaged: there is nothing to be saved from it
        _publish_if_due(settings, layout, path)
    for file in database_files(path):
        layout.disk.remove(file)
    layout.disk.sync_folder(path.parent)


def _publish_if_due(settings: Settings, layout: Layout, path: Path) -> None:
    ledger = Ledger.open(path, settings.file_mode)
    try:
        if ledger.phase is Phase.COMPLETING:
            _bind(layout, ledger)
            with closing(ChangesFraming.found(ledger, settings.file_mode) or Framing()) as framing:
                _spool(settings, layout, ledger, framing).publish()
            layout.replacing = False
            if layout.finishing is not None:
                layout.finishing.files = {}
    finally:
        ledger.close()
