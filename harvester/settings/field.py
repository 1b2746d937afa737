"""What a setting is: its name, flag, kind, range, help. The settings themselves stand in `table`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harvester.settings.parse import BadValue, show


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is called, read and written."""

    metavar: str
    parse: Callable[[object], Any]
    show: Callable[[Any], str] = show
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting. `flag` is empty where only the environment and the file have it.

    `none` is the word that stands for None in every layer; `unset` says in words what None
    does, where the word alone would not. `off` is the flag for False.
    """

    name: str
    kind: Kind
    section: str
    help: str
    flag: str = ""
    short: str = ""
    off: str = ""
    none: str = ""
    unset: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"HARVESTER_{self.name.upper()}"

    def parse(self, value: object) -> Any:
        """The value as `Settings` wants it.

        Raises:
            BadValue: it can't be taken.
        """
        if self.none and isinstance(value, str) and value.strip().lower() == self.none:
            return None
        found = self.kind.parse(value)
        self.check(found)
        return found

    def check(self, value: Any) -> None:
        """Raise BadValue where the value is outside the range."""
        if (self.least is None and self.most is None) or value is None:
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadValue("is no number", "give a number")
        if not (self.least is None or value >= self.least) or not (self.most is None or value <= self.most):
            raise BadValue("is out of range", f"give {self._range()}")

    def show(self, value: Any) -> str:
        """The value as it would be written, or what None means."""
        return (self.unset or self.none) if value is None else self.kind.show(value)

    def _range(self) -> str:
        least = None if self.least is None else self.kind.show(self.least)
        most = None if self.most is None else self.kind.show(self.most)
        return f"{least} to {most}" if least and most else f"at least {least}" if least else f"at most {most}"
