"""The simulated tenant: an HTTP server on 127.0.0.1 that behaves as SailPoint's API does."""

from harvester.next.sandbox.grammar import (
    FAULTS_HELP,
    parse_duration,
    parse_faults,
    parse_hopeless,
    parse_quota,
    parse_versions,
)
from harvester.next.sandbox.options import (
    VERSIONS,
    Absence,
    Algorithm,
    FaultKind,
    FaultRate,
    Faults,
    Outage,
    RetryAfter,
    SandboxOptions,
    TokenFault,
    TokenFaultKind,
)
from harvester.next.sandbox.population import Population
from harvester.next.sandbox.server import Sandbox
from harvester.next.sandbox.sources import Source
from harvester.next.sandbox.tally import Tally
from harvester.next.sandbox.truth import Truth

__all__ = [
    "FAULTS_HELP",
    "VERSIONS",
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
    "Source",
    "Tally",
    "TokenFault",
    "TokenFaultKind",
    "Truth",
    "parse_duration",
    "parse_faults",
    "parse_hopeless",
    "parse_quota",
    "parse_versions",
]
