"""What stands between a configuration and a harvest, found out with a request or two.

::

    diagnose        the findings, one after the other, until one makes the rest pointless
    ├── connection  the host's name, its certificate, /oauth/info
    ├── access      each client's token and right to read usages, through its throttle
    └── observed    latency, the tenant's clock, the quota its headers tell
"""

from harvester.tenant.diagnosis.diagnose import diagnose
from harvester.tenant.diagnosis.finding import CONNECTION, Finding, Verdict, ok, problem, warning

__all__ = ["CONNECTION", "Finding", "Verdict", "diagnose", "ok", "problem", "warning"]
