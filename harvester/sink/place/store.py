"""A prefix in an object store.

Each file is an object, put there in one step; a large one in pieces that the store joins. What comes there is
checked: by S3 with the SHA-256 of each piece, by size in all; the checksum of the whole is kept with the
object as metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, TypeVar

from harvester.errors import AccessDenied, SettingFault
from harvester.model import OutputFile
from harvester.sink.disk import at
from harvester.sink.place.base import Place
from harvester.sink.place.patience import Patience, StoreFault

T = TypeVar("T")

PIECE: Final = 8 * 1024 * 1024
"""Bytes of a large object sent at once; the least that S3 takes is 5 MiB."""
_AT_ONCE: Final = 4
"""Pieces of one object in flight: 32 MiB of memory, and enough for a good line."""
_TYPES: Final = {
    ".ndjson": "application/x-ndjson",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".zst": "application/zstd",
}

Refine = Callable[[Exception], StoreFault]
"""Puts what the library raises into the program's own words."""


class StorePlace(Place):
    """`store` is an `obstore` store whose root is the prefix `url`; `obstore` is that module."""

    def __init__(self, url: str, store: Any, obstore: Any, patience: Patience, refine: Refine) -> None:
        self.name = url
        self._store = store
        self._obstore = obstore
        self._patience = patience
        self._refine = refine

    def prepare(self) -> None:
        """Write a small object and remove it: so rights, names and credentials are tried before they matter.

        Raises:
            SettingFault: no such bucket, nobody there, a wrong setting.
            AccessDenied: no credentials, or they are refused, or lack the right.
        """
        name = f"_probe-{token_hex(4)}"
        with self._explained("written to"):
            self._tried(lambda: self._obstore.put(self._store, name, b"harvester was here\n"))
            self._tried(lambda: self._obstore.delete(self._store, name))

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Within it, a fault is one that waiting would not mend."""
        try:
            yield
        except StoreFault as fault:
            problem = f"{self.name} can't be {done}: {fault.problem}"
            if fault.denied:
                mend = "give credentials that may put, list and delete objects there"
                raise AccessDenied(problem, mend) from None
            mend = "check the name, the region and the endpoint of the store"
            raise SettingFault("--output", problem, mend) from None

    def look(self) -> None:
        """See that the prefix can be listed. Raises as `prepare`."""
        with self._explained("read"):
            self._tried(lambda: next(iter(self._obstore.list(self._store, chunk_size=1)), None))

    def fetch(self, name: str, target: Path) -> None:
        """Write an object to the local file `target`, a piece at a time."""

        def copy() -> None:
            with at(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                file = target.open("wb")
            with file:
                for piece in self._obstore.get(self._store, name).stream():
                    file.write(piece)

        self._insist(copy)

    def sizes(self, folder: str) -> dict[str, int]:
        """Lists the prefix page by page."""

        def listed() -> dict[str, int]:
            pages = self._obstore.list(self._store, folder.rstrip("/") or None)
            return {one["path"].removeprefix(folder): one["size"] for page in pages for one in page}

        return self._insist(listed)

    def read(self, name: str) -> bytes:
        """The object's content."""
        return self._insist(lambda: bytes(self._obstore.get(self._store, name).bytes()))

    def write(self, name: str, data: bytes) -> None:
        """One request."""
        attributes = {"Content-Type": _type_of(name)}
        self._insist(lambda: self._obstore.put(self._store, name, data, attributes=attributes))

    def take(self, source: Path, name: str, file: OutputFile) -> None:
        """Upload, and see that as many bytes have come there; `source` stays."""
        attributes = {"Content-Type": _type_of(name), "sha256": file.sha256}

        def upload() -> None:
            self._upload(source, name, file.bytes, attributes)
            if (size := self._obstore.head(self._store, name)["size"]) != file.bytes:
                raise StoreFault(f"{name} has {size} bytes there instead of {file.bytes}")

        self._insist(upload)

    def remove(self, names: Iterable[str]) -> None:
        """Objects that are not there are fine."""
        doomed = list(names)

        def remove() -> None:
            try:
                self._obstore.delete(self._store, doomed)
            except FileNotFoundError:  # Azure says so, and may not have come to the rest
                for name in doomed:
                    with suppress(FileNotFoundError):
                        self._obstore.delete(self._store, name)

        if doomed:
            self._insist(remove)

    def _upload(self, source: Path, name: str, size: int, attributes: dict[str, str]) -> None:
        if size <= PIECE:
            with at(source):
                data = source.read_bytes()
            self._obstore.put(self._store, name, data, attributes=attributes)
            return
        self._obstore.put(
            self._store,
            name,
            self._pieces(source),
            attributes=attributes,
            chunk_size=PIECE,
            max_concurrency=_AT_ONCE,
        )

    def _pieces(self, source: Path) -> Iterator[bytes]:
        """Ends with an error when the run is stopped: a large object must not hold it up."""
        with at(source), source.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                self._patience.check()
                yield piece

    def _insist(self, request: Callable[[], T]) -> T:
        return self._patience.insist(self.name, lambda: self._tried(request))

    def _tried(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except (self._obstore.exceptions.BaseError, FileNotFoundError, ValueError) as error:
            raise self._refine(error) from None


def _type_of(name: str) -> str:
    return _TYPES.get(Path(name).suffix, "application/octet-stream")
