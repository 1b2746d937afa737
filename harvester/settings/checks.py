"""Settings against each other: combinations that do not exist, or would not do what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from harvester.settings.destination import suffix_compression

if TYPE_CHECKING:
    from harvester.settings.settings import Settings

Contradiction: TypeAlias = tuple[str, str, str]
"""The setting, what is wrong with it, and what to do."""

_TABLES: Final = ("delta", "iceberg", "postgres")
_IN_PARTS: Final = (("directory", "store"), "give a directory (ends in /) or an object store")
_ANYWHERE: Final = (("stdout", "file", "directory", "store"), "leave out the format")
_PLACES: Final = {
    "ndjson": _ANYWHERE,
    "csv": _ANYWHERE,
    "parquet": (("file", "directory", "store"), "give a file, a directory (ends in /) or an object store"),
    "sqlite": (("file",), "give a file, for example -o usages.db"),
    "singer": (("stdout", "file"), "give - for stdout, or a file"),
    "delta": _IN_PARTS,
    "iceberg": (("table",), "give CATALOG:namespace.table"),
    "postgres": (("table",), "give postgresql://host/database/schema.table"),
}
"""Where each format can go, and what to say if it is to go elsewhere."""


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """What is wrong with the combination of these values, the plainest first."""
    yield from _list(settings)
    yield from _output(settings)
    yield from _changes(settings)
    yield from _resuming(settings)
    if settings.metrics is not None and settings.metrics.suffix != ".prom":
        problem = f"{settings.metrics} would never be read: the collector looks for names that end in .prom"
        yield "metrics", problem, "name it FILE.prom"
    ids = Counter(client.client_id for client in settings.clients if client.client_id)
    for client_id, times in ids.items():
        if times > 1:
            problem = f"{client_id} is listed {times} times, but has one quota"
            yield "clients", problem, "name each client once"


def _list(settings: Settings) -> Iterator[Contradiction]:
    if settings.list and (settings.inputs or settings.account):
        problem = "lists the tenant's own accounts, but other accounts are given"
        yield "list", problem, "give --list, or files and account IDs"
    for name in ("filters", "with_usage", "add"):
        if getattr(settings, name) and not settings.list:
            yield name, "is for listing the tenant's own accounts", "add --list"
    if settings.id_field and settings.input_format == "text":
        yield "id_field", "a text list has no columns", "leave it out, or choose csv or ndjson as the format"
    needing = {
        "skip_unreported": settings.skip_unreported,
        "with_usage": settings.with_usage,
        "add": "usage" in settings.add,
    }
    for name, given in needing.items():
        if given and settings.source_status == "off":
            yield name, "needs to know which sources report usage", "leave the source status at auto"


def _output(settings: Settings) -> Iterator[Contradiction]:
    where = settings.destination
    form, compression, dest = where.format, where.compression, where.dest
    places, hint = _PLACES[form]
    if where.place not in places:
        named = "stdout" if where.place == "stdout" else dest
        yield "format" if settings.format else "output", f"{form} cannot be written to {named}", hint
    if where.implied not in (None, form) and (where.implied, form) != ("ndjson", "singer"):
        hint = "leave it out and let the suffix decide, or change the suffix"
        yield "format", f"{form} contradicts the name {dest}", hint
    if settings.shape == "accounts" and form != "ndjson":
        yield "shape", f"accounts cannot be written as {form}", "choose ndjson, or the shape rows"
    if settings.columns and form in ("singer", "sqlite"):
        yield "columns", f"{form} has columns of its own", "leave them out"
    if form in ("parquet", "sqlite", *_TABLES) and compression != "none":
        name = "compress" if settings.compress else "output"
        yield name, f"{form} output cannot be compressed", "leave the compression out"
    if form in _TABLES and any("\ud800" <= character <= "\udfff" for character in dest):
        yield "output", f"{dest} is not UTF-8, as the names of tables are", "name another"
    if where.place == "file" and compression != (named := suffix_compression(dest)):
        problem = f"{compression} contradicts the name {dest}, which says {named}"
        yield "compress", problem, "leave it out and let the suffix decide: .gz, .zst or neither"
    for name in ("part_rows", "partition_by"):
        if getattr(settings, name) is not None and not where.in_parts:
            hint = "let the output end in /, for example -o usages/"
            yield name, "only a directory or an object store has parts", hint


def _changes(settings: Settings) -> Iterator[Contradiction]:
    if settings.changes is None:
        return
    where = settings.destination
    if where.format in ("singer", "sqlite", *_TABLES):
        yield "changes", f"{where.format} always has every row", "choose ndjson, csv or parquet"
    if settings.shape == "accounts":
        yield "changes", "rows change, not accounts", "leave the shape at rows"
    if settings.changes == "last" and where.place == "stdout" and settings.ledger is None:
        yield "changes", "stdout has no last harvest", "name a ledger: --changes LEDGER"
    if settings.changes == "last" and not settings.keep_ledger:
        problem = "the last harvest is in the ledger, which is not kept"
        yield "changes", problem, "keep the ledger, or name another: --changes LEDGER"


def _resuming(settings: Settings) -> Iterator[Contradiction]:
    where = settings.destination
    if settings.fresh and settings.retry_failed:
        yield "retry_failed", "continues the harvest that --fresh would replace", "give one of them"
    if settings.retry_failed and where.place == "stdout" and settings.ledger is None:
        hint = "name the ledger of the finished harvest with --ledger"
        yield "retry_failed", "stdout has no finished harvest", hint
    if not settings.keep_ledger and where.format == "sqlite":
        yield "keep_ledger", "the ledger is the output itself", "keep it, or choose another format"
