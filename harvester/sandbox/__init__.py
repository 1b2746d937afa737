"""The simulated tenant: an HTTP server on 127.0.0.1 that behaves as SailPoint's API does."""

from harvester.sandbox.options import (
    FAULTS_HELP,
    KINDS,
    Algorithm,
    FaultRate,
    Faults,
    Outage,
    RetryAfter,
    SandboxOptions,
    parse_faults,
    parse_hopeless,
)
from harvester.sandbox.population import Population
from harvester.sandbox.server import Sandbox

__all__ = [
    "FAULTS_HELP",
    "KINDS",
    "Algorithm",
    "FaultRate",
    "Faults",
    "Outage",
    "Population",
    "RetryAfter",
    "Sandbox",
    "SandboxOptions",
    "parse_faults",
    "parse_hopeless",
]
