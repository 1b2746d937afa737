"""Names of files made from values of the tenant: safe on every file system, and unique."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final
from unicodedata import normalize

_UNSAFE: Final = re.compile(r"[^\w.@+-]+")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.ASCII | re.IGNORECASE)
"""Names of devices on Windows, with any suffix."""
_LONGEST: Final = 150
"""Bytes of UTF-8: file systems take 255, and there is more to come."""
_NONE: Final = "none"
"""For accounts without a value."""


def key_of(value: str) -> str:
    """16 hex digits that stand for `value` where its own name will not do."""
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def file_names(values: Iterable[str], suffix: str) -> dict[str, str]:
    """A name for each of the values, with `suffix`. The order of the values does not matter.

    Where values would have one name (also where case is ignored), all of these end in a hash of their own.
    """
    stems: defaultdict[str, set[str]] = defaultdict(set)
    for value in values:
        stems[_stem(value).casefold()].add(value)
    return {
        value: f"{_stem(value)}{suffix}" if len(alike) == 1 else f"{_stem(value)}-{key_of(value)}{suffix}"
        for alike in stems.values()
        for value in alike
    }


def _stem(value: str) -> str:
    text = _UNSAFE.sub("_", normalize("NFC", value)).strip("._-+") or _NONE
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return text.encode()[:_LONGEST].decode(errors="ignore")
