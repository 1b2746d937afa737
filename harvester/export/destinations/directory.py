"""A directory, or a prefix of an object store: parts, a manifest and, last of all, ``_SUCCESS``.

Only what one of our own manifests names is ever replaced or removed. Before a part is begun, its name
stands in ``_journal.json``, a manifest of what is to come, together with the names of the output that is to
be replaced. So when the same command is run again after a kill, it knows which files are ours, whatever the
new export is made of.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, TypeAlias

import orjson

from harvester.errors import InternalError, OutputError
from harvester.export.control import Control
from harvester.export.destinations.store import Store
from harvester.export.formats import Format
from harvester.export.formats.compress import SUFFIXES
from harvester.export.manifest import PROGRAM, SCHEMA_VERSION, encoded
from harvester.export.output import Output, OutputSpec, Sink
from harvester.files import (
    disk_errors,
    open_destination,
    partial,
    resolve,
    sync_directory,
    write_atomically,
)

MANIFEST: Final = "_manifest.json"
JOURNAL: Final = "_journal.json"
SUCCESS: Final = "_SUCCESS"
REDSHIFT: Final = "_redshift_manifest.json"

_PART: Final = re.compile(r"part-\d{5,}(?:\.[a-z]+){1,2}")
"""The names of parts. A manifest that names anything else was not written by this program."""


class Directory(Output):
    """See the module; `place` is where its files are.

    A place has files by name, without directories. What one of its methods has done is durable when it
    returns, and may be repeated. Where files are `staged`, they wait under another name until `publish`;
    else they are visible once they are closed.
    """

    def __init__(self, place: Place, spec: OutputSpec, format_: Format, control: Control) -> None:
        super().__init__(place.name, spec, format_, control)
        self._suffix = format_.suffix + SUFFIXES[spec.where.compression]
        self._place = place
        self._ours: set[str] = set()
        self._begun: list[str] = []
        self._noted = 0
        self._sink: Sink | None = None
        self._published = False

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:
        """What no manifest names is refused, too."""
        self._place.try_out()
        manifest = self._manifest(MANIFEST)
        if self._place.read(SUCCESS) is not None:
            if manifest is None:
                raise self._refusal(f"contains {SUCCESS} of another program")
            same = {"runIds": list(repeated)} | self.about
            again = repeated and all(manifest.get(key) == value for key, value in same.items())
            if not (self.spec.replace or own in manifest.get("runIds", ()) or again):
                hint = "use --replace, or choose another directory"
                raise self._refusal("already holds a complete harvest", hint)
        self._refuse_strangers()

    def begin(self) -> None:
        """Read which files are ours, and write the journal."""
        self._refuse_strangers()
        self._begun, self._noted = [], 0
        self._write_journal([])
        if not self._place.staged:
            self._place.remove([SUCCESS])

    def open(self, number: int) -> Sink:
        """Note the part in the journal, then begin it."""
        if number > self._noted:  # twice as many as before: thousands of parts need a dozen notes
            self._noted = 2 * number
            self._write_journal([self._part(one) for one in range(1, self._noted + 1)])
        name = self._part(number)
        self._begun.append(name)
        self._sink = self._place.create(name)
        return self._sink

    def publish(self, manifest: Mapping[str, Any]) -> None:
        """The parts, then the manifest; then what is left of the older output goes, and the journal."""
        if self._place.staged:
            self._place.remove([SUCCESS])
            self._place.publish(self._begun)
        self._place.write(MANIFEST, [encoded(manifest)])
        self._place.remove(sorted(self._ours - _named(manifest)))
        self._place.remove([JOURNAL])
        self._published = True

    def write_beside(self, name: str, pieces: Iterable[bytes]) -> None:
        """Such as ``_failures.ndjson``."""
        self._place.write(name, pieces)

    def complete(self) -> None:
        """``_SUCCESS`` is an empty file."""
        if not self._published:
            raise InternalError(f"{self.name} is to be marked as complete, but nothing was published")
        self._place.write(SUCCESS, [])

    def discard(self) -> None:
        """What was staged goes, and makes room; the journal still names what was put into a store."""
        if self._sink is not None:
            self._sink.discard()
        self._place.discard(self._begun)

    def _part(self, number: int) -> str:
        return f"part-{number:05}{self._suffix}"

    def _refuse_strangers(self) -> None:
        self._ours = self._named_by(MANIFEST) | self._named_by(JOURNAL)
        for name in sorted(self._place.names("part-") - self._ours):
            if _PART.fullmatch(name):
                raise self._refusal(f"contains {name}, which no manifest of harvester names")

    def _named_by(self, document: str) -> set[str]:
        return _named(self._manifest(document) or {})

    def _manifest(self, name: str) -> dict[str, Any] | None:
        data = self._place.read(name)
        if data is None:
            return None
        try:
            manifest = orjson.loads(data)
            if manifest["program"] == PROGRAM and isinstance(manifest["parts"], list):
                return dict(manifest)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass
        raise self._refusal(f"contains a {name} that harvester has not written")

    def _write_journal(self, parts: list[str]) -> None:
        journal = {
            "schemaVersion": SCHEMA_VERSION,
            "program": PROGRAM,
            "parts": [{"name": name} for name in parts],
            "replaces": sorted(self._ours),
        }
        self._place.write(JOURNAL, [encoded(journal)])

    def _refusal(self, problem: str, hint: str = "choose another directory") -> OutputError:
        return OutputError(f"{self.name} {problem}", hint)


def _named(manifest: Mapping[str, Any]) -> set[str]:
    """The files that a manifest or journal names, as far as they are such as this program writes."""
    names = {str(part.get("name")) for part in manifest.get("parts", ())}
    names |= {str(name) for name in manifest.get("replaces", ())}
    names.add(str(manifest.get("redshiftManifest")))
    return {name for name in names if _PART.fullmatch(name) or name == REDSHIFT}


class LocalDirectory:
    """A directory of this machine, where parts wait under hidden names until all of them are complete.

    `path` need not exist: it is made, with the directories above it, when the first file is written.
    """

    staged = True

    def __init__(self, path: Path, mode: int) -> None:
        self.name = f"{path}/"
        self._path = resolve(path)
        self._mode = mode

    def try_out(self) -> None:
        """A directory that is there gets an unnamed file; else the one above it must be writable."""
        above = next(path for path in (self._path, *self._path.parents) if path.exists())
        if not above.is_dir():
            raise OutputError(f"{self.name} cannot be a directory: {above} is a file", "choose another name")
        with disk_errors(self.name, "the output", started=False):
            if above == self._path:
                TemporaryFile(dir=self._path).close()
            elif not os.access(above, os.W_OK | os.X_OK):
                raise OutputError(
                    f"{self.name} cannot be made: {above} is not writable", "check its permissions"
                )

    def names(self, prefix: str) -> set[str]:
        """Visible files."""
        with disk_errors(self.name, "the output", started=True):
            return {one.name for one in self._path.glob(f"{prefix}*")} if self._path.is_dir() else set()

    def read(self, name: str) -> bytes | None:
        """What is in the file."""
        path = self._path / name
        with disk_errors(path, "the output", started=True):
            return path.read_bytes() if path.is_file() else None

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Written as ``.partial``, synced and renamed."""
        self._make()
        write_atomically(self._path / name, pieces, self._mode, what="the output", started=True)

    def create(self, name: str) -> Sink:
        """Hidden, and in place of what an interrupted export has left there."""
        path, what = self._path / f".{name}", f"the output in {self.name}"
        sink = open_destination(path, self._mode, what=what, started=True)
        sink.name = name
        return sink

    def publish(self, names: list[str]) -> None:
        """Rename them, then sync the directory once."""
        with disk_errors(self.name, "the output", started=True):
            for name in names:
                self._staged(name).replace(self._path / name)
            sync_directory(self._path)

    def remove(self, names: list[str]) -> None:
        """Under their final names and under those they wait under."""
        with disk_errors(self.name, "the output", started=True):
            for name in names:
                (self._path / name).unlink(missing_ok=True)
                self._staged(name).unlink(missing_ok=True)
            sync_directory(self._path)

    def discard(self, names: list[str]) -> None:
        """What waits under these names."""
        with disk_errors(self.name, "the output", started=True):
            for name in names:
                self._staged(name).unlink(missing_ok=True)

    def _staged(self, name: str) -> Path:
        return partial(self._path / f".{name}")

    def _make(self) -> None:
        """Whoever may read a file may enter the directories made for it."""
        with disk_errors(self.name, "the output", started=True):
            for path in [*reversed(self._path.parents), self._path]:
                if not path.is_dir():
                    path.mkdir(exist_ok=True)
                    path.chmod(self._mode | (self._mode & 0o444) >> 2)
                    sync_directory(path.parent)


Place: TypeAlias = LocalDirectory | Store
"""Where the files of a directory are."""
