"""Every error of the program, sorted by what the caller does next.

::

    HarvesterError
    ├── StopRun                    stop the run; `exit_status` says how the process ends
    │   ├── UsageFault        (2)  wrong usage or configuration; nothing was written
    │   │   ├── SettingFault       a flag, environment variable or configuration key
    │   │   │   └── NoCredentials (4)  there are none in any of the places they may be in
    │   │   ├── InputFault         a list of account IDs, with file and line
    │   │   ├── OutputFault        a destination that can't be written as asked
    │   │   └── ResumeRefused      the ledger belongs to other data
    │   ├── AccessDenied      (4)  not authenticated or not authorised
    │   ├── ClosedPipe      (141)  whoever read stdout has seen enough; the run ends quietly
    │   ├── StoppedEarly      (5)  resumable: deadline, failures, disk full, outage
    │   │   └── Interrupted (130/143)  SIGINT or SIGTERM
    │   └── InternalFault     (1)  a promise the program checks itself does not hold: a bug
    ├── TryAgain                   a fault that may pass; the account is tried again
    │   ├── Throttled              429: no fault of the account, costs it no attempt
    │   ├── TokenRejected          401: the token is renewed, then the account is tried again
    │   └── Fault                  network, timeout, 408, 5xx, a garbled body
    └── GiveUp                     this account can't be had; the others go on

Each error carries the operation, its subject and the mend, and reads as one sentence.
"""

from __future__ import annotations

from typing import ClassVar


class HarvesterError(Exception):
    """Base of all errors the library raises on purpose.

    `problem` says what is wrong and where (file:line, setting, account ID, URL without
    secrets); `mend` says what to do about it, and may be empty.
    """

    def __init__(self, problem: str, mend: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.problem}: {self.mend}" if self.mend else self.problem


class StopRun(HarvesterError):
    """The run can't go on; the process ends with `exit_status`."""

    exit_status: ClassVar[int] = 1


class UsageFault(StopRun):
    """Wrong usage or configuration."""

    exit_status = 2


class SettingFault(UsageFault):
    """A setting is missing, malformed or contradicts another."""

    def __init__(self, setting: str, problem: str, mend: str = "") -> None:
        super().__init__(f"{setting}: {problem}", mend)
        self.setting = setting


class NoCredentials(SettingFault):
    """No credentials were found: nobody can be authenticated, so the status is that of being refused."""

    exit_status = 4


class InputFault(UsageFault):
    """A list of account IDs can't be read. `line` is 1-based."""

    def __init__(self, name: str, problem: str, mend: str = "", *, line: int | None = None) -> None:
        where = name if line is None else f"{name}:{line}"
        super().__init__(f"{where}: {problem}", mend)
        self.name = name
        self.line = line


class OutputFault(UsageFault):
    """A destination can't be written as asked: no such folder, held by another run, complete already."""


class ResumeRefused(UsageFault):
    """The ledger found beside the output was begun with another list or other options."""


class AccessDenied(StopRun):
    """The tenant refuses the credentials, or they lack the scope."""

    exit_status = 4


class ClosedPipe(StopRun):
    """Whoever read stdout has closed it (`| head`): no fault, and nothing to say about it.

    The status is that of a process which SIGPIPE stops.
    """

    exit_status = 141


class StoppedEarly(StopRun):
    """The run was ended before its list was; the same command goes on from there."""

    exit_status = 5


class Interrupted(StoppedEarly):
    """A signal ended the run. `signum` is its number."""

    def __init__(self, signum: int, problem: str, mend: str = "") -> None:
        super().__init__(problem, mend)
        self.signum = signum
        self.exit_status = 128 + signum  # type: ignore[misc]  # the one status that depends on the instance


class InternalFault(StopRun):
    """The program's own figures contradict each other: a bug, and the result is not to be trusted."""


class TryAgain(HarvesterError):
    """What went wrong with one request may pass."""


class Throttled(TryAgain):
    """429. `retry_after` is in seconds, or None when the tenant gave none that makes sense."""

    def __init__(self, problem: str, retry_after: float | None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class TokenRejected(TryAgain):
    """401: the token has expired or is not accepted."""


class Fault(TryAgain):
    """A fault of the network or the tenant.

    `reason` is a word for counters (see `harvester.model.Reason`); `connected` is False
    when not even a connection came about; `status` is the HTTP status where there was one.
    """

    def __init__(
        self,
        reason: str,
        problem: str,
        *,
        status: int | None = None,
        tracking_id: str | None = None,
        connected: bool = True,
    ) -> None:
        super().__init__(problem)
        self.reason = reason
        self.status = status
        self.tracking_id = tracking_id
        self.connected = connected


class GiveUp(HarvesterError):
    """The tenant's answer for this account is final: 400, 403, 404, a redirect and their like."""

    def __init__(self, reason: str, problem: str, *, status: int, tracking_id: str | None = None) -> None:
        super().__init__(problem)
        self.reason = reason
        self.status = status
        self.tracking_id = tracking_id
