"""What one lane did in a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LaneFigures:
    """What one lane did. Times are seconds of the tally's clock.

    `granted` counts the requests for accounts that the tenant let through, `rate` is the adapted rate in
    requests a second (None: as configured).
    """

    requests: int = 0
    granted: int = 0
    throttled: int = 0
    rate: float | None = None
    dropped_at: float | None = None
    paused_until: float = 0.0
    _paused: float = 0.0

    def pause(self, now: float, seconds: float) -> None:
        """A pause of `seconds` begins `now`. What another pause covers already adds nothing."""
        until = max(self.paused_until, now + seconds)
        self._paused += until - max(self.paused_until, now)
        self.paused_until = until

    def paused_seconds(self, now: float) -> float:
        """Seconds paused until `now`: of a pause that is still running, the part that has passed."""
        return self._paused - max(0.0, self.paused_until - now)
