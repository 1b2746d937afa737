"""The permits of one lane: pace, window guard, `Retry-After`, and a rate that adapts without being shut out.

::

    Limiter               what a lane asks: permit, accepted, rejected, released, hold
    ├── Pause             closed while Retry-After is running; afterwards half-open if need be
    ├── RateController    an even pace that makes up for lateness, in tune with the next two
    │   ├── SentLog       the window guard: never more than N in any P seconds, exactly
    │   └── AdaptiveRate  decides how the rate changes
    │       ├── Evidence  what refusals show about the tenant's limit
    │       └── RandomRejectionDetector   whether they have to do with the rate at all
    ├── ConcurrencyLimit  how many requests may be in flight (Little's law)
    └── Memory            what the next run must know, in the ledger
    parse_retry_after     seconds or HTTP date -> seconds
"""

from harvester.tenant.rate_limit.limiter import Limiter

__all__ = ["Limiter"]
