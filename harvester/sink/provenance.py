"""Where a row comes from, in columns of its own behind those of the API (``--columns``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import orjson

from harvester.settings.model import Settings

COLUMNS: Final = ("harvestedAt", "tenant", "apiVersion", "runId")
"""All there are, in the order in which rows have them."""


class Provenance:
    """The values of the columns asked for; `harvestedAt` is when the account's answer came, in UTC."""

    def __init__(
        self,
        columns: Iterable[str],
        *,
        tenant: str,
        api_version: str,
        run_id: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        wanted = frozenset(columns)
        fixed = {"tenant": tenant, "apiVersion": api_version, "runId": run_id}
        self._timed = "harvestedAt" in wanted
        self._fixed = {name: value for name, value in fixed.items() if name in wanted}
        self._now = now
        self._second = -1
        self._values: dict[str, str] = {}
        self._marks: tuple[bytes, ...] = ()
        self._tail = b""

    @classmethod
    def of(cls, settings: Settings, run_id: str) -> Provenance | None:
        """As `settings` ask for it; None when they don't."""
        if not settings.columns:
            return None
        tenant = urlsplit(settings.base_url).hostname or ""
        return cls(settings.columns, tenant=tenant, api_version=settings.api_version, run_id=run_id)

    def stamp(self, lines: bytes) -> bytes:
        """The lines of an account whose answer came just now, each with the columns at its end.

        A property of the API's own that has the name of a column asked for gives way to it.
        """
        self._renew()
        if any(mark in lines for mark in self._marks):
            return self._stamp_one_by_one(lines)
        # A string holds no bare line end, so each "}\n" is the end of a line.
        return lines.replace(b"}\n", self._tail)

    def _renew(self) -> None:
        moment = self._now()
        second = int(moment.timestamp())
        if second != self._second:
            self._second = second
            at = {"harvestedAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}"} if self._timed else {}
            self._values = at | self._fixed
            self._marks = tuple(b'"%s"' % name.encode() for name in self._values)
            self._tail = b"," + orjson.dumps(self._values, option=orjson.OPT_APPEND_NEWLINE)[1:]

    def _stamp_one_by_one(self, lines: bytes) -> bytes:
        stamped = []
        for line in lines.splitlines():
            own = {name: value for name, value in orjson.loads(line).items() if name not in self._values}
            stamped.append(orjson.dumps(own | self._values, option=orjson.OPT_APPEND_NEWLINE))
        return b"".join(stamped)
