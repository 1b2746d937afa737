"""Proving an output whole, from what it says of itself and, if given, from the list it was to be made of."""

from harvester.sink.verify.check import verify
from harvester.sink.verify.verdict import Finding, Verdict

__all__ = ["Finding", "Verdict", "verify"]
