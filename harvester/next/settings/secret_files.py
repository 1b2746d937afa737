"""Files that may hold secrets: read, and checked for who else may read them."""

from __future__ import annotations

import stat
from pathlib import Path

from harvester.next.errors import SettingError
from harvester.next.settings.parse import BadValue
from harvester.next.settings.parse import path as path_of

_LONGEST_SECRET = 64 * 1024
_LONGEST = 1024 * 1024


def named_path(written: str, setting: str) -> Path:
    """The path that `setting` names.

    Raises:
        SettingError: it is blank, or in no known home directory.
    """
    try:
        return path_of(written)
    except BadValue as bad:
        raise SettingError(setting, f"{written!r} {bad.problem}", bad.hint) from None


def read_text(path: Path, setting: str) -> str:
    """A small file's text, with or without a byte order mark. `setting` is what named the file.

    Raises:
        SettingError: it is missing, unreadable, far too long, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise SettingError(setting, f"{path}: no such file", "check the path") from None
    except IsADirectoryError:
        raise SettingError(setting, f"{path} is a directory", "name the file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(setting, f"{path} cannot be read ({reason})", "check its permissions") from None
    if len(content) > _LONGEST:
        raise SettingError(setting, f"{path} is longer than 1 MiB", "is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingError(setting, f"{path} is not UTF-8 text", "save it as UTF-8") from None


def read_secret(path: Path, setting: str) -> str:
    """The one secret in a file, without blanks and newlines around it.

    Raises:
        SettingError: as `read_text`, or the file is empty or holds more than one line.
    """
    secret = read_text(path, setting).strip()
    if not secret or not secret.isprintable() or len(secret) > _LONGEST_SECRET:
        problem = f"{path} is empty" if not secret else f"{path} holds more than one secret"
        raise SettingError(setting, problem, "write the secret into it, and nothing else")
    return secret


def exposed(path: Path) -> str | None:
    """A warning if everybody on this machine may read the file, else None.

    A group may: that is how service accounts and mounted secrets are shared on purpose.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & stat.S_IROTH:
        return None
    return f"{path} holds a secret and everybody on this machine may read it: chmod o-r {path}"
