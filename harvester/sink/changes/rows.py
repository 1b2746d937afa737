"""What an account's rows were, kept short, and how they differ from what they are now. Pure functions.

The content kept of an account is JSON: ``["digest of its lines", [[date, count], …]]``, latest month first; a
row with more properties than these has a digest of them as third. A row is known by its day; those that lack
one, or share it with another row of the account, have no identity: such a row is new or gone, never changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import orjson

CHANGE: Final = "change"
"""The property that tells ``new``, ``changed`` or ``gone``; one of the API's own of that name gives way."""

Fingerprint: TypeAlias = list[Any]
"""``[date, count]`` or ``[date, count, digest of the rest]``."""

_KNOWN: Final = frozenset({"accountId", "date", "count"})
_ISO_DATE_LENGTH: Final = 10
_DIGEST_BYTES: Final = 12


def content_of(lines: bytes) -> str:
    """What is kept of an account with these lines (NDJSON); nothing where it has none."""
    if not lines:
        return ""
    return _content(lines, [fingerprint(orjson.loads(line)) for line in lines.splitlines()])


def differences(account_id: str, before: str, lines: bytes) -> tuple[bytes, int, str]:
    """The lines to be written, how many they are, and what is kept from now on.

    `before` is what was kept of the account, `lines` are its rows now. Rows that are new or changed come in
    the order of `lines`, each whole; then those that are gone, as far as they are known.
    """
    digest, was = orjson.loads(before) if before else ("", [])
    if lines and digest == _digest(lines):
        return b"", 0, before
    rows = [orjson.loads(line) for line in lines.splitlines()]
    now = [fingerprint(row) for row in rows]
    kinds, gone = compare(was, now)
    written = [_line(row, kind) for row, kind in zip(rows, kinds, strict=True) if kind]
    written += [_gone(account_id, one) for one in gone]
    return b"".join(written), len(written), _content(lines, now) if lines else ""


def compare(was: Sequence[Fingerprint], now: Sequence[Fingerprint]) -> tuple[list[str], list[Fingerprint]]:
    """What each row of `now` is (``new``, ``changed``; nothing where it was so before), and what is gone."""
    left = list(was)
    kinds = []
    for one in now:
        if one in left:
            left.remove(one)
            kinds.append("")
        else:
            kinds.append("new")
    before, after = _by_day(was), _by_day(now)
    for place, one in enumerate(now):
        if kinds[place] and _alone(after, one) and _alone(before, one):
            kinds[place] = "changed"
            left.remove(before[_day(one)][0])
    return kinds, left


def fingerprint(row: dict[str, Any]) -> Fingerprint:
    """A row as it is compared and kept."""
    known = [row.get("date"), row.get("count")]
    rest = {name: value for name, value in row.items() if name not in _KNOWN}
    if not rest:
        return known
    return [*known, _digest(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))]


def _content(lines: bytes, rows: Sequence[Fingerprint]) -> str:
    latest_first = sorted(rows, key=lambda one: one[0] or "", reverse=True)
    return orjson.dumps([_digest(lines), latest_first]).decode()


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def _day(one: Fingerprint) -> str:
    return (one[0] or "")[:_ISO_DATE_LENGTH]


def _by_day(rows: Sequence[Fingerprint]) -> dict[str, list[Fingerprint]]:
    found = defaultdict(list)
    for one in rows:
        found[_day(one)].append(one)
    return found


def _alone(rows: dict[str, list[Fingerprint]], one: Fingerprint) -> bool:
    """Whether exactly one row has the day of `one`, so that it is known by it."""
    return bool(one[0]) and len(rows.get(_day(one), ())) == 1


def _line(row: dict[str, Any], kind: str) -> bytes:
    row.pop(CHANGE, None)
    return orjson.dumps(row | {CHANGE: kind}, option=orjson.OPT_APPEND_NEWLINE)


def _gone(account_id: str, one: Fingerprint) -> bytes:
    known = {"accountId": account_id, "date": one[0], "count": one[1], CHANGE: "gone"}
    present = {name: value for name, value in known.items() if value is not None}
    return orjson.dumps(present, option=orjson.OPT_APPEND_NEWLINE)
