"""One observer for the whole run, and several listeners behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from harvester.events import Event, Observer

Handlers: TypeAlias = Mapping[type, Callable[[Any], None]]
"""Which method takes which type of event."""


class Listener(Protocol):
    """Takes only the types of events that `handlers` names."""

    @property
    def handlers(self) -> Handlers:
        """The method for each type of event; it must not change once the run has begun."""


def fan_out(*listeners: Listener | Observer) -> Observer:
    """An observer that passes each event to every listener that takes it.

    There is one event per request, so the methods are looked up once per type of event, and a listener
    that does not take a type costs nothing. A plain observer takes everything.
    """
    routes: dict[type, tuple[Callable[[Any], None], ...]] = {}

    def observe(event: Event) -> None:
        kind = type(event)
        route = routes.get(kind)
        if route is None:
            methods = (_method(listener, kind) for listener in listeners)
            route = routes[kind] = tuple(method for method in methods if method is not None)
        for method in route:
            method(event)

    return observe


def _method(listener: Listener | Observer, kind: type) -> Callable[[Any], None] | None:
    handlers: Handlers | None = getattr(listener, "handlers", None)
    if handlers is not None:
        return handlers.get(kind)
    if callable(listener):
        return listener
    raise TypeError(f"{listener!r} is neither a listener nor an observer")
