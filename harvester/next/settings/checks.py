"""Settings against each other: combinations that do not exist, or would not do what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from harvester.next.settings.destination import suffix_compression

if TYPE_CHECKING:
    from harvester.next.settings.settings import Settings

_TABLES = ("delta", "iceberg", "postgres")
_UNCOMPRESSED = ("parquet", "sqlite", *_TABLES)
_WHERE = {
    "parquet": (("file", "directory", "store"), "give a file, a directory (ends in /) or an object store"),
    "sqlite": (("file",), "give a file, for example -o usages.db"),
    "singer": (("stdout", "file"), "give - for stdout, or a file"),
    "delta": (("directory", "store"), "give a directory (ends in /) or an object store"),
    "iceberg": (("table",), "give CATALOG:namespace.table"),
    "postgres": (("table",), "give postgresql://host/database/schema.table"),
    "ndjson": (("stdout", "file", "directory", "store"), "leave out the format"),
    "csv": (("stdout", "file", "directory", "store"), "leave out the format"),
}
"""Where each format can go, and what to say if it is to go elsewhere."""


class Contradiction(NamedTuple):
    """What is wrong with the setting called `name`."""

    name: str
    problem: str
    hint: str


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """What is wrong with the combination of these values, the plainest first."""
    yield from _list(settings)
    yield from _format(settings)
    yield from _compression(settings)
    yield from _parts(settings)
    yield from _changes(settings)
    yield from _resuming(settings)
    yield from _clients(settings)


def _list(settings: Settings) -> Iterator[Contradiction]:
    if settings.list and (settings.inputs or settings.account):
        hint = "give --list, or files and account IDs"
        yield Contradiction("list", "lists the tenant's own accounts, but other accounts are given", hint)
    for name in ("filters", "with_usage", "add"):
        if getattr(settings, name) and not settings.list:
            yield Contradiction(name, "is for listing the tenant's own accounts", "add --list")
    if settings.id_field and settings.input_format == "text":
        hint = "leave it out, or choose csv or ndjson as the format"
        yield Contradiction("id_field", "a text list has no columns", hint)
    if settings.source_status == "off":
        yield from _without_source_status(settings)


def _without_source_status(settings: Settings) -> Iterator[Contradiction]:
    wanted = {
        "skip_unreported": settings.skip_unreported,
        "with_usage": settings.with_usage,
        "add": "usage" in settings.add,
    }
    for name in (name for name, given in wanted.items() if given):
        hint = "leave the source status at auto"
        yield Contradiction(name, "needs to know which sources report usage", hint)


def _format(settings: Settings) -> Iterator[Contradiction]:
    where = settings.destination
    named = "stdout" if where.place == "stdout" else where.dest
    places, hint = _WHERE[where.format]
    if where.place not in places:
        name = "format" if settings.format else "output"
        yield Contradiction(name, f"{where.format} cannot be written to {named}", hint)
    alike = where.implied in (None, where.format) or (where.implied, where.format) == ("ndjson", "singer")
    if not alike:
        problem = f"{where.format} contradicts the name {where.dest}"
        yield Contradiction("format", problem, "leave it out and let the suffix decide, or change the suffix")
    if settings.shape == "accounts" and where.format != "ndjson":
        hint = "choose ndjson, or the shape rows"
        yield Contradiction("shape", f"accounts cannot be written as {where.format}", hint)
    if settings.columns and where.format in ("singer", "sqlite"):
        yield Contradiction("columns", f"{where.format} has columns of its own", "leave them out")


def _compression(settings: Settings) -> Iterator[Contradiction]:
    """A file's name says how it is compressed: it must not lie."""
    where = settings.destination
    if where.format in _UNCOMPRESSED and where.compression != "none":
        name = "compress" if settings.compress else "output"
        yield Contradiction(name, f"{where.format} output cannot be compressed", "leave the compression out")
    if where.place == "file" and where.compression != (named := suffix_compression(where.dest)):
        problem = f"{where.compression} contradicts the name {where.dest}, which says {named}"
        yield Contradiction(
            "compress", problem, "leave it out and let the suffix decide: .gz, .zst or neither"
        )


def _parts(settings: Settings) -> Iterator[Contradiction]:
    if settings.destination.in_parts:
        return
    for name in ("part_rows", "partition_by"):
        if getattr(settings, name) is not None:
            hint = "let the output end in /, for example -o usages/"
            yield Contradiction(name, "only a directory or an object store has parts", hint)


def _changes(settings: Settings) -> Iterator[Contradiction]:
    if settings.changes is None:
        return
    where = settings.destination
    if where.format in ("singer", "sqlite", *_TABLES):
        hint = "leave it out, or choose ndjson, csv or parquet"
        yield Contradiction("changes", f"{where.format} always has every row", hint)
    if settings.shape == "accounts":
        yield Contradiction("changes", "rows change, not accounts", "leave the shape at rows")
    if settings.changes == "last" and where.place == "stdout" and settings.ledger is None:
        hint = "name a ledger: --changes LEDGER"
        yield Contradiction("changes", "stdout has no last harvest", hint)
    if settings.changes == "last" and not settings.keep_ledger:
        hint = "keep the ledger, or name another: --changes LEDGER"
        yield Contradiction("changes", "the last harvest is in the ledger, which is not kept", hint)


def _resuming(settings: Settings) -> Iterator[Contradiction]:
    where = settings.destination
    if settings.fresh and settings.retry_failed:
        hint = "give one of them"
        yield Contradiction("retry_failed", "continues the harvest that --fresh would replace", hint)
    if settings.retry_failed and where.place == "stdout" and settings.ledger is None:
        hint = "name the ledger of the finished harvest with --ledger"
        yield Contradiction("retry_failed", "stdout has no finished harvest", hint)
    if not settings.keep_ledger and where.format == "sqlite":
        yield Contradiction(
            "keep_ledger", "the ledger is the output itself", "keep it, or choose another format"
        )


def _clients(settings: Settings) -> Iterator[Contradiction]:
    ids = Counter(client.client_id for client in settings.clients if client.client_id)
    for client_id, times in ids.items():
        if times > 1:
            problem = f"{client_id} is listed {times} times, but has one quota"
            yield Contradiction("clients", problem, "name each client once")
