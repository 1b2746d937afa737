"""The ledger that a person means by a path or a destination."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    if resolve(name).remote and not Path(name).exists():
        return _of_remote(name)
    found = find_ledger(Path(name.rstrip("/") or "/")) or _named_in_summary(Path(name))
    if found is not None:
        return found
    if not Path(name).exists():
        raise UsageError(
            f"{name}: there is no such ledger or output", "name the output of a finished harvest"
        )
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
    if not base_url:
        raise UsageError(
            f"{name}: it is not known which tenant was harvested",
            "set SAIL_BASE_URL to the tenant's, or name the ledger",
        )
    raise UsageError(
        f"{name}: the state directory has no ledger of it",
        f"check the spelling and the tenant ({base_url}), or name the ledger itself",
    )


def summary_of(output: Path) -> Path:
    """Where the summary of a harvest to `output` is, unless it was told otherwise."""
    return output / "_summary.json" if output.is_dir() else output.with_name(f"{output.name}.summary.json")


def _named_in_summary(output: Path) -> Path | None:
    if not output.name:
        return None
    path = summary_of(output)
    try:
        return ledger_in_summary(orjson.loads(path.read_bytes()), path)
    except (OSError, orjson.JSONDecodeError, AttributeError):
        return None


def ledger_in_summary(summary: Mapping[str, Any], path: Path) -> Path | None:
    """The ledger that the summary at `path` names, if it is there; both may have been moved together."""
    named = summary.get("ledger")
    places = (Path(named), path.parent / Path(named).name) if isinstance(named, str) else ()
    return next((place for place in places if place.is_file()), None)
