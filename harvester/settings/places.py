"""Where the ecosystem's own tools keep a tenant's address and credentials.

The official SDKs read ``./config.json``; the official CLI, ``sail``, keeps its environments in
``~/.sailpoint/config.yaml`` and their secrets there or in the system keyring, in entries whose
service is ``environments.pat.clientid`` or ``environments.pat.clientsecret`` and whose user is the
environment's name. These places are looked at, never demanded: what is wrong with one is a note.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.errors import SettingFault
from harvester.settings.base_url import base_url, origin
from harvester.settings.client import Client
from harvester.settings.client_tables import read_json
from harvester.settings.parse import BadValue
from harvester.settings.secret_files import exposed, read_text

_KEYRING_ID = "environments.pat.clientid"
_KEYRING_SECRET = "environments.pat.clientsecret"  # noqa: S105  # the entry's name, as `sail` has it
_SDK_KEYS = ("BaseURL", "ClientId", "ClientSecret")
_EXTRA = "pip install 'account-usage-harvester[keyring]' to read sail's secrets from the system keyring"


@dataclass(frozen=True, slots=True)
class Place:
    """What one place knows of the tenant. `note` says why it has no client."""

    where: str
    base_url: str = ""
    client: Client | None = None
    note: str = ""
    warning: str | None = None


def sdk_file(cwd: Path, wanted: str) -> Place:
    """``./config.json``: taken only whole, for whoever put it there chose both address and secret."""
    path, where = cwd / "config.json", "./config.json"
    try:
        document = read_json(_content(path, where), path)
    except (BadValue, SettingFault) as fault:
        return Place(where, note=fault.problem)
    found = [_text(document, key) for key in _SDK_KEYS] if isinstance(document, dict) else []
    if not found or not all(found):
        return Place(where, note=f"has not all of {', '.join(_SDK_KEYS)}")
    address = _address(found[0])
    if not _fits(address, wanted):
        return Place(where, note=f"is for {address or 'no usable address'}")
    client = Client(client_id=found[1], client_secret=found[2])
    return Place(where, address, client, warning=exposed(path))


def cli_file(home: Path, environ: Mapping[str, str], wanted: str, *, secrets: bool = True) -> Place:
    """The active environment of ``~/.sailpoint/config.yaml``, or another whose address is `wanted`.

    Without `secrets`, only its address is looked up, and the keyring is left alone.
    """
    path, where = home / ".sailpoint" / "config.yaml", "~/.sailpoint/config.yaml"
    try:
        document = _yaml(_content(path, where))
    except BadValue as bad:
        return Place(where, note=bad.problem)
    environments = _table(document, "environments")
    active = environ.get("SAIL_ACTIVEENVIRONMENT") or _text(document, "activeenvironment") or "default"
    names = (active.lower(), *environments)
    name = next((one for one in names if _fits(_stored_address(environments, one), wanted)), None)
    if name is None or (not wanted and name != active.lower()):
        return Place(where, note=f"has no environment {'for ' + wanted if wanted else repr(active)}")
    where = f"{where} ({name})"
    address = _stored_address(environments, name)
    if not secrets:
        return Place(where, address)
    pat = _table(_table(environments, name), "pat")
    try:
        client = _client(pat, name, environ)
    except BadValue as bad:
        return Place(where, address, note=bad.problem)
    return Place(where, address, client, warning=exposed(path) if _text(pat, "clientsecret") else None)


def _content(path: Path, where: str) -> str:
    try:
        return read_text(path, where)
    except SettingFault as fault:
        raise BadValue(fault.problem.removeprefix(f"{where}: {path}").lstrip(": "), "") from None


def _client(pat: dict[str, Any], name: str, environ: Mapping[str, str]) -> Client:
    """Id and secret, each from the environment, the file or the keyring, as `sail` looks for them."""
    client_id = environ.get("SAIL_CLIENT_ID") or _text(pat, "clientid") or _from_keyring(_KEYRING_ID, name)
    secret = environ.get("SAIL_CLIENT_SECRET") or _text(pat, "clientsecret")
    secret = secret or _from_keyring(_KEYRING_SECRET, name)
    if not client_id or not secret:
        raise BadValue("has no personal access token, in the file or the keyring", "")
    return Client(client_id=client_id, client_secret=secret)


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
        raise BadValue(f"is no valid YAML (line {mark.line + 1 if mark else '?'})", "") from None
    return document if isinstance(document, dict) else {}


def _table(document: Any, key: str) -> dict[str, Any]:
    """A table in it; keys are compared in lower case, as `sail` does."""
    found = {str(name).lower(): value for name, value in document.items()}.get(key)
    return {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}


def _text(document: Any, key: str) -> str:
    found = document.get(key)
    return found.strip() if isinstance(found, str) else ""


def _from_keyring(service: str, user: str) -> str:
    """One secret out of the system keyring; empty where it has none.

    Raises:
        BadValue: the keyring can't be asked.
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
        raise BadValue(f"the system keyring can't be read ({type(error).__name__})", "") from None


def _unwrapped(secret: str) -> str:
    """On macOS, sail's library stores secrets in base64 or hex, behind a word that says so."""
    try:
        if secret.startswith("go-keyring-base64:"):
            return base64.b64decode(secret.partition(":")[2], validate=True).decode()
        if secret.startswith("go-keyring-encoded:"):
            return bytes.fromhex(secret.partition(":")[2]).decode()
    except (binascii.Error, ValueError):
        return ""
    return secret
