"""Props: outputs in the lake read by other means than ours, and a store in memory that fails by plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import orjson
import pyarrow.parquet as pq
from obstore.store import MemoryStore

from harvester.sink.place.cloud import refined
from harvester.sink.place.patience import Patience
from harvester.sink.place.store import StorePlace
from tests.sink.stage import Line, Plan, content

Objects = dict[str, bytes]


def rows_of_file(path: Path) -> list[Line]:
    """The rows of one finished file, dates as text."""
    if path.suffix == ".parquet":
        return [
            {name: value.isoformat() if name == "date" else value for name, value in row.items()}
            for row in pq.read_table(path, partitioning=None).to_pylist()
        ]
    return [orjson.loads(line) for line in content(path).splitlines()]


def rows_of(folder: Path) -> list[Line]:
    """The rows of all finished files below a folder; each stands in the partition of its month."""
    found = []
    for path in sorted(folder.rglob("part-*")):
        rows = rows_of_file(path)
        if path.parent.name.startswith("month="):
            assert {f"month={row['date'][:7]}" for row in rows} == {path.parent.name}
        found += rows
    return found


def unpacked(objects: Objects, folder: Path) -> Path:
    """Objects as files."""
    for name, data in objects.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


class MemoryCloud:
    """A store that lives as long as this object; each request is a step of `plan`."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.plan = Plan()
        self.log: list[str] = []

    def place(self, url: str, patience: Patience) -> StorePlace:
        """Stands in for `store_place`."""
        return StorePlace(url, self.store, self, patience, refined)

    def objects(self) -> Objects:
        """All that is in it."""
        names = [one["path"] for page in obstore.list(self.store) for one in page]
        return {name: bytes(obstore.get(self.store, name).bytes()) for name in names}

    # -- what the place calls: the functions of `obstore`, with faults

    exceptions = obstore.exceptions

    def put(self, store: Any, name: str, data: bytes | Iterator[bytes], **_: Any) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        self._step(f"put {name}", lambda: obstore.put(store, name, whole))

    def delete(self, store: Any, names: str | list[str]) -> None:
        for name in [names] if isinstance(names, str) else names:
            self._step(f"delete {name}", partial(self._delete, store, name))

    def get(self, store: Any, name: str) -> Any:
        return obstore.get(store, name)

    def head(self, store: Any, name: str) -> Any:
        return obstore.head(store, name)

    def list(self, store: Any, prefix: str | None = None, **more: Any) -> Iterable[Any]:
        return obstore.list(store, prefix, **more)

    def _delete(self, store: Any, name: str) -> None:
        if name in self.objects():
            obstore.delete(store, name)

    def _step(self, what: str, do: Callable[[], object]) -> None:
        self.log.append(what)
        try:
            self.plan.at_step(lambda: void(do()))
        except OSError as error:
            raise obstore.exceptions.GenericError(f"Generic error: {error}") from error


def void(_: object) -> None:
    """Forget a result."""


__all__ = ["MemoryCloud", "Objects", "rows_of", "rows_of_file", "unpacked"]
