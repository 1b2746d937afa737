"""Where the ecosystem's own tools keep a tenant's address and credentials.

The official SDKs read ``./config.json``; the official CLI, ``sail``, keeps its environments in
``~/.sailpoint/config.yaml`` and their secrets there or in the system keyring, in entries whose
service is ``environments.pat.clientid`` or ``environments.pat.clientsecret`` and whose user is the
environment's name. These places are looked at, never required: what is wrong with one is a note.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.next.credentials import Credentials
from harvester.next.errors import SettingError
from harvester.next.settings.base_url import base_url, origin
from harvester.next.settings.documents import read_document
from harvester.next.settings.parse import BadValue
from harvester.next.settings.secret_files import exposed, read_text

_KEYRING_ID = "environments.pat.clientid"
_KEYRING_SECRET = "environments.pat.clientsecret"  # noqa: S105  # the entry's name, as `sail` has it
_SDK_FILE = Path("config.json")
_SDK_KEYS = ("BaseURL", "ClientId", "ClientSecret")
_EXTRA = "pip install 'account-usage-harvester[keyring]' to read sail's secrets from the system keyring"


@dataclass(frozen=True, slots=True)
class Place:
    """What one place knows of the tenant. `note` says why it has no client."""

    where: str
    base_url: str = ""
    client: Credentials | None = None
    note: str = ""
    warning: str | None = None


def sdk_file(wanted: str) -> Place:
    """``./config.json``: used as a whole or not at all, as its author chose both address and secret."""
    where = f"./{_SDK_FILE}"
    try:
        document = read_document(_SDK_FILE, where).content
    except SettingError as error:
        return Place(where, note=_reason(error, _SDK_FILE))
    found = [_text(document, key) for key in _SDK_KEYS] if isinstance(document, dict) else []
    if not found or not all(found):
        return Place(where, note=f"lacks one of {', '.join(_SDK_KEYS)}")
    address = _address(found[0])
    if not _fits(address, wanted):
        return Place(where, note=f"is for {address or 'no usable address'}")
    client = Credentials(client_id=found[1], client_secret=found[2])
    return Place(where, address, client, warning=exposed(_SDK_FILE))


def cli_file(home: Path | None, environ: Mapping[str, str], wanted: str, *, secrets: bool = True) -> Place:
    """The active environment of ``~/.sailpoint/config.yaml``, or another whose address is `wanted`.

    Without `secrets`, only its address is looked up, and the keyring is left alone.
    """
    where = "~/.sailpoint/config.yaml"
    if home is None:
        return Place(where, note="there is no home directory")
    path = home / ".sailpoint" / "config.yaml"
    try:
        environments, name = _environment(_yaml(read_text(path, where)), environ, wanted)
    except SettingError as error:
        return Place(where, note=_reason(error, path))
    except BadValue as bad:
        return Place(where, note=bad.problem)
    where, address = f"{where} ({name})", _stored_address(environments, name)
    if not secrets:
        return Place(where, address)
    pat = _table(_table(environments, name), "pat")
    try:
        client = _client(pat, name, environ)
    except BadValue as bad:
        return Place(where, address, note=bad.problem)
    return Place(where, address, client, warning=exposed(path) if _text(pat, "clientsecret") else None)


def _environment(
    document: dict[str, Any], environ: Mapping[str, str], wanted: str
) -> tuple[dict[str, Any], str]:
    """All environments, and the name of the one to use."""
    environments = _table(document, "environments")
    active = environ.get("SAIL_ACTIVEENVIRONMENT") or _text(document, "activeenvironment") or "default"
    names = (active.lower(), *environments)
    name = next((one for one in names if _fits(_stored_address(environments, one), wanted)), None)
    if name is None or (not wanted and name != active.lower()):
        raise BadValue(f"has no environment {'for ' + wanted if wanted else repr(active)}", "")
    return environments, name


def _reason(error: SettingError, path: Path) -> str:
    """What is wrong, without the names that the note begins with anyway."""
    return error.problem.removeprefix(f"{error.setting}: ").removeprefix(str(path)).lstrip(": ")


def _client(pat: dict[str, Any], name: str, environ: Mapping[str, str]) -> Credentials:
    """ID and secret, each from the environment, the file or the keyring, as `sail` looks for them."""
    client_id = environ.get("SAIL_CLIENT_ID") or _text(pat, "clientid") or _from_keyring(_KEYRING_ID, name)
    secret = environ.get("SAIL_CLIENT_SECRET") or _text(pat, "clientsecret")
    secret = secret or _from_keyring(_KEYRING_SECRET, name)
    if not client_id or not secret:
        raise BadValue("has no personal access token, in the file or the keyring", "")
    return Credentials(client_id=client_id, client_secret=secret)


def _stored_address(environments: dict[str, Any], name: str) -> str:
    return _address(_text(_table(environments, name), "baseurl"))


def _address(written: str) -> str:
    try:
        return base_url(written)
    except BadValue:
        return ""


def _fits(stored: str, wanted: str) -> bool:
    """A secret kept for one tenant is not sent to another."""
    return bool(stored) and (not wanted or origin(stored) == origin(wanted))


def _yaml(content: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  # takes longer than all else here, and few have the file

    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadValue(f"is not valid YAML (line {mark.line + 1 if mark else '?'})", "") from None
    except RecursionError:
        raise BadValue("is nested too deeply", "") from None
    return document if isinstance(document, dict) else {}


def _table(document: Any, key: str) -> dict[str, Any]:
    """A table in it; keys are compared in lower case, as `sail` does."""
    found = {str(name).lower(): value for name, value in document.items()}.get(key)
    return {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}


def _text(document: Any, key: str) -> str:
    found = document.get(key)
    return found.strip() if isinstance(found, str) else ""


def _from_keyring(service: str, user: str) -> str:
    """One secret from the system keyring; empty if it has none.

    Raises:
        BadValue: the keyring cannot be read.
    """
    try:
        import keyring  # noqa: PLC0415  # an extra, and slow: imported only when used
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        raise BadValue(_EXTRA, "") from None
    ask: Callable[[str, str], str | None] = keyring.get_password
    try:
        return _unwrapped(ask(service, user) or "")
    except KeyringError as error:
        raise BadValue(f"the system keyring cannot be read ({type(error).__name__})", "") from None


def _unwrapped(secret: str) -> str:
    """On macOS, sail's library stores secrets in base64 or hex, after a word that says so."""
    try:
        if secret.startswith("go-keyring-base64:"):
            return base64.b64decode(secret.partition(":")[2], validate=True).decode()
        if secret.startswith("go-keyring-encoded:"):
            return bytes.fromhex(secret.partition(":")[2]).decode()
    except (binascii.Error, ValueError):
        return ""
    return secret
