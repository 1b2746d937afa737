"""The one place that changes the output and its ledger, step by step. It blocks and belongs to one thread.

A commit is: append the batch to the open part, sync it, then say so in the ledger, which is synced, too. What
a part holds beyond the size in the ledger is of an unfinished commit and cut off when the harvest goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from harvester.errors import InternalFault, StopRun
from harvester.ledger import Enrolled, Ledger, Outcome, PartRecord, PartState, Phase, Proof, database_files
from harvester.model import OutputFile
from harvester.sink.activity import Activity
from harvester.sink.batch import Batch, Stored
from harvester.sink.codec import Codec, Plain
from harvester.sink.finishing import Finishes
from harvester.sink.framing import Framing
from harvester.sink.layout import Layout, Whole
from harvester.sink.manifest import manifest, output_file
from harvester.sink.part import FAILED, Entry, Part, joined

_ACTIVITY: Final = "activity"
"""The fact of the ledger that holds it."""


class Spool:
    """The open harvest of one output. After a failure it only says so again: the next run goes on."""

    def __init__(
        self,
        layout: Layout,
        ledger: Ledger,
        codec: Codec,
        *,
        run_id: str,
        options: dict[str, Any],
        framing: Framing | None = None,
    ) -> None:
        self.layout = layout
        self.ledger = ledger
        self._framing = framing or Framing()
        self._begun = False
        ledger.roll.held = True
        self.run_id = run_id
        self._codec = codec
        self._plain = isinstance(codec, Plain)
        self._options = options
        self._phase = ledger.phase
        self._broken: BaseException | None = None
        self._proof: Proof | None = None
        self._part: Part | None = None
        self._closed: list[Part] = []
        self._records = {part.number: part for part in ledger.parts()}
        self.finishes = Finishes(layout, ledger, self._records)
        self._bytes = sum(part.size for part in self._records.values())
        self.activity = Activity.of(ledger.fact(_ACTIVITY))
        """Fed by the writer, on the event loop."""

    def outputs(self) -> tuple[OutputFile, ...]:
        """The parts that have ended so far."""
        ended = [part for part in self._records.values() if part.state is not PartState.OPEN]
        return tuple(file for part in ended for file in self.finishes.files(part))

    def finished(self) -> set[str]:
        """Names of the parts that stand under their final names already."""
        return {part.name for part in self._records.values() if part.state is PartState.FINISHED}

    def enrol(self, ids: Sequence[str]) -> tuple[Enrolled, int]:
        """Take the next IDs of the list in; also gives how many accounts need not be asked for at all."""
        enrolled = self.ledger.roll.enrol(ids)
        return enrolled, self._begin(whole=False)

    def end_list(self) -> int:
        """The list was read to its end; gives how many accounts need not be asked for at all."""
        self.ledger.roll.end_list()
        return self._begin(whole=True)

    def _begin(self, *, whole: bool) -> int:
        """Let the framing look at the list, once enough of it is known; nothing is given out before."""
        roll = self.ledger.roll
        if self._begun or not (whole or roll.known >= self._framing.required):
            return 0
        passed_over = self._framing.begin()
        self._begun, roll.held = True, False
        return passed_over

    def commit(self, batch: Batch) -> Stored:
        """Make `batch` durable: all of it or, when an error is raised, nothing that a resume would see."""
        if self._broken is not None:
            raise self._broken
        try:
            return self._commit(batch)
        except BaseException as error:
            self._broken = error
            raise

    @property
    def broken(self) -> bool:
        """Whether something has failed: nothing more can be done in this run."""
        return self._broken is not None

    def seal(self) -> tuple[tuple[OutputFile, ...], Proof]:
        """End the last part: the output is whole but for its final names. Every account must be settled."""
        self.end()
        self.finishes.all()
        self._proof = self.ledger.proof()
        return self.outputs(), self._proof

    def end(self) -> None:
        """End the last part. Every account must be settled."""
        if self._broken is not None:
            raise self._broken
        if self.ledger.roll.unfinished():
            raise InternalFault("the output was to be ended while accounts are unfinished", "report this")
        try:
            if self._phase is Phase.HARVEST:
                self._end_parts()
        except BaseException as error:
            self._broken = error
            raise

    def publish(self) -> None:
        """Give a sealed output its final names, and remove the ledger. May be repeated until that is gone."""
        self.finishes.all()
        proof = self._proof or self.ledger.proof()
        parts, files = tuple(self._records.values()), self.outputs()
        document = manifest(
            run_id=self.run_id,
            shard=self._options.get("--shard"),
            options=self._options,
            proof=proof,
            parts=files,
            failures=self.layout.failures_name if proof.failed.count else None,
        )
        self.layout.publish(Whole(parts, files, proof.failed.count, self.ledger.failures, document))
        self._framing.publish()
        self._remove_ledger()

    def abandon(self) -> None:
        """Nothing came of this run: remove the ledger, unless an earlier run has left something in it."""
        if self.ledger.idle:
            self._remove_ledger()

    def _remove_ledger(self) -> None:
        self.ledger.close()
        if self.layout.ledger is not None:
            for path in database_files(self.layout.ledger):
                self.layout.disk.remove(path)
            self.layout.disk.sync_folder(self.layout.ledger.parent)

    def suspend(self) -> None:
        """The harvest stops unfinished: leave what failed so far for people to look at."""
        with suppress(StopRun):  # a convenience: what counts is durable already
            self.ledger.commit()
            if self._phase is Phase.HARVEST and self.ledger.outcomes()[Outcome.FAILED]:
                self.layout.note_failures(self.ledger.failures())

    def close(self) -> None:
        """Let go of all files. May be called again."""
        for part in self._held():
            part.close()
        self._part, self._closed = None, []
        self._framing.close()
        self.ledger.close()

    # -- a commit, step by step

    def _commit(self, batch: Batch) -> Stored:
        if self._phase is Phase.COMPLETING:
            self._reopen()
        before = self._bytes
        answered = self._framing.edit([entry for entry in batch.entries if entry[1] != FAILED])
        touched = self._store(answered, self._framing.mark(batch.entries))
        for part in touched:
            self._save(part.record(PartState.OPEN if part is self._part else PartState.CLOSED))
        harvested = [seq for seq, rows, _, _ in answered if rows]
        empty = [seq for seq, rows, _, _ in answered if not rows]
        self.ledger.settle(Outcome.HARVESTED, harvested)
        self.ledger.settle(Outcome.EMPTY, empty)
        failures = [(seq, line) for seq, rows, line, _ in batch.entries if rows == FAILED]
        self.ledger.fail(failures)
        self._framing.note()
        if batch.activity is not None:
            self.ledger.record(_ACTIVITY, batch.activity)
        self.ledger.commit()
        for part in touched:
            part.keep()
        self._bytes = sum(part.size for part in self._records.values())
        return Stored(
            harvested=len(harvested),
            empty=len(empty),
            failed=len(failures),
            rows=sum([rows for _, _, _, rows in answered]),
            bytes=self._bytes - before,
            finished=self._finish_closed(),
        )

    def _store(self, entries: Sequence[Entry], mark: bytes = b"") -> list[Part]:
        """Append and sync; the parts written to. On a failure the space is given back, if it can be."""
        touched: list[Part] = []
        try:
            self._append(entries, mark)
            touched = self._touched()
            for part in touched:
                part.sync()
        except StopRun:
            for part in self._held():  # what was written half has not grown as far as it knows
                with suppress(StopRun):
                    part.rewind()
            raise
        return touched

    def _held(self) -> list[Part]:
        """All parts whose files are open."""
        return [*self._closed, *([self._part] if self._part is not None else [])]

    def _touched(self) -> list[Part]:
        return [part for part in self._held() if part is not self._part or part.grown]

    def _append(self, entries: Sequence[Entry], mark: bytes) -> None:
        """An account's rows are never split between two parts."""
        limits = self.layout.limits
        if not limits:
            self._write(entries, mark)
            return
        run: list[Entry] = []
        rows, size = (self._part.rows, self._part.size) if self._part else self._open_figures()
        for entry in entries:
            length = len(entry[2]) if self._plain else 0  # compressed, it is known only once it is written
            if rows and limits.passed(rows + entry[3], size + length):
                self._write(run)
                self._close_part()
                run, rows, size = [], 0, 0
            run.append(entry)
            rows += entry[3]
            size += length
        self._write(run, mark)

    def _open_figures(self) -> tuple[int, int]:
        """Rows and bytes of the part that an earlier run left open."""
        return next(
            ((part.rows, part.size) for part in self._records.values() if part.state is PartState.OPEN),
            (0, 0),
        )

    def _write(self, entries: Sequence[Entry], mark: bytes = b"") -> None:
        data, rows, accounts = joined(entries)
        if data or mark:
            part = self._opened()
            head = b"" if part.size else self._framing.head()
            part.append(self._codec.seal(head + data + mark), rows, accounts)

    def _opened(self) -> Part:
        """The open part: of an earlier run, or a new one."""
        if self._part is None:
            record = next((part for part in self._records.values() if part.state is PartState.OPEN), None)
            self._part = self.layout.open_part(record or self._new_record())
        return self._part

    def _new_record(self) -> PartRecord:
        number = max(self._records, default=0) + 1
        name = self.layout.part_name(self.run_id, number)
        record = PartRecord(number, name, PartState.OPEN, 0, 0, 0)
        self._records[number] = record
        return record

    def _close_part(self) -> None:
        part = self._opened()
        self._closed.append(part)
        self._part = None
        record = part.record(PartState.CLOSED)
        self._records[record.number] = record

    def _save(self, record: PartRecord) -> None:
        self._records[record.number] = record
        self.ledger.save_part(record)

    def _finish_closed(self) -> tuple[OutputFile, ...]:
        """Give closed parts their final names. A crash before the ledger knows only repeats that."""
        for part in self._closed:
            part.close()
        self._closed = []
        finished = []
        for record in [r for r in self._records.values() if r.state is PartState.CLOSED]:
            if self.layout.finish(record):
                self._save(PartRecord(record.number, record.name, PartState.FINISHED, *_contents(record)))
                finished.append(output_file(record))
        return tuple(finished)

    # -- the end, and going on behind it

    def _end_parts(self) -> None:
        """Close the last part, and record that only names are left to be given."""
        opened = any(part.state is PartState.OPEN for part in self._records.values())
        if opened or (self.layout.one_part and not self._records):
            self._seal_last()
        self.ledger.phase = Phase.COMPLETING
        self.ledger.commit()
        self._phase = Phase.COMPLETING
        self._finish_closed()

    def _seal_last(self) -> None:
        part = self._opened()
        tail = (b"" if part.size else self._framing.head()) + self._framing.tail()
        if tail or not part.size:
            part.append(self._codec.seal(tail), 0, 0)  # an empty gzip file isn't one that tools accept
        self._close_part()
        self._store([])
        self._save(part.record(PartState.CLOSED))

    def _reopen(self) -> None:
        """IDs were appended to a list whose harvest was about to be published."""
        for record in list(self._records.values()):
            state = self.layout.reopen(record)
            if state is PartState.OPEN:
                self.finishes.forget(record)
            self._save(PartRecord(record.number, record.name, state, *_contents(record)))
        self.ledger.phase = Phase.HARVEST
        self.ledger.commit()
        self._phase = Phase.HARVEST


def _contents(record: PartRecord) -> tuple[int, int, int, str]:
    return record.size, record.rows, record.accounts, record.sha256
