"""Packages of extras: imported only where an output needs them, and missed in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from harvester.errors import SettingError

_INSTALL: Final = "pip install 'account-usage-harvester[{extra}]'"


def lake_module(name: str, setting: str, value: str, extra: str = "lake") -> Any:
    """The module `name` of the extra; `value` is what `setting` asks for.

    Raises:
        SettingError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise SettingError(
            setting,
            f"{value} needs {package}, which cannot be imported ({error})",
            _INSTALL.format(extra=extra),
        ) from None
