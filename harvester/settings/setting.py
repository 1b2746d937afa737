"""What a setting is: its kind, range, section and help. The settings themselves are in `settings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from harvester.errors import did_you_mean
from harvester.settings import parse
from harvester.settings.parse import BadValue, show

T = TypeVar("T")

_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is called, read and written."""

    metavar: str
    parse: Callable[[object], Any]
    show: Callable[[Any], str] = show
    choices: tuple[str, ...] = ()


def word(*choices: str) -> Kind:
    """One of some words."""

    def one_of(value: object) -> str:
        said = value.strip().lower() if isinstance(value, str) else ""
        if said not in choices:
            raise BadValue(f"is not one of {', '.join(choices)}", "choose one of them")
        return said

    return Kind("|".join(choices), one_of, choices=choices)


def words(*choices: str, metavar: str = "NAMES") -> Kind:
    """Some of these words, in any case, each once: a list, or text with commas."""
    known = {choice.lower(): choice for choice in choices}

    def some_of(value: object) -> tuple[str, ...]:
        found = [known.get(name.lower(), name) for name in parse.names(value)]
        for name in found:
            if name not in choices:
                problem = f"has {name}, which is not one of {', '.join(choices)}"
                raise BadValue(problem, did_you_mean(name, choices, "give one of them"))
            if found.count(name) > 1:
                raise BadValue(f"has {name} more than once", "name it once")
        return tuple(found)

    return Kind(metavar, some_of, choices=choices)


TEXT = Kind("NAME", parse.text)
FILTER = Kind("FILTER", parse.text)
TEXTS = Kind("ID", parse.texts)
FIELDS = Kind("FIELDS", parse.fields)
FILE = Kind("FILE", parse.path)
PATHS = Kind("INPUT", parse.paths)
WHOLE = Kind("N", parse.whole)
DURATION = Kind("DURATION", parse.duration, parse.show_duration)
MODE = Kind("MODE", parse.file_mode, "{:04o}".format)
QUOTA = Kind("N/Ps", parse.quota)
MONTH = Kind("YYYY-MM", parse.month)
SHARD = Kind("K/N", parse.shard)
SWITCH = Kind("", parse.flag)
URL = Kind("URL", parse.base_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: the key `name`, the variable HARVESTER_NAME and the flag --name.

    `flag` is empty where only the environment and the file have it. `none` is the word that stands for
    None on every layer; `unset` says in words what None does. `example` is shown where there is no
    default to show. `separator` is put between several values in one environment variable. `common` is the
    rank among the ten options that most people need; 0 for the others.
    """

    name: str
    default: Any
    section: str
    kind: Kind
    help: str
    flag: str = ""
    short: str = ""
    none: str = ""
    unset: str = ""
    example: str = ""
    least: float | None = None
    most: float | None = None
    separator: str = ""
    common: int = 0

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"HARVESTER_{self.name.upper()}"

    @property
    def switch(self) -> bool:
        """Whether it is on or off."""
        return self.kind is SWITCH

    @property
    def negative(self) -> str:
        """The flag that switches it off; empty if it is no switch."""
        return f"--no-{self.flag.removeprefix('--')}" if self.switch and self.flag else ""

    def called(self, value: object) -> str:
        """How messages call it where the command line gave it this value."""
        if self.switch and value is False:
            return self.negative
        return self.flag or {"inputs": "INPUT", "verbosity": "-q" if value == -1 else "-v"}.get(self.name, "")

    def read(self, value: object) -> Any:
        """The value as `Settings` has it, from text, a TOML value or a ready value.

        Raises:
            BadValue: it is not accepted; the problem begins with the value, unless that may be a secret.
        """
        if self._means_none(value):
            return self.default if isinstance(self.default, str) else None
        try:
            found = self.kind.parse(value)
            self._check_range(found)
        except BadValue as bad:
            shown = "" if bad.secret else f"{str(value)[:_LONGEST_SHOWN]!r} "
            raise BadValue(shown + bad.problem, bad.hint, secret=bad.secret) from None
        return found

    def show(self, value: Any) -> str:
        """The value as it would be written, or what None means."""
        if value in (None, "") or (value == () and self.unset):
            return self.unset or self.none
        return self.kind.show(value)

    def _means_none(self, value: object) -> bool:
        if value is None or value == "":
            return value == self.default or (value is None and bool(self.none))
        return bool(self.none) and isinstance(value, str) and value.strip().lower() == self.none

    def _check_range(self, value: Any) -> None:
        """Raise BadValue where there are too few of something. Every range has a lower end."""
        if value == () and self.default:
            raise BadValue("is empty", "give at least one")
        if self.least is None:
            return
        if value < self.least or (self.most is not None and value > self.most):
            least = self.kind.show(self.least)
            wanted = f"at least {least}" if self.most is None else f"{least} to {self.kind.show(self.most)}"
            raise BadValue("is out of range", f"give {wanted}")


def setting(section: str, kind: Kind, about: str, *, default: T, **details: Any) -> T:
    """A dataclass field that defines a setting; `about` is its help, `details` are fields of `Setting`."""
    described = {"section": section, "kind": kind, "help": about, **details}
    field: T = dataclasses.field(default=default, metadata=described)
    return field


def settings_of(table: type) -> tuple[Setting, ...]:
    """The settings that the fields of a dataclass define, in their order."""
    found = []
    for field in dataclasses.fields(table):
        flag = "--" + field.name.replace("_", "-")
        described: dict[str, Any] = {"flag": flag, **field.metadata}
        found.append(Setting(name=field.name, default=field.default, **described))
    return tuple(found)
