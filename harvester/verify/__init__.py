"""Proves that an output is complete and intact, by a merge join with the list it was harvested from."""

from harvester.verify.join import Finding, Verdict
from harvester.verify.verify import verify

__all__ = ["Finding", "Verdict", "verify"]
