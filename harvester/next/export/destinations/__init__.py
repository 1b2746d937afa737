"""Where outputs go: stdout, files, directories, object stores."""

from harvester.next.export.destinations.base import Destination, Sink
from harvester.next.export.destinations.directory import Directory
from harvester.next.export.destinations.file import SingleFile

__all__ = ["Destination", "Directory", "SingleFile", "Sink"]
