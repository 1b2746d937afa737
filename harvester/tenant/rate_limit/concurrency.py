"""How many requests of one lane may be in flight: Little's law, within bounds.

To send `rate` requests a second that take `latency` seconds each, rate x latency of them are in
flight at any time. More would only lengthen queues; fewer would waste the quota.
"""

from __future__ import annotations

import math
from typing import Final

LEAST: Final = 8
MOST: Final = 400
"""Never a thousand sockets: beyond this, the tenant's own queue is the bottleneck."""
UNLIMITED: Final = 64
"""Without a quota there is no rate to derive it from; this keeps a fast tenant busy and spares a slow one."""
_SPARE: Final = 8
_LEAST_LATENCY: Final = 1.0
_HEADROOM: Final = 2.0
_FADES: Final = 0.98
"""What is left of a high latency after each response that was faster: a sixth after ninety."""


class ConcurrencyLimit:
    """The number of requests that may be in flight, from the rate and the observed latency.

    `fixed` is the user's own number and always kept; None leaves it to Little's law. `unlimited`
    says that there is no quota. Pure arithmetic: it counts nothing and waits for nothing.
    """

    __slots__ = ("_fixed", "_high")

    def __init__(self, fixed: int | None, *, unlimited: bool) -> None:
        self._fixed = UNLIMITED if fixed is None and unlimited else fixed
        self._high = 0.0

    def observe(self, seconds: float) -> None:
        """Note how long a request took, from sending it to the end of its response."""
        self._high = max(seconds, _FADES * self._high)

    def now(self, rate: float | None, oldest: float) -> int:
        """How many requests may be in flight at `rate` requests a second (None if there is no quota).

        `oldest` is the age in seconds of the oldest request in flight: it raises the limit before
        the first slow response has shown the latency.
        """
        if self._fixed is not None:
            return self._fixed
        latency = max(_LEAST_LATENCY, _HEADROOM * self._high, oldest)
        return min(MOST, max(LEAST, math.ceil((rate or 0.0) * latency) + _SPARE))
