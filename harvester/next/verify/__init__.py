"""Proves that an output is complete and intact, by a merge join with the list it was harvested from."""

from harvester.next.verify.check import verify
from harvester.next.verify.verdict import Finding, Verdict

__all__ = ["Finding", "Verdict", "verify"]
