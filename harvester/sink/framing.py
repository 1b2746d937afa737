"""What a format puts around the accounts' lines, or makes of them, when they are written."""

from __future__ import annotations

from collections.abc import Sequence

from harvester.ledger import Ledger
from harvester.sink.part import Entry


class Framing:
    """Lines are written as they are; formats that want more override what they need.

    It is made before the harvest is begun or found, blocks, and is used on the sink's thread. What it knows
    beyond the run it keeps in the ledger, so that a run that goes on continues it exactly.
    """

    required: int = 0
    """So many IDs of the list must be known before any account is begun."""

    def join(self, ledger: Ledger, run_id: str) -> None:
        """Go on as the harvest in `ledger` was begun, or begin it there; before all else.

        Raises ResumeRefused when it can't go on.
        """

    def begin(self) -> int:
        """So many IDs are known, or the list is at its end: now it can be told how to go about them.

        Returns how many accounts are finished without being asked for.
        """
        return 0

    def head(self) -> bytes:
        """What a part begins with."""
        return b""

    def edit(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """What is to be written of these accounts, which have been answered."""
        return entries

    def mark(self, entries: Sequence[Entry]) -> bytes:
        """What is to be written behind a batch, failed accounts included, before the ledger knows of it."""
        del entries
        return b""

    def note(self) -> None:
        """Record in the ledger what belongs to the batch, whose accounts are settled there by now."""

    def tail(self) -> bytes:
        """What the last part ends with."""
        return b""

    def publish(self) -> None:
        """The output stands under its final names. May be repeated."""

    def close(self) -> None:
        """Let go of everything. May be called again."""
