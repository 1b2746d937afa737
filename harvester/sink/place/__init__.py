"""Where finished files stand: a folder of this machine, or a prefix in an object store."""

from harvester.sink.place.base import Place
from harvester.sink.place.local import LocalPlace

__all__ = ["LocalPlace", "Place"]
