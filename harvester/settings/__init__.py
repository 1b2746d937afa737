"""The settings of a run: one table (`settings`), and what puts its values together (`load`)."""

from harvester.settings.load import Loaded, Options, load, load_settings
from harvester.settings.settings import BY_NAME, SECTIONS, TABLE, Settings

__all__ = ["BY_NAME", "SECTIONS", "TABLE", "Loaded", "Options", "Settings", "load", "load_settings"]
