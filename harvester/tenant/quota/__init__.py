"""The quota of one client: pacing, the window guard, the `Retry-After` gate, and adaptation.

::

    Throttle            what the engine asks: permit, accepted, rejected, released
    ├── Gate            shut while Retry-After runs; afterwards one scout at a time if need be
    └── Tempo
        ├── Pacer       aiolimiter's bucket: an even pace that catches up on lateness
        ├── Window      never more than N in any P seconds, exactly
        └── Search      the rate the tenant really allows
    InFlightLimit       how many requests may be under way (Little's law)
    parse_retry_after   seconds or HTTP date -> seconds
"""

from harvester.tenant.quota.in_flight import InFlightLimit
from harvester.tenant.quota.retry_after import parse_retry_after
from harvester.tenant.quota.throttle import Throttle

__all__ = ["InFlightLimit", "Throttle", "parse_retry_after"]
