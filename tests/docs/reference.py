"""The table of settings for the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from harvester.settings.setting import Setting
from harvester.settings.settings import SECTIONS, TABLE

_SPELLED = {"inputs": "`INPUT...`", "verbosity": "`-v`, `-q`"}
_HEAD = ("| option | key | default | meaning |", "| --- | --- | --- | --- |")


def tables() -> Iterator[tuple[str, list[str]]]:
    """Title and lines of one Markdown table for each section.

    The environment variable of a key is HARVESTER_ and the key in capitals.
    """
    for section, title in SECTIONS.items():
        yield title, [*_HEAD, *(_row(one) for one in TABLE if one.section == section)]


def option_of(one: Setting) -> str:
    """How a setting is given on the command line, as help shows it: ``-o, --output DEST``."""
    if one.switch:
        return f"{one.flag} / {one.negative}" if one.default else one.flag
    return f"{one.short + ', ' if one.short else ''}{one.flag} {one.kind.metavar}"


def _row(one: Setting) -> str:
    option = _SPELLED.get(one.name) or (f"`{option_of(one)}`" if one.flag else "–")
    cells = (option, f"`{one.name}`", one.show(one.default) or "–", one.help)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
