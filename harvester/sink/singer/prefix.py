"""How far a list is finished without a gap, and whether a list begins as another did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harvester.ledger import IdDigest, Ledger, Outcome
from harvester.sink.part import FAILED, Entry
from harvester.sink.singer.bookmark import Covered

MOST_FAILED: Final = 100
"""So many failed accounts a state names; beyond them it stands still, and covers no more accounts."""
_STRETCH: Final = 1000


class Prefix:
    """The longest beginning of the list of which every account is finished. Follows the commits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._digest = IdDigest()
        self._failed: list[str] = []

    @property
    def covered(self) -> Covered:
        """As it is now."""
        return Covered(self._digest.count, str(self._digest), tuple(self._failed))

    def advance(self, batch: Sequence[Entry] = ()) -> bool:
        """Take in what the ledger knows, and `batch`, of which it is about to hear; whether it moved."""
        ended = {seq: Outcome.FAILED if rows == FAILED else Outcome.HARVESTED for seq, rows, _, _ in batch}
        before = self._digest.count
        while self._advance(ended, min(len(ended) + 10, _STRETCH) if ended else _STRETCH):
            pass
        return self._digest.count > before

    def _advance(self, ended: dict[int, Outcome], limit: int) -> bool:
        """Look at the next few; whether it may go on behind them."""
        begin = self._digest.count
        stretch = self._ledger.roll.stretch(begin, limit)
        finished = []
        for seq, (account_id, known) in enumerate(stretch, begin):
            outcome = ended.get(seq, known)
            if outcome is None or (outcome == Outcome.FAILED and len(self._failed) >= MOST_FAILED):
                break
            if outcome == Outcome.FAILED:
                self._failed.append(account_id)
            finished.append(account_id)
        self._digest.add(finished)
        return len(finished) == limit


def begins_with(ledger: Ledger, covered: Covered) -> bool:
    """Whether the first IDs of the list are the ones that were covered, in whatever order."""
    digest = IdDigest()
    while digest.count < covered.count:
        wanted = min(_STRETCH, covered.count - digest.count)
        stretch = ledger.roll.stretch(digest.count, wanted)
        digest.add(account_id for account_id, _ in stretch)
        if len(stretch) < wanted:
            return False
    return str(digest) == covered.digest
