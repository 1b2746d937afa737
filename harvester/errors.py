"""Every error the library raises, arranged by what the caller does next.

::

    HarvesterError
    ├── StopRun                    ends the run; `exit_status` says how the process ends
    │   ├── UsageError        (2)  wrong usage or configuration
    │   │   ├── SettingError       a flag, environment variable, configuration key or keyword
    │   │   │   └── NoCredentials (4)  none in any of the places they may be in
    │   │   ├── InputError         a list of account IDs, with file and line
    │   │   ├── OutputError        a destination that cannot be written as asked
    │   │   ├── LedgerUnreadable   no ledger, damaged, or written by another version
    │   │   └── ResumeRefused      the unfinished harvest is one of other data
    │   ├── AccessDenied      (4)  not authenticated or not authorized
    │   ├── ClosedPipe      (141)  the reader of stdout closed it; the run ends quietly
    │   ├── StoppedEarly      (5)  resumable: deadline, failures, full disk, outage
    │   │   └── Interrupted (129/130/143)  SIGHUP, SIGINT or SIGTERM
    │   └── InternalError     (1)  a promise the program checks itself does not hold: a bug
    └── InvalidAccountId           an account ID given to the library is empty or no text (a ValueError)

What the tenant answers is not an error but a value: see `harvester.model.Outcome`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Final

RESUMABLE: Final = "run the same command again: it continues where it stopped"
"""The hint of whatever ends a run early; not true of a harvest whose ledger is temporary."""


def did_you_mean(written: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint that names what was probably meant; `otherwise` where nothing is like it."""
    near = get_close_matches(written, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


class HarvesterError(Exception):
    """Base of all errors the library raises on purpose.

    `problem` is one sentence that says what is wrong and where (file:line, setting, account ID, URL
    without secrets); `hint` says what to do about it, and may be empty.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}" if self.hint else self.problem


class StopRun(HarvesterError):
    """The run cannot go on; the process ends with `exit_status`."""

    exit_status: ClassVar[int] = 1


class UsageError(StopRun):
    """Wrong usage or configuration."""

    exit_status = 2


class SettingError(UsageError):
    """A setting is missing, malformed or contradicts another."""

    def __init__(self, setting: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{setting}: {problem}", hint)
        self.setting = setting


class NoCredentials(SettingError):
    """No credentials were found, so nobody can be authenticated."""

    exit_status = 4


class InputError(UsageError):
    """A list of account IDs cannot be read. `line` is 1-based."""

    def __init__(self, name: str, problem: str, hint: str = "", *, line: int | None = None) -> None:
        where = name if line is None else f"{name}:{line}"
        super().__init__(f"{where}: {problem}", hint)
        self.name = name
        self.line = line


class OutputError(UsageError):
    """A destination cannot be written as asked: no such directory, in use, already complete."""


class LedgerUnreadable(UsageError):
    """A file is not a ledger, is damaged, or has the format of another version of harvester."""


class ResumeRefused(UsageError):
    """The unfinished harvest under this output asks for other data, or has a different list."""


class AccessDenied(StopRun):
    """The tenant refuses the credentials, or they lack the scope."""

    exit_status = 4


class ClosedPipe(StopRun):
    """The reader of stdout closed it (`| head`): not a fault, and nothing to say about it."""

    exit_status = 141


class StoppedEarly(StopRun):
    """The run ended before its list did; the same command continues where it stopped."""

    exit_status = 5


class Interrupted(StoppedEarly):
    """A signal ended the run. `signum` is its number."""

    def __init__(self, signum: int, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.signum = signum
        self.exit_status = 128 + signum  # type: ignore[misc]  # the one status that depends on the instance


class InternalError(StopRun):
    """The program's own figures contradict each other: a bug, and the result is not to be trusted."""


class InvalidAccountId(HarvesterError, ValueError):
    """An account ID given to the library is empty, blank, too long or not valid text."""
