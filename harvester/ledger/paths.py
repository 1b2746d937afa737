"""Where the ledger of an output is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from harvester.errors import OutputError, SettingError
from harvester.files import disk_errors, is_stream, partial, resolve
from harvester.ledger.lock import Descriptor

_APPLICATION: Final = "account-usage-harvester"
_USER: Final = re.compile(r"://[^/@]*@")
_DATABASES: Final = (".db", ".sqlite")
_MAGIC: Final = b"SQLite format 3\0"
_DIRECTORY_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class LedgerPaths:
    """The names of one harvest's ledger, all in one directory.

    `partial` is the unfinished one, `finished` the finished one, and `copy` what that is made as.
    """

    partial: Path
    finished: Path
    copy: Path
    in_state_directory: bool = False

    def prepare(self) -> None:
        """Make the state directory, if the ledger goes there.

        Raises:
            OutputError: it cannot be made.
        """
        if self.in_state_directory:
            directory = self.partial.parent
            with disk_errors(directory, "the directory of ledgers", started=False):
                directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)


def ledger_paths(
    output: str, *, ledger: Path | None, base_url: str, environ: Mapping[str, str], remote: bool
) -> LedgerPaths | None:
    """Where the ledger of `output` (``DEST``) is; None if it is temporary (stdout, a FIFO, a device).

    `ledger` is the user's own choice. `remote` says whether `output` is an object store or a table.

    Raises:
        SettingError: `ledger` cannot be one, or it would be in the home directory, and there is none.
        OutputError: `output` cannot be a path.
    """
    if ledger is not None:
        own = resolve(ledger)
        if is_stream(ledger) or own.is_dir():
            raise SettingError("--ledger", f"{ledger} is not a regular file", "name another")
        return LedgerPaths(partial(own), own, own.with_name(own.name + ".copy.partial"))
    if remote:
        return _in_state_directory(output, base_url, environ)
    if is_stream(Path(output)):
        return None
    target = resolve(Path(output))
    if not target.name:
        raise OutputError(f"{output}: is the root of the file system", "name a directory in it")
    beside = target.with_name(target.name + ".ledger")
    finished = target if output.lower().endswith(_DATABASES) else beside
    return LedgerPaths(partial(beside), finished, partial(target))


def _in_state_directory(output: str, base_url: str, environ: Mapping[str, str]) -> LedgerPaths:
    directory = _state_home(environ) / _APPLICATION
    # without user and password: a new one is no new destination
    subject = f"{base_url.rstrip('/')}\n{_USER.sub('://', output)}"
    name = blake2b(subject.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return LedgerPaths(
        directory / f"{name}.ledger.partial",
        directory / f"{name}.ledger",
        directory / f"{name}.partial",
        in_state_directory=True,
    )


def _state_home(environ: Mapping[str, str]) -> Path:
    chosen, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if chosen.startswith("/"):  # a relative one is to be ignored, says the specification
        return Path(chosen)
    if not home:
        raise SettingError(
            "--ledger",
            "is required: there is no home directory to keep the ledger in",
            "name a file for it, or set XDG_STATE_HOME",
        )
    return Path(home) / ".local" / "state"


def find_ledger(name: Path) -> Path | None:
    """The ledger that `name` means: that of this output if finished, `name` itself, or the unfinished one."""
    target = resolve(name)
    if not target.name:
        return None
    beside, unfinished = (target.with_name(target.name + suffix) for suffix in (".ledger", ".ledger.partial"))
    if beside.exists():
        return beside
    if target.is_file() and _has_magic(target):
        return target
    return unfinished if unfinished.exists() else None


def _has_magic(path: Path) -> bool:
    descriptor = Descriptor(path)
    try:
        return os.pread(descriptor.fd, len(_MAGIC), 0) == _MAGIC
    finally:
        descriptor.close()
