"""The value of a STATE: what of which accounts was delivered, as the target hands it back.

It is all that a Singer tap may remember, so it must stay small however long the list is, and it must not let
a row be missed. Accounts are therefore named by count and digest: the first so many distinct IDs of a list::

    {"bookmarks": {"account_usages": {
        "tenant": "https://…", "apiVersion": "v2024", "since": null,   what was asked for
        "replication_key": "date",
        "replication_key_value": "2026-10-01",   rows before it need not be sent again …
        "accounts": {"count": 5000, "digest": "…", "failed": ["…"]},   … of these accounts
        "harvest": {"started": "2026-11-23T02:00:00Z", "count": 1250, "digest": "…", "failed": []}
    }}}

`harvest` is there while a harvest is under way: the accounts that the records before this STATE hold, all of
them. `failed` are those among the first `count` that were given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.errors import InputFault
from harvester.ledger import IdDigest
from harvester.settings import parse
from harvester.sink.disk import at
from harvester.sink.singer.messages import BOOKMARK, STREAM

_FIRST_DAY: Final = "-01"
_MONTH_LENGTH: Final = 7
_LONGEST: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Covered:
    """The first `count` distinct IDs of a list, of which `failed` were given up."""

    count: int
    digest: str
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a STATE holds it."""
        return {"count": self.count, "digest": self.digest, "failed": list(self.failed)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Covered:
        """Raises KeyError, TypeError or ValueError where it is none."""
        count, digest, failed = value["count"], value["digest"], value.get("failed") or []
        if type(count) is not int or count < 0 or not all(isinstance(one, str) for one in failed):
            raise ValueError("accounts are counted in whole numbers, and named by text")
        return cls(count, str(IdDigest(digest, count)), tuple(failed))


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What was delivered. Without `accounts`, `month` (``YYYY-MM``) holds for every account."""

    asked: dict[str, Any]
    """Tenant, API version and first month wanted; empty where a person has written the state."""
    month: str | None = None
    accounts: Covered | None = None
    started: str | None = None
    """When the harvest under way was begun, RFC 3339."""
    harvest: Covered | None = None

    @property
    def since(self) -> str | None:
        """The first day whose row is sent again."""
        return None if self.month is None else self.month + _FIRST_DAY

    def to_json(self) -> dict[str, Any]:
        """As a STATE holds it."""
        under_way = None if self.harvest is None else {"started": self.started, **self.harvest.to_json()}
        return {
            "bookmarks": {
                STREAM: {
                    **self.asked,
                    "replication_key": BOOKMARK,
                    "replication_key_value": self.since,
                    "accounts": None if self.accounts is None else self.accounts.to_json(),
                    "harvest": under_way,  # null and not left out: who merges states must lose the old one
                }
            }
        }

    @classmethod
    def from_json(cls, value: Any) -> Bookmark:
        """Raises KeyError, TypeError, ValueError, AttributeError or BadValue where it is none."""
        own = ((value or {}).get("bookmarks") or {}).get(STREAM) or {}
        day, accounts, harvest = own.get("replication_key_value"), own.get("accounts"), own.get("harvest")
        return cls(
            asked={key: own[key] for key in ("tenant", "apiVersion", "since") if key in own},
            month=None if day is None else parse.month(day[:_MONTH_LENGTH]),
            accounts=None if accounts is None else Covered.from_json(accounts),
            started=None if harvest is None else str(harvest["started"]),
            harvest=None if harvest is None else Covered.from_json(harvest),
        )


def read_bookmark(path: Path) -> Bookmark:
    """The bookmark in a file: a STATE's value, or what a target wrote, of which the last line counts.

    No file, or an empty one, is a beginning. Raises InputFault when it is something else.
    """
    if not path.exists():
        return Bookmark({})
    with at(path), path.open("rb") as file:
        content = file.read(_LONGEST).strip()
    try:
        return Bookmark.from_json(_last_state(content))
    except (ValueError, TypeError, KeyError, AttributeError, parse.BadValue) as error:
        raise InputFault(
            str(path), f"is no state of the stream {STREAM} ({error})", "give what the target wrote last"
        ) from None


def _last_state(content: bytes) -> Any:
    if not content:
        return {}
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = orjson.loads(content.splitlines()[-1])
    return value["value"] if isinstance(value, dict) and value.get("type") == "STATE" else value
