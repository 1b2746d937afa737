"""What DEST names: stdout, a file, a directory, a store or a table, and the format that goes there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit

from harvester.settings.parse import BadValue, path_text

Format: TypeAlias = Literal["ndjson", "csv", "parquet", "sqlite", "singer", "delta", "iceberg", "postgres"]
Compression: TypeAlias = Literal["none", "gzip", "zstd"]
Place: TypeAlias = Literal["stdout", "file", "directory", "store", "table"]

STORES: Final = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
"""Schemes of object stores."""

_POSTGRES: Final = ("postgresql", "postgres")
_FORMATS: Final[dict[str, Format]] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".singer": "singer",
}
_COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}
_CATALOG_TABLE: Final = re.compile(r"[A-Za-z_][\w-]*:[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+")
_TABLE_PATH: Final = re.compile(r"/[^/]+/[^/.]+\.[^/.]+")


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination with what its name and the options say. `implied` is the format its name stands for."""

    dest: str
    place: Place
    format: Format
    compression: Compression
    implied: Format | None

    @property
    def remote(self) -> bool:
        """Whether it is an object store or a table: no path of this machine."""
        return self.place in ("store", "table")

    @property
    def in_parts(self) -> bool:
        """Whether the output is several files: in a directory or under a prefix."""
        return self.place in ("directory", "store") and self.format != "delta"


def destination(value: object) -> str:
    """DEST as it is written, checked; ``/dev/stdout`` becomes ``-``."""
    written = path_text(value)
    if "://" in written:
        parts = _split(written)
        (_check_postgres if parts.scheme in _POSTGRES else _check_store)(parts)
    return "-" if written == "/dev/stdout" else written


def resolve(dest: str, form: Format | None = None, compress: Compression | None = None) -> Destination:
    """What a checked `dest` means; the format and the compression take the place of what its name says."""
    place = _place(dest, form)
    name = PurePath(dest if place == "file" else "").name
    packed = suffix_compression(name)
    inner = name if packed == "none" else PurePath(name).stem
    implied = _FORMATS.get(PurePath(inner).suffix.lower())
    if place == "table":
        implied = "postgres" if "://" in dest else "iceberg"
    return Destination(dest, place, form or implied or "ndjson", compress or packed, implied)


def suffix_compression(dest: str) -> Compression:
    """How the file called `dest` is compressed, by its suffix."""
    return _COMPRESSIONS.get(PurePath(dest).suffix.lower(), "none")


def _place(dest: str, form: Format | None) -> Place:
    if dest == "-":
        return "stdout"
    if "://" in dest:
        return "table" if urlsplit(dest).scheme in _POSTGRES else "store"
    if dest.endswith("/"):
        return "directory"
    is_table = _CATALOG_TABLE.fullmatch(dest) and not _names_a_file(dest) and form in (None, "iceberg")
    return "table" if is_table else "file"


def _names_a_file(dest: str) -> bool:
    """Whether it has a known suffix, as ``2026-11:usages.ndjson`` has."""
    return PurePath(dest).suffix.lower() in _FORMATS.keys() | _COMPRESSIONS.keys()


def _check_store(parts: SplitResult) -> None:
    if parts.scheme not in STORES:
        hint = "use s3://, gs://, az:// or postgresql://, a directory that ends in /, or a file"
        raise BadValue(f"has the scheme {parts.scheme}://, which is not supported", hint, secret=True)
    if parts.query or parts.fragment or parts.username or parts.password:
        hint = "leave out ?, # and @; credentials belong in the environment"
        raise BadValue(f"({parts.scheme}://…) holds more than a bucket and a prefix", hint, secret=True)
    if not parts.hostname:
        raise BadValue("names no bucket", f"write {parts.scheme}://bucket/prefix/")
    if _names_a_file(parts.path):
        raise BadValue("names a file, but an object store gets parts", "name a prefix that ends in /")


def _check_postgres(parts: SplitResult) -> None:
    if parts.password or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise BadValue("has a password in it", "remove it, and set PGPASSWORD or ~/.pgpass", secret=True)
    if not parts.hostname or not _TABLE_PATH.fullmatch(parts.path):
        hint = "write postgresql://host/database/schema.table"
        raise BadValue("(postgresql://…) does not name a table", hint, secret=True)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadValue("is not a URL", "write for example s3://bucket/prefix/", secret=True) from None
    return parts
