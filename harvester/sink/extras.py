"""Packages of the `lake` extra: imported only where an output wants them, and missed in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from harvester.errors import SettingFault

LAKE = "pip install 'account-usage-harvester[lake]'"
"""What brings them."""


def lake_module(name: str, setting: str, wanted: str) -> Any:
    """The module `name` of the extra; `wanted` is what `setting` asks for.

    Raises:
        SettingFault: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise SettingFault(
            setting, f"{wanted} needs {package}, which can't be imported ({error})", LAKE
        ) from None
