"""Settings against each other: combinations that don't exist, or would destroy something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harvester.settings import parse
from harvester.settings.store_url import problem_with
from harvester.settings.table import FIELDS
from harvester.settings.values import COLUMNS, Values

_WORDS = {field.name: field.kind.choices for field in FIELDS if field.kind.choices}
_OWNERS = 0o600
_FILES = ("failures", "summary", "ledger", "changes", "singer_state", "report", "metrics")
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}


class Complaint(NamedTuple):
    """What is wrong with the setting called `field`."""

    field: str
    problem: str
    mend: str


def complaints(settings: Values) -> Iterator[Complaint]:
    """All that is wrong with these values and their combinations, the plainest first."""
    yield from _values(settings)
    yield from _rows_wanted(settings)
    yield from _format(settings)
    yield from _states(settings)
    yield from _compression(settings)
    yield from _folder_only(settings)
    yield from _lake(settings)
    yield from _names(settings)
    yield from _clients(settings)


def _values(settings: Values) -> Iterator[Complaint]:
    """Ranges and words, for values that didn't come through the table's parsers."""
    for field in FIELDS:
        value = getattr(settings, field.name)
        try:
            field.check(value)
        except parse.BadValue as bad:
            yield Complaint(field.name, f"{value!r} {bad.problem}", bad.mend)
        if field.name in _WORDS and value is not None and value not in _WORDS[field.name]:
            yield Complaint(
                field.name, f"{value!r} is none of {', '.join(_WORDS[field.name])}", "take one of them"
            )


def _rows_wanted(settings: Values) -> Iterator[Complaint]:
    if settings.since is not None:
        try:
            parse.month(settings.since)
        except parse.BadValue as bad:
            yield Complaint("since", f"{settings.since!r} {bad.problem}", bad.mend)
        if settings.sorters != "-date":
            problem = "needs the newest rows first, or it would page past them"
            yield Complaint("since", problem, "leave the sorters at -date")
    if settings.id_field and settings.input_format == "text":
        yield Complaint(
            "id_field", "a text list has no columns", "leave it out, or say csv or ndjson for the format"
        )
    if settings.file_mode & ~0o777 or ~settings.file_mode & _OWNERS:
        shown = parse.show_mode(settings.file_mode)
        yield Complaint("file_mode", f"{shown} must let the owner read and write", 'give for example "0640"')


def _format(settings: Values) -> Iterator[Complaint]:
    if settings.format == "ndjson":
        if settings.output.endswith(".parquet") and "://" not in settings.output:
            yield Complaint("output", f"{settings.output} would hold NDJSON", "ask for the format parquet")
        return
    if settings.shape == "accounts":
        yield Complaint(
            "shape", f"accounts don't exist as {settings.format}", "take ndjson, or the shape rows"
        )
    if settings.format == "singer" and settings.output_is_folder:
        yield Complaint("format", "singer is one stream of messages", "write it to stdout or to a file")
    if settings.format == "parquet" and settings.output == "-":
        yield Complaint("format", "parquet can't go to stdout", "give a file or a folder for the output")
    if settings.format == "parquet" and (settings.compress or _suffix_of(settings.output)):
        name = "compress" if settings.compress else "output"
        yield Complaint(name, "parquet compresses its own pages", "leave the compression out")


def _states(settings: Values) -> Iterator[Complaint]:
    """What a run may know of the ones before it."""
    if settings.singer_state is not None and settings.format != "singer":
        yield Complaint("singer_state", f"{settings.format} has no state", "ask for the format singer")
    if settings.changes is None:
        return
    if settings.format == "singer":
        yield Complaint(
            "changes", "singer has a state of its own", "take --singer-state, or the format ndjson or parquet"
        )
    if settings.shape == "accounts":
        yield Complaint("changes", "it is rows that change", "leave the shape at rows")


def _suffix_of(output: str) -> str | None:
    return _COMPRESSED.get(Path(output).suffix) if not output.endswith("/") else None


def _compression(settings: Values) -> Iterator[Complaint]:
    """A file's name says how it is compressed: it must not lie."""
    if settings.compress is None or settings.output == "-" or settings.output_is_folder:
        return
    named = _suffix_of(settings.output) or "none"
    if settings.compress != named:
        mend = "leave it out and let the suffix decide: .gz, .zst, or neither"
        yield Complaint("compress", f"{settings.compress} contradicts the name {settings.output}", mend)


def _folder_only(settings: Values) -> Iterator[Complaint]:
    if settings.output_is_folder:
        return
    for name in ("part_rows", "part_bytes"):
        if getattr(settings, name) is not None:
            yield Complaint(name, "parts need a folder", "let the output end in /, for example -o usages/")
    if settings.output == "-" and settings.ledger is not None:
        yield Complaint("ledger", "what went to stdout can't be resumed", "give the output a file name")


def _lake(settings: Values) -> Iterator[Complaint]:
    """Partitions, columns of provenance, object stores."""
    if settings.partition_by is not None and not settings.output_is_folder:
        problem = "partitions are folders, which need one to be in"
        yield Complaint("partition_by", problem, "let the output end in /, for example -o usages/")
    if settings.partition_by == "month" and settings.shape == "accounts":
        problem = "an account's line is of many months"
        yield Complaint("partition_by", problem, "take the shape rows, or partition by harvested")
    if unknown := [name for name in settings.columns if name not in COLUMNS]:
        problem = f"{', '.join(unknown)} is none of {', '.join(COLUMNS)}"
        yield Complaint("columns", problem, "take any of these")
    if settings.columns and settings.format == "singer":
        problem = "singer's records have the columns of their schema"
        yield Complaint("columns", problem, "leave them out")
    if "://" in settings.output and (wrong := problem_with(settings.output)) is not None:
        yield Complaint("output", *wrong)


def _names(settings: Values) -> Iterator[Complaint]:
    """No two files of a run may be one, and no list is to be overwritten by what it leads to."""
    files = {"output": settings.output if settings.output != "-" else None}
    files |= {name: getattr(settings, name) for name in _FILES}
    taken: dict[Path, str] = {Path(one): "an input" for one in settings.inputs if one != "-"}
    for name, file in files.items():
        if file is None:
            continue
        if (other := taken.setdefault(Path(file), f"the {name}")) != f"the {name}":
            yield Complaint(name, f"{file} is also {other}", "give each a name of its own")
    if settings.failures is None and settings.output != "-":
        default = Path(settings.output + ("_" if settings.output_is_folder else ".") + "failures.ndjson")
        if taken.get(default) == "an input":
            problem = f"harvesting {default} would replace the output that it belongs to"
            yield Complaint("output", problem, "give this run an output of its own")


def _clients(settings: Values) -> Iterator[Complaint]:
    ids = Counter(client.client_id for client in settings.clients if client.client_id)
    for client_id, times in ids.items():
        if times > 1:
            problem = f"{client_id} is there {times} times, but has one quota"
            yield Complaint("clients", problem, "name each client once")
