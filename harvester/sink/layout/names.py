"""What files in an output folder are called, and what a name says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from harvester.model import Shard

_PART: Final = re.compile(r"part-.+?(?:-(?P<tag>\d+of\d+))?-\d{5,}\.(?:ndjson|parquet)(?:\.gz|\.zst)?")
_SERVICE: Final = re.compile(r"_(?:SUCCESS|manifest|ledger)(?:\.(?P<tag>\d+of\d+))?(?:\.json)?")


def shard_tag(shard: Shard | None) -> str:
    """How names show a shard: ``1of4``; nothing where there is none."""
    return "" if shard is None else f"{shard.index}of{shard.count}"


class FolderNames:
    """The names in one folder that belong to a harvest, or to one shard (`tag`) of it."""

    def __init__(self, folder: Path, tag: str = "") -> None:
        dotted = f".{tag}" if tag else ""
        self._folder = folder
        self._tag = tag
        self.ledger = folder / f"_ledger{dotted}"
        self.lock = folder / f"_lock{dotted}"
        self.manifest = folder / f"_manifest{dotted}.json"
        self.success = folder / f"_SUCCESS{dotted}"
        self.failures = folder / f"_failures{dotted}.ndjson"
        self.summary = folder / f"_summary{dotted}.json"
        self.joining = folder / "_lock.joining"

    def part_name(self, run_id: str, number: int, suffix: str) -> str:
        """The final name of a part."""
        return f"part-{run_id}{f'-{self._tag}' if self._tag else ''}-{number:05}{suffix}"

    def hidden(self, name: str) -> Path:
        """Where a part stands until it may be seen."""
        return self._folder / f".{name}.partial"

    def parts(self) -> list[Path]:
        """Parts under final names."""
        found = [*self._folder.glob("part-*"), *self._folder.glob("month=*/part-*")]
        return sorted(path for path in found if self.is_ours(path.name))

    def hidden_parts(self) -> list[Path]:
        """Parts that can't be seen yet."""
        return sorted(
            path
            for path in self._folder.glob(".part-*.partial")
            if self.is_ours(path.name.removeprefix(".").removesuffix(".partial"))
        )

    def tags_present(self) -> set[str]:
        """Of which shards there is something; "" stands for a harvest that is not sharded."""
        return tags_in(path.name for path in self._folder.iterdir())

    def is_ours(self, name: str) -> bool:
        """Whether a file of that name is a part of this harvest, or of this shard of it."""
        match = _PART.fullmatch(name)
        return match is not None and (match["tag"] or "") == self._tag


def tags_in(names: Iterable[str]) -> set[str]:
    """Of which shards there is something among these files of one folder; "": of a harvest without shards."""
    found = {(match["tag"] or "", name) for name in names if (match := _SERVICE.fullmatch(name))}
    tags = {tag for tag, _ in found}
    if tags - {""} and not any(name == "_ledger" for _, name in found):
        tags.discard("")  # the overall manifest and _SUCCESS of the shards themselves
    return tags
