"""A harvest as one Singer stream: SCHEMA, the RECORDs of each batch, behind them a STATE."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from harvester.errors import ResumeRefused, SettingFault
from harvester.ledger import Ledger, Outcome
from harvester.settings.model import Settings
from harvester.sink.framing import Framing
from harvester.sink.part import Entry
from harvester.sink.singer.bookmark import Bookmark, read_bookmark
from harvester.sink.singer.messages import records, schema, state
from harvester.sink.singer.prefix import Prefix, begins_with

log = logging.getLogger("harvester.sink.singer")

_FACT: Final = "singer"
_STRETCH: Final = 1000


class SingerFraming(Framing):
    """Made before the harvest is begun or found, and joined to its ledger then.

    Rows before the bookmark's month are not sent again for accounts that it covers; if an earlier run was
    ended in the middle of its list, the accounts that it covers are passed over. Both hold only where the
    list begins with the IDs covered; otherwise every row of every account is sent.
    """

    def __init__(self, start: Bookmark, asked: dict[str, Any], now: Callable[[], datetime]) -> None:
        self._start = start
        self._asked = asked
        self._now = now
        self._since: str | None = None
        self._whole: frozenset[str] = frozenset()
        """Accounts that the bookmark does not hold for, among those that it counts."""

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> SingerFraming:
        """As `settings` ask for it.

        Raises InputFault when the state can't be read, SettingFault when it is of other data.
        """
        asked = {"tenant": settings.base_url, "apiVersion": settings.api_version, "since": settings.since}
        path = settings.singer_state
        start = Bookmark({}) if path is None else read_bookmark(path)
        for key, was in start.asked.items():
            if was != asked[key]:
                raise SettingFault(
                    "--singer-state",
                    f"{path} was made with {key} {was or 'not given'} and not {asked[key] or 'without one'}",
                    "ask for the same, or begin with another state",
                )
        return cls(start, asked, now)

    def join(self, ledger: Ledger, run_id: str) -> None:  # noqa: ARG002  # a state knows no runs
        """Go on as the harvest in `ledger` was begun, or begin it.

        Raises ResumeRefused when it was begun with another state.
        """
        known = ledger.fact(_FACT)
        if known is None:
            known = {"start": self._start.to_json(), "started": f"{self._now():%Y-%m-%dT%H:%M:%SZ}"}
            ledger.record(_FACT, known)
        elif known["start"] != self._start.to_json():
            raise ResumeRefused(
                "--singer-state: is not the state that the unfinished harvest found here was begun with",
                "give that one to go on with it, or start again with --fresh",
            )
        self._ledger = ledger
        self._started: str = known["started"]
        self._prefix = Prefix(ledger)
        covered = [one for one in (self._start.accounts, self._start.harvest) if one is not None]
        self.required = max([one.count for one in covered], default=0)

    def begin(self) -> int:
        """Compare the list with what the bookmark covers, and pass over what was delivered already."""
        start = self._start
        if start.month is not None and (start.accounts is None or begins_with(self._ledger, start.accounts)):
            self._since = start.since
            self._whole = frozenset(start.accounts.failed if start.accounts else ())
        elif start.month is not None:
            log.warning("the list does not begin as it did for the state given: every row is sent again")
        passed_over = 0
        if start.harvest is not None and begins_with(self._ledger, start.harvest):
            self._started = start.started or self._started
            passed_over = self._pass_over(start.harvest.count, frozenset(start.harvest.failed))
        elif start.harvest is not None:
            log.warning("the list does not begin as it did when the last run was ended: it is begun anew")
        self._prefix.advance()
        return passed_over

    def _pass_over(self, count: int, failed: frozenset[str]) -> int:
        passed_over = 0
        for begin in range(0, count, _STRETCH):
            stretch = self._ledger.roll.stretch(begin, min(_STRETCH, count - begin))
            seqs = [
                seq
                for seq, (account_id, outcome) in enumerate(stretch, begin)
                if outcome is None and account_id not in failed
            ]
            self._ledger.settle(Outcome.HARVESTED, seqs)
            passed_over += len(seqs)
        return passed_over

    def head(self) -> bytes:
        """The SCHEMA."""
        return schema()

    def edit(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Lines as RECORDs."""
        return list(self._edited(entries))

    def _edited(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        covered = self._start.accounts
        known = None if covered is None else covered.count
        ids = self._ledger.roll.ids([seq for seq, *_ in entries]) if self._whole else {}
        now = self._now()
        for seq, answered, lines, _ in entries:
            holds = (known is None or seq < known) and ids.get(seq) not in self._whole
            written, rows = records(lines, self._since if holds else None, now)
            yield seq, answered, written, rows

    def mark(self, entries: Sequence[Entry]) -> bytes:
        """A STATE where more of the list is finished without a gap."""
        if not self._prefix.advance(entries):
            return b""
        under_way = dataclasses.replace(
            self._start, asked=self._asked, started=self._started, harvest=self._prefix.covered
        )
        return state(under_way.to_json())

    def tail(self) -> bytes:
        """The last STATE: the bookmark moves, unless too many accounts failed to name them."""
        covered = self._prefix.covered
        if covered.count < self._ledger.roll.known:
            log.warning("too many accounts failed: the state stays where it was, and the next run sends all")
            end = dataclasses.replace(self._start, asked=self._asked, started=None, harvest=None)
        else:
            end = Bookmark(self._asked, month_before(self._started), covered)
        return state(end.to_json())


def month_before(moment: str) -> str:
    """The month before the one of `moment` (RFC 3339), ``YYYY-MM``.

    The last days of a month may be counted after it has ended: a harvest is sure only of the months before.
    """
    first = date.fromisoformat(moment[:10]).replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"
