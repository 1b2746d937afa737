"""An output in an object store, brought here to be looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harvester.errors import OutputFault
from harvester.sink.place.cloud import store_place
from harvester.sink.place.patience import Patience
from harvester.sink.verify.check import verify
from harvester.sink.verify.verdict import Verdict

_MAX_OUTAGE = 60.0
"""Seconds that a store is waited for by someone who looks on."""


def verify_store(
    url: str, *, lists: Iterable[Iterable[str]] | None = None, failures: Path | None = None
) -> Verdict:
    """`verify` for what stands in an object store; it is brought into a temporary folder, all of it.

    Raises:
        OutputFault: there is nothing, or a harvest a day.
        SettingFault, AccessDenied: the store can't be reached.
    """
    url = url.rstrip("/") + "/"
    place = store_place(url, Patience(_MAX_OUTAGE))
    place.look()
    names = place.sizes("")
    _see_what_it_is(url, names)
    with TemporaryDirectory(prefix="harvester-") as folder:
        for name in names:
            place.fetch(name, Path(folder) / name)
        verdict = verify(Path(folder), lists=lists, failures=failures)
        for number, finding in enumerate(verdict.findings):
            there = finding.place.replace(f"{folder}/", url).replace(folder, url)
            verdict.findings[number] = replace(finding, place=there)
        return verdict


def _see_what_it_is(url: str, names: Iterable[str]) -> None:
    folders = sorted({name.partition("/")[0] for name in names})
    if not folders:
        raise OutputFault(f"{url}: nothing is there", "name a prefix that `harvester run` has written")
    days = [folder for folder in folders if folder.startswith("harvested=")]
    if days and "_manifest.json" not in folders:
        mend = f"name one, such as {url}{days[-1]}/"
        raise OutputFault(f"{url}: holds a harvest a day, each a whole of its own", mend)
