"""The kinds of value that many settings share."""

from __future__ import annotations

from harvester.settings import parse
from harvester.settings.field import Kind


def word(*choices: str) -> Kind:
    """One of some words."""
    return Kind("|".join(choices), parse.word(*choices), choices=choices)


TEXT = Kind("NAME", parse.text)
FILE = Kind("FILE", parse.path)
WHOLE = Kind("N", parse.whole)
TIME = Kind("TIME", parse.duration, parse.show_duration)
SIZE = Kind("SIZE", parse.size, parse.show_size)
FLAG = Kind("", parse.flag)

DAY = 86400.0
"""In seconds."""
