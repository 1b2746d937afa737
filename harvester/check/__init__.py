"""What stands between a configuration and a harvest, found out with a few requests."""

from harvester.check.asking import PATIENCE
from harvester.check.check import Check, Workload
from harvester.check.finding import Finding, Verdict, failed, of_error, ok, warning

__all__ = ["PATIENCE", "Check", "Finding", "Verdict", "Workload", "failed", "of_error", "ok", "warning"]
