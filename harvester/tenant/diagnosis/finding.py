"""What a check finds: one line each, with its mend, and the status that a problem ends the process with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

CONNECTION = 2
"""Exit status where the configuration or the way to the tenant is at fault."""
ACCESS = 4
"""Exit status where the credentials or their rights are."""


class Verdict(StrEnum):
    """What a finding means for a harvest: nothing in its way, something to know, or no harvest."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `facts` are for programs; no text holds a secret.

    `status` is not 0 for a problem only; `mend` is then never empty.
    """

    topic: str
    verdict: Verdict
    text: str
    mend: str = ""
    status: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON-ready object."""
        return {
            "topic": self.topic,
            "verdict": str(self.verdict),
            "text": self.text,
            "mend": self.mend,
            "facts": dict(self.facts),
        }


def ok(topic: str, text: str, **facts: Any) -> Finding:
    """All is well with `topic`."""
    return Finding(topic, Verdict.OK, text, facts=facts)


def warning(topic: str, text: str, mend: str, **facts: Any) -> Finding:
    """A harvest is possible, but this should be known."""
    return Finding(topic, Verdict.WARNING, text, mend, facts=facts)


def problem(topic: str, text: str, mend: str, status: int = CONNECTION, **facts: Any) -> Finding:
    """No harvest is possible until this is mended."""
    return Finding(topic, Verdict.PROBLEM, text, mend, status, facts)
