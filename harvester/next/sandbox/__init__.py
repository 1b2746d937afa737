"""The simulated tenant: an HTTP server on 127.0.0.1 that behaves as SailPoint's API does."""

from harvester.next.sandbox.faults import FAULTS_HELP, KINDS, FaultRate, Faults, Outage, parse_faults
from harvester.next.sandbox.options import (
    Algorithm,
    RetryAfter,
    SandboxOptions,
    parse_hopeless,
    parse_versions,
)
from harvester.next.sandbox.population import Population
from harvester.next.sandbox.server import Sandbox

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
    "parse_versions",
]
