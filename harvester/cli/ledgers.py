"""The ledger that a person means by a path or a destination."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from harvester.errors import UsageError
from harvester.ledger import find_ledger, ledger_paths
from harvester.settings import load
from harvester.settings.destination import resolve


def ledger_named(name: str) -> Path:
    """The ledger at `name`, or that of the output `name`: next to it, or where its summary says.

    A URL or a table is looked up in the state directory.

    Raises:
        UsageError: there is none.
    """
    output = Path(name)
    if resolve(name).remote and not output.exists():
        return _of_remote(name)
    if found := find_ledger(output) or ledger_in_summary(summary_of(output)):
        return found
    if not output.exists():
        problem = f"{name}: there is no such ledger or output"
        raise UsageError(problem, "name the output of a finished harvest")
    raise UsageError(
        f"{name}: its ledger is not next to it, and rows alone do not show which accounts have none",
        "name the ledger, or harvest again without --no-keep-ledger",
    )


def _of_remote(name: str) -> Path:
    # the tenant that a harvest to this destination would be of, wherever that is configured
    base_url = load({}, environ=os.environ, needs_tenant=False).settings.base_url
    paths = ledger_paths(name, ledger=None, base_url=base_url, environ=os.environ, remote=True)
    for path in (paths.finished, paths.partial) if paths is not None else ():
        if path.exists():
            return path
    raise UsageError(
        f"{name}: the state directory has no ledger of it for {base_url or 'a tenant that is not named'}",
        "check the spelling, set SAIL_BASE_URL to the tenant's, or name the ledger itself",
    )


def summary_of(output: Path) -> Path:
    """Where the summary of a harvest to `output` is, unless it was told otherwise."""
    return output / "_summary.json" if output.is_dir() else Path(f"{output}.summary.json")


def ledger_in_summary(summary: Path) -> Path | None:
    """The ledger that a summary names, if it is there; both may have been moved together."""
    try:
        named = Path(orjson.loads(summary.read_bytes())["ledger"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((place for place in (named, summary.parent / named.name) if place.is_file()), None)
