"""One observer for the whole run, and several behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from harvester.events import Event, Observer

Handlers: TypeAlias = Mapping[type, Callable[[Any], None]]
"""Which method takes which type of event."""


def fan_out(*observers: Observer) -> Observer:
    """An observer that passes each event to all of `observers`."""

    def observe(event: Event) -> None:
        for each in observers:
            each(event)

    return observe
