"""The tenant's sources: which of them report usage, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from harvester.next.sandbox.options import SandboxOptions

FULL_COVERAGE = 13
"""Months that a source with full coverage has usage for: this one and the twelve before."""

LATE_COVERAGE = 3
"""Months that the source has usage for whose activity data source was set up last."""

_KINDS = (
    ("Salesforce", "Salesforce", False),
    ("GitHub", "Web Services", False),
    ("Entra ID", "Azure Active Directory", False),
    ("Workday", "Workday", True),
    ("Slack", "Slack", False),
    ("Active Directory", "Active Directory - Direct", False),
    ("Okta", "Okta", False),
    ("SAP S/4HANA", "SAP - Direct", False),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A source. `months` is how many months back its usage reaches; 0: it reports none."""

    index: int
    id: str
    name: str
    connector: str
    authoritative: bool
    months: int

    @property
    def reports(self) -> bool:
        """Whether an activity data source is set up for it."""
        return self.months > 0

    @property
    def status(self) -> str:
        """The answer of ``…/status``."""
        return "COMPLETE" if self.reports else "INCOMPLETE"


def make_sources(options: SandboxOptions) -> list[Source]:
    """The sources of a tenant; those that report no usage are spread evenly among them.

    The last one that does report has late coverage, unless it is the only one.
    """
    silent = 0 if options.rows is not None else round(options.sources * options.without_usage)
    months = [0 if _in_share(at, silent, options.sources) else FULL_COVERAGE for at in range(options.sources)]
    reporting = [at for at, reach in enumerate(months) if reach]
    if len(reporting) > 1 and options.rows is None:
        months[reporting[-1]] = LATE_COVERAGE
    return [_source(at, options.seed, reach) for at, reach in enumerate(months)]


def _in_share(at: int, wanted: int, total: int) -> bool:
    """Whether the place `at` of `total` is one of `wanted` evenly spread ones."""
    return (at + 1) * wanted // total > at * wanted // total


def _source(index: int, seed: int, months: int) -> Source:
    kind, connector, authoritative = _KINDS[index % len(_KINDS)]
    name = kind if index < len(_KINDS) else f"{kind} {index // len(_KINDS) + 1}"
    return Source(index, numbered_id(seed, "source", index), name, connector, authoritative, months)


def numbered_id(seed: int, kind: str, number: int) -> str:
    """The ID of a source or identity: 32 hex digits."""
    return blake2b(f"{kind} {number}".encode(), key=b"%d" % seed, digest_size=16).hexdigest()


def source_summaries(source: Source, months: list[str]) -> list[dict[str, Any]]:
    """The rows of ``…/source-usages/{id}/summaries``, latest month first; `months` are first days."""
    dice = blake2b(source.id.encode(), digest_size=FULL_COVERAGE).digest()
    return [
        {"date": month, "count": round(2 + chance / 16, 2)}
        for month, chance in zip(months[: source.months], dice, strict=False)
    ]
