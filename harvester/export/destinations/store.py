"""A prefix of an object store.

Each file is one object, put there in one step; a large one in pieces that the store joins, so it is visible
whole or not at all. What arrives is checked: by S3 with the SHA-256 of each piece, by size everywhere. A
part waits in an unnamed temporary file until it is whole: so it can be sent again when the store has
been away, and a kill leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final, TypeVar

from harvester.errors import AccessDenied, OutputError
from harvester.export.control import Retry, Unavailable
from harvester.export.destinations.cloud import refined
from harvester.export.extras import lake_module
from harvester.export.output import Sink
from harvester.files import disk_errors

T = TypeVar("T")

PIECE: Final = 8 * 1024 * 1024
"""Bytes of a large object sent at once; the least that S3 takes is 5 MiB."""
_AT_ONCE: Final = 4
"""Pieces of one object in flight: 32 MiB of memory, and enough for a good line."""
_WHAT: Final = "a part on its way to the store"
_PROBE: Final = "_harvester_probe"
"""Always the same, so that one left by a kill is removed the next time."""


class Store:
    """`store` is an obstore store whose root is the prefix `url`; `obstore` has the functions that use it."""

    staged = False

    def __init__(self, url: str, store: Any, retry: Retry, obstore: Any = None) -> None:
        self.name = url if url.endswith("/") else url + "/"
        self._store = store
        self._obstore = obstore or lake_module("obstore", "--output", url)
        self._exceptions = lake_module("obstore.exceptions", "--output", url)
        self._retry = retry

    def try_out(self) -> None:
        """Write a small object, list the prefix and remove the object again."""
        with self._explained():
            self._tried(lambda: self._obstore.put(self._store, _PROBE, b"written and removed by harvester\n"))
            self._tried(self._listed)
            self._tried(lambda: self._obstore.delete(self._store, _PROBE))

    def names(self, prefix: str) -> set[str]:
        """Objects directly below the prefix."""
        return {name for name in self._insist(self._listed) if name.startswith(prefix)}

    def read(self, name: str) -> bytes | None:
        """One request."""

        def read() -> bytes | None:
            try:
                return bytes(self._obstore.get(self._store, name).bytes())
            except FileNotFoundError:
                return None

        return self._insist(read)

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put like a part."""
        sink = self.create(name)
        try:
            for piece in pieces:
                sink.write(piece)
            sink.close()
        finally:
            sink.discard()

    def create(self, name: str) -> Sink:
        """The object is put when it is closed."""
        return _Buffered(self, name)

    def publish(self, names: list[str]) -> None:
        """Objects are visible already."""

    def discard(self, names: list[str]) -> None:
        """Nothing is staged."""

    def remove(self, names: list[str]) -> None:
        """One request for all, where the store can."""

        def remove() -> None:
            try:
                self._obstore.delete(self._store, names)
            except FileNotFoundError:  # Azure says so, and may not have got to the rest
                for name in names:
                    with suppress(FileNotFoundError):
                        self._obstore.delete(self._store, name)

        if names:
            self._insist(remove)

    def upload(self, name: str, file: IO[bytes], size: int) -> None:
        """Send all of `file`, from its beginning, and see that all of it has arrived."""

        def upload() -> None:
            file.seek(0)
            if size <= PIECE:
                self._obstore.put(self._store, name, file.read())
            else:
                self._obstore.put(
                    self._store,
                    name,
                    self._pieces(file),
                    chunk_size=PIECE,
                    max_concurrency=_AT_ONCE,
                )
            if (arrived := self._obstore.head(self._store, name)["size"]) != size:
                raise Unavailable(f"{name} has {arrived} bytes there instead of {size}")

        self._insist(upload)

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        """Ends with an error when the export is stopped: a large object must not hold it up."""
        while piece := file.read(PIECE):
            self._retry.control.check()
            yield piece

    def _listed(self) -> set[str]:
        found = self._obstore.list_with_delimiter(self._store)
        return {str(one["path"]) for one in found["objects"]}

    def _insist(self, request: Callable[[], T]) -> T:
        return self._retry(lambda: self._tried(request))

    def _tried(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except (self._exceptions.BaseError, FileNotFoundError, ValueError) as error:
            raise refined(error) from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Within it, a fault is one that waiting would not fix."""
        try:
            yield
        except Unavailable as fault:
            problem = f"{self.name} cannot be written to: {fault.problem}"
            if fault.denied:
                raise AccessDenied(
                    problem, "use credentials that may put, list and delete objects there"
                ) from None
            raise OutputError(problem, "check the name, region and endpoint of the store") from None


class _Buffered:
    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store
        self._size = 0
        with disk_errors(tempfile.gettempdir(), _WHAT, started=True):
            self._file = tempfile.TemporaryFile(prefix="harvester-")  # noqa: SIM115  # closed in `close`

    def write(self, data: bytes) -> None:
        with disk_errors(tempfile.gettempdir(), _WHAT, started=True):
            self._file.write(data)
        self._size += len(data)

    def close(self) -> None:
        with self._file:
            with disk_errors(tempfile.gettempdir(), _WHAT, started=True):
                self._file.flush()
            self._store.upload(self.name, self._file, self._size)

    def discard(self) -> None:
        with suppress(OSError):
            self._file.close()
