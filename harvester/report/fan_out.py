"""One observer for the core, several who listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from harvester.events import Event, Observer

Handlers: TypeAlias = Mapping[type, Callable[[Any], None]]
"""Which method hears which event."""


class Listener(Protocol):
    """Someone who hears only the events that `handlers` names."""

    @property
    def handlers(self) -> Handlers:
        """The method for each event heard; it must not change once the run has begun."""


def fan_out(*listeners: Listener | Observer) -> Observer:
    """An observer that passes each event to all who hear it.

    There is an event a request, so the way to each method is looked up once per type of event, and those
    who don't hear it cost nothing. A plain observer hears everything.
    """
    routes: dict[type, tuple[Callable[[Any], None], ...]] = {}

    def observe(event: Event) -> None:
        kind = type(event)
        route = routes.get(kind)
        if route is None:
            route = routes[kind] = tuple(_ways(listeners, kind))
        for hear in route:
            hear(event)

    return observe


def _ways(listeners: tuple[Listener | Observer, ...], kind: type) -> list[Callable[[Any], None]]:
    ways = [_way(listener, kind) for listener in listeners]
    return [way for way in ways if way is not None]


def _way(listener: Listener | Observer, kind: type) -> Callable[[Any], None] | None:
    handlers: Handlers | None = getattr(listener, "handlers", None)
    if handlers is not None:
        return handlers.get(kind)
    if callable(listener):
        return listener
    raise TypeError(f"{listener!r} is neither a listener nor an observer")
