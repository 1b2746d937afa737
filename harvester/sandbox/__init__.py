"""The simulated tenant: an HTTP server on 127.0.0.1 that behaves as SailPoint's API does."""

from harvester.sandbox.grammar import FAULTS_HELP, parse_duration, parse_faults, parse_hopeless, parse_quota
from harvester.sandbox.options import (
    Absence,
    Algorithm,
    FaultKind,
    FaultRate,
    Faults,
    Outage,
    RetryAfter,
    SandboxOptions,
)
from harvester.sandbox.population import Population
from harvester.sandbox.server import Sandbox
from harvester.sandbox.tally import Tally

__all__ = [
    "FAULTS_HELP",
    "Absence",
    "Algorithm",
    "FaultKind",
    "FaultRate",
    "Faults",
    "Outage",
    "Population",
    "RetryAfter",
    "Sandbox",
    "SandboxOptions",
    "Tally",
    "parse_duration",
    "parse_faults",
    "parse_hopeless",
    "parse_quota",
]
