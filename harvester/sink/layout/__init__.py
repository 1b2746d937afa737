"""Destinations: where the files of an output stand, and how they come by their final names."""

from harvester.sink.layout.base import Finishing, Layout, Whole
from harvester.sink.layout.choice import layout_for

__all__ = ["Finishing", "Layout", "Whole", "layout_for"]
