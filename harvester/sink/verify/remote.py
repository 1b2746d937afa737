"""An output in an object store, brought here to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harvester.errors import OutputFault
from harvester.sink.place.cloud import store_place
from harvester.sink.place.patience import Patience

_MAX_OUTAGE = 60.0
"""Seconds that a store is waited for by someone who looks on."""


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A temporary folder with all objects of the output at `url`.

    Raises:
        OutputFault: there is none.
        SettingFault, AccessDenied: the store can't be reached.
    """
    place = store_place(url.rstrip("/") + "/", Patience(_MAX_OUTAGE))
    place.look()
    with TemporaryDirectory(prefix="harvester-") as folder:
        names = place.sizes("")
        if not names:
            raise OutputFault(f"{url}: nothing is there", "name a prefix that `harvester run` has written")
        for name in names:
            place.fetch(name, Path(folder) / name)
        yield Path(folder)
