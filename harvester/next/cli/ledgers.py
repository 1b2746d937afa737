"""The ledger that a person means by a path or a destination."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from harvester.next.errors import UsageError
from harvester.next.ledger import find_ledger, is_remote, ledger_paths


def ledger_named(name: str) -> Path:
    """The ledger at `name`, or that of the output `name`: next to it, or where its summary says.

    A URL or a table is looked up in the state directory.

    Raises:
        UsageError: there is none.
    """
    if is_remote(name):
        return _of_remote(name)
    found = find_ledger(Path(name.rstrip("/") or "/"))
    if found is None:
        found = _named_in_summary(name)
    if found is None:
        if not Path(name).exists():
            raise UsageError(
                f"{name}: there is no such ledger or output", "name the output of a finished harvest"
            )
        raise UsageError(
            f"{name}: its ledger is not next to it, and rows alone do not say which accounts were harvested",
            "name the ledger, or harvest again without --no-keep-ledger",
        )
    return found


def _of_remote(name: str) -> Path:
    base_url = os.environ.get("SAIL_BASE_URL", "")
    paths = ledger_paths(name, ledger=None, base_url=base_url, environ=os.environ)
    for path in (paths.finished, paths.partial) if paths is not None else ():
        if path.exists():
            return path
    hint = "set SAIL_BASE_URL to the tenant's, or name the ledger itself"
    raise UsageError(f"{name}: there is no ledger of it in the state directory", hint)


def _named_in_summary(name: str) -> Path | None:
    output = Path(name)
    summary = output / "_summary.json" if output.is_dir() else Path(f"{name}.summary.json")
    try:
        ledger = orjson.loads(summary.read_bytes()).get("ledger")
    except (OSError, orjson.JSONDecodeError, AttributeError):
        return None
    return Path(ledger) if isinstance(ledger, str) and Path(ledger).exists() else None
