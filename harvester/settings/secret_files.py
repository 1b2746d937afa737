"""Files with secrets in them: read, and looked at for who else may read them."""

from __future__ import annotations

import stat
from pathlib import Path

from harvester.errors import SettingFault

_LONGEST = 64 * 1024


def read_bytes(path: Path, setting: str) -> bytes:
    """A small file's content. `setting` is what named it.

    Raises:
        SettingFault: it is missing, unreadable or far too long.
    """
    try:
        with path.open("rb") as file:
            content = file.read(16 * _LONGEST + 1)
    except FileNotFoundError:
        raise SettingFault(setting, f"{path}: no such file", "check the path") from None
    except IsADirectoryError:
        raise SettingFault(setting, f"{path} is a folder", "name the file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingFault(setting, f"{path} can't be read ({reason})", "check its permissions") from None
    if len(content) > 16 * _LONGEST:
        raise SettingFault(setting, f"{path} is longer than 1 MiB", "is it the right file?")
    return content


def read_text(path: Path, setting: str) -> str:
    """A small file's text, with or without a byte order mark.

    Raises:
        SettingFault: as `read_bytes`, or it is no UTF-8.
    """
    try:
        return read_bytes(path, setting).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingFault(setting, f"{path} is no UTF-8 text", "save it as UTF-8") from None


def read_secret(path: Path, setting: str) -> str:
    """The one secret in a file, without blanks and newlines around it.

    Raises:
        SettingFault: as `read_text`, or there is none, or more than one line.
    """
    secret = read_text(path, setting).strip()
    if not secret or not secret.isprintable() or len(secret) > _LONGEST:
        problem = f"{path} is empty" if not secret else f"{path} holds more than one secret"
        raise SettingFault(setting, problem, "write the secret into it, and nothing else")
    return secret


def exposed(path: Path) -> str | None:
    """A warning where everybody on this machine may read the file, else None.

    A group may: that is how service accounts and mounted secrets are shared on purpose.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & stat.S_IROTH:
        return None
    return f"{path} has a secret in it and everybody on this machine may read it: chmod o-r {path}"
