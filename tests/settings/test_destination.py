"""What DEST names, and what its suffix says."""

from __future__ import annotations

import pytest

from harvester.settings.destination import Format, destination, resolve
from harvester.settings.parse import BadValue


@pytest.mark.parametrize(
    ("dest", "form", "found"),
    [
        ("-", None, ("stdout", "ndjson", "none")),
        ("/dev/stdout", "csv", ("stdout", "csv", "none")),
        ("usages", None, ("file", "ndjson", "none")),
        ("usages.ndjson", None, ("file", "ndjson", "none")),
        ("usages.csv", None, ("file", "csv", "none")),
        ("USAGES.CSV.GZ", None, ("file", "csv", "gzip")),
        ("usages.ndjson.zst", None, ("file", "ndjson", "zstd")),
        ("usages.gz", "singer", ("file", "singer", "gzip")),
        ("usages.parquet", None, ("file", "parquet", "none")),
        ("usages.db", None, ("file", "sqlite", "none")),
        ("usages.sqlite", None, ("file", "sqlite", "none")),
        ("usages/", None, ("directory", "ndjson", "none")),
        ("usages.csv/", None, ("directory", "ndjson", "none")),
        ("usages/", "delta", ("directory", "delta", "none")),
        ("s3://bucket/prefix/", "parquet", ("store", "parquet", "none")),
        ("gs://bucket", None, ("store", "ndjson", "none")),
        ("prod:lake.usages", None, ("table", "iceberg", "none")),
        ("prod:lake.raw.usages", "iceberg", ("table", "iceberg", "none")),
        ("prod:lake.usages", "csv", ("file", "csv", "none")),
        ("nightly:usages.ndjson", None, ("file", "ndjson", "none")),
        ("2026-11:usages.csv.gz", None, ("file", "csv", "gzip")),
        ("postgresql://host/db/public.usages", None, ("table", "postgres", "none")),
        ("postgres://me@host:5432/db/public.usages?sslmode=require", None, ("table", "postgres", "none")),
    ],
)
def test_what_a_name_says(dest: str, form: Format | None, found: tuple[str, str, str]) -> None:
    """Place, format and compression, from the name and from the format if it is given."""
    where = resolve(destination(dest), form)
    assert (where.place, where.format, where.compression) == found


@pytest.mark.parametrize(
    ("dest", "said"),
    [
        ("ftp://host/x", "ftp://, which is not supported"),
        ("https://host/x", "https://, which is not supported"),
        ("s3://", "names no bucket"),
        ("s3://bucket/a.ndjson", "names a file, but an object store gets parts"),
        ("s3://bucket/a.csv", "names a file"),
        ("s3://key:pass-word@bucket/x/", "more than a bucket and a prefix"),
        ("s3://bucket/x/?token=pass-word", "more than a bucket and a prefix"),
        ("postgresql://me:pass-word@host/db/public.usages", "has a password in it"),
        ("postgresql://host/db/public.usages?password=pass-word", "has a password in it"),
        ("postgresql://host/db", "does not name a table"),
        ("postgresql://host/db/usages", "does not name a table"),
        ("postgresql:///db/public.usages", "does not name a table"),
        ("s3://[x/", "is not a URL"),
        ("postgresql://host:port/db/public.usages", "is not a URL"),
    ],
)
def test_what_is_not_a_destination(dest: str, said: str) -> None:
    """A URL that is not one of ours, or holds a secret, is refused; what may be secret is not shown."""
    with pytest.raises(BadValue) as caught:
        destination(dest)
    assert said in str(caught.value)
    assert "pass-word" not in str(caught.value)
    assert caught.value.secret or "@" not in dest


def test_what_is_in_parts() -> None:
    """Directories and prefixes are, tables are not."""
    assert resolve("a/").in_parts
    assert resolve("s3://b/").in_parts
    assert not resolve("a/", "delta").in_parts
    assert not resolve("a").in_parts
