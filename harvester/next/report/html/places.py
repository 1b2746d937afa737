"""What can be known about a page before it is drawn: where its files go, and whether it can be drawn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from harvester.next.errors import SettingError
from harvester.next.files import descriptor_of

_NEEDED: Final = ("jinja2", "vl_convert")
_INSTALL: Final = "pip install 'account-usage-harvester[report]'"
_LIST_SUFFIX: Final = ".unused.csv"


def require_drawing(setting: str) -> None:
    """Check that what draws the page is installed, without loading it.

    Raises:
        SettingError: it is not; `setting` is what asked for it.
    """
    for name in _NEEDED:
        if find_spec(name) is None:
            raise SettingError(setting, f"an HTML report needs {name}, which is not installed", _INSTALL)


def list_beside(page: Path) -> Path | None:
    """Where the list of all unused accounts goes that belongs to a page; None where the page is no file."""
    if descriptor_of(page) is not None or (page.exists() and not page.is_file()):
        return None
    return page.with_name(page.stem + _LIST_SUFFIX)
