"""URLs of object stores: a bucket and a prefix, and nothing that is secret."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")


def problem_with(url: str) -> tuple[str, str] | None:
    """What is wrong with `url` (without what may be secret in it), and the mend; None if nothing is."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        known = "take s3://, gs:// or az://, a folder that ends in /, or a file"
        return f"{parts.scheme}:// is no object store that is known here", known
    if parts.query or parts.fragment or parts.username or parts.password:
        named = f"{parts.scheme}://{parts.hostname}"
        mend = "leave out ?, # and @; credentials belong into the environment"
        return f"the URL of {named} holds more than a bucket and a prefix", mend
    if not parts.hostname:
        return f"{url} names no bucket", f"write {parts.scheme}://bucket/prefix/"
    if url.rpartition("/")[2].endswith((".ndjson", ".json", ".parquet", ".gz", ".zst")):
        return f"{url} names a file, but an object store gets parts", "name a prefix that ends in /"
    return None
