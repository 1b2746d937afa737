"""Which harvester this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The version that is installed."""
    try:
        return version("account-usage-harvester")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
