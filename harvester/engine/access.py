"""Whether a client may harvest at all: the verdict over answers 401 and 403.

One account that is forbidden is a failure of that account; a client all of whose first answers are denials
has no rights, and must not burn through the list to find that out.
"""

from __future__ import annotations

from harvester.engine.work import Work
from harvester.errors import AccessDenied, GiveUp, TokenRejected

DENIALS = 10
"""So many accounts denied in a row, with no good answer between, and the client is out."""
REJECTIONS = 3
"""So many 401 for one account, each with a new token, and a client without a good answer may be denied."""


class Access:
    """The suspects of one client: accounts that were denied and wait for the verdict."""

    def __init__(self, client: str, attempts: int) -> None:
        self._client = client
        self._attempts = attempts
        self._proven = False
        self.suspects: list[Work] = []

    def proven(self) -> list[Work]:
        """A good answer came: the client has the right. Returns the suspects, denied for their own sake."""
        self._proven = True
        cleared, self.suspects = self.suspects, []
        return cleared

    def is_own(self, denial: GiveUp | TokenRejected) -> bool:
        """Whether a denial is the account's own matter without further ado."""
        return self._proven and isinstance(denial, GiveUp)

    def suspect(self, work: Work) -> bool:
        """Hold `work` until more is known. True when the client is out."""
        self.suspects.append(work)
        return len(self.suspects) >= DENIALS

    @property
    def rejections(self) -> int:
        """So many 401 for one account are a denial. A client that has the right has its attempts, too."""
        return max(REJECTIONS, self._attempts) if self._proven else REJECTIONS

    @property
    def unsettled(self) -> bool:
        """Whether a good answer would change anything."""
        return not self._proven or bool(self.suspects)

    def verdict(self) -> AccessDenied:
        """Why the client is out, in words for a person."""
        last = self.suspects[-1].last if self.suspects else None
        if isinstance(last, GiveUp):
            return AccessDenied(
                f"client {self._client!r} is not authorised to read account usages (403: {last.problem})",
                "give it the scope idn:identity-history:manage (or sp:scopes:all), "
                "and its owner a user level that has it",
            )
        detail = f": {last.problem}" if last is not None else ""
        return AccessDenied(
            f"client {self._client!r}: the tenant does not accept its tokens (401{detail})",
            "check client id, secret and base URL; a ready token must belong to this tenant",
        )
