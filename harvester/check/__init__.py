"""What stands between a configuration and a harvest, found out with a few requests.

::

    Check            the findings one after the other, until one makes the rest pointless; quota and estimate
    ├── network      the host's name, its certificate, the proxy
    └── access       each client's token, its right to read usages on each version, its other scopes
        └── asking   single requests on a lane, each with a short bound
"""

from harvester.check.asking import PATIENCE
from harvester.check.check import Check, Workload
from harvester.check.finding import Finding, Verdict, failed, of_error, ok, warning

__all__ = ["PATIENCE", "Check", "Finding", "Verdict", "Workload", "failed", "of_error", "ok", "warning"]
