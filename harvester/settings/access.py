"""Which clients ask, and at which address: the places in their order, and what was missing in each.

After the clients file, the environment and the configuration come the places where SailPoint's own tools
keep them: the SDKs' ``./config.json``, and ``~/.sailpoint/config.yaml`` of the CLI, ``sail``, whose secrets
are there or in the system keyring, in entries called ``environments.pat.clientid`` and
``environments.pat.clientsecret`` of the environment's name. What is wrong with these two is a note.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from harvester.credentials import Credentials
from harvester.errors import NoCredentials, SettingError
from harvester.settings.config_file import (
    CLIENT_KEYS,
    ClientTable,
    ConfigFile,
    Named,
    home_directory,
    named_path,
    read_clients,
    read_text,
    warn_if_exposed,
)
from harvester.settings.parse import BadValue, base_url

NOWHERE: Final = "nowhere"
"""The origin of what was not found."""

_HINT: Final = (
    "set SAIL_BASE_URL, SAIL_CLIENT_ID and SAIL_CLIENT_SECRET (those of a personal access token), "
    "or write them to a configuration file"
)
_SDK_FILE: Final = "./config.json"
_SDK_KEYS: Final = ("BaseURL", "ClientId", "ClientSecret")
_SAIL_FILE: Final = "~/.sailpoint/config.yaml"
_EXTRA: Final = (
    "pip install 'account-usage-harvester[keyring]' to read sail's secrets from the system keyring"
)


@dataclass(slots=True)
class Access:
    """The outcome: clients, address, where each came from, and what was noticed on the way."""

    clients: tuple[Credentials, ...] = ()
    clients_from: str = NOWHERE
    base_url: str = ""
    base_url_from: str = NOWHERE
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def require(self, remark: str | None = None) -> None:
        """Refuse to go on without an address or credentials; all places that were looked at are named.

        `remark` is one more thing that may explain it.
        """
        remarks = [remark] if remark else []
        if not self.clients:
            raise NoCredentials("credentials", f"none found ({'; '.join(self.notes + remarks)})", _HINT)
        if not self.base_url:
            problem = "; ".join(["the tenant's address is not set", *remarks])
            raise SettingError("--base-url", problem, _HINT)


def find_access(
    clients_file: Named | None, base_url: Named | None, environ: Mapping[str, str], file: ConfigFile
) -> Access:
    """Look in this order: clients file, environment, configuration, the SDKs' place, the CLI's place.

    The address of the last two places is used if none is set; if one is set, their secrets are used only if
    they were kept for it.
    """
    access = Access()
    if base_url is not None:
        access.base_url, access.base_url_from = base_url
    tables: Sequence[ClientTable] = ()
    if clients_file is not None:
        tables, where = read_clients(clients_file), f"{clients_file[1]} {named_path(*clients_file)}"
    elif (table := _of_environment(environ, access)) is not None:
        tables, where = [table], " and ".join(map(_variable, table.values))
        if file.clients:
            access.warnings.append(f"the clients of {file.path} are not used: {where} come first")
    else:
        tables, where = [_completed(one, environ) for one in file.clients], str(file.path)
    if tables:
        access.clients = tuple(one.credentials(environ, access.warnings) for one in tables)
        access.clients_from = where
    elif clients_file is None:
        access.notes.append(f"{file.path} names no client" if file.path else "no configuration file")
    _look(access, environ)
    return access


# --- the environment


def _of_environment(environ: Mapping[str, str], access: Access) -> ClientTable | None:
    """The client in the variables of the official tools, or a ready token for those who have one."""
    client_id = environ.get("SAIL_CLIENT_ID", "").strip()
    secret, token = _secret_of(environ, "client_secret"), _secret_of(environ, "access_token")
    if client_id and secret:
        for key in token:
            problem = "is not used: SAIL_CLIENT_ID and its secret get new tokens"
            access.warnings.append(f"{_variable(key)} {problem}")
        return ClientTable({"client_id": client_id, **secret}, _variables("client_id", *secret))
    if token:
        return ClientTable(token, _variables("client_id", *token))
    missing = "SAIL_CLIENT_SECRET" if client_id else "SAIL_CLIENT_ID" if secret else ""
    none = "SAIL_CLIENT_ID and no SAIL_ACCESS_TOKEN"
    access.notes.append(f"no --clients; the environment has no {missing or none}")
    return None


def _secret_of(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """Where the environment has a secret, as a configuration file would say it: a variable, or a file."""
    variable = f"SAIL_{name.upper()}"
    if environ.get(variable, "").strip():
        return {f"{name}_env": variable}
    file = environ.get(f"{variable}_FILE", "").strip()
    return {f"{name}_file": file} if file else {}


def _variable(key: str) -> str:
    return f"SAIL_{key.upper().removesuffix('_ENV')}"


def _variables(*keys: str) -> dict[str, str]:
    return {key: _variable(key) for key in keys}


def _completed(table: ClientTable, environ: Mapping[str, str]) -> ClientTable:
    """A client of the configuration may leave its secret to SAIL_CLIENT_SECRET."""
    if table.values.keys() & {*CLIENT_KEYS} != {"client_id"}:
        return table
    secret = _secret_of(environ, "client_secret")
    return replace(table, values={**table.values, **secret}, places={**table.places, **_variables(*secret)})


# --- the places of SailPoint's tools


def _look(access: Access, environ: Mapping[str, str]) -> None:
    """Look into the SDKs' and the CLI's files, as far as something is still missing.

    A stranger's ./config.json must not redirect credentials that came from elsewhere: it is used as a
    whole or not at all. What is in the operator's home directory may well complete them.
    """
    for where, use in ((_SDK_FILE, _use_sdk), (_SAIL_FILE, _use_sail)):
        if access.clients and (access.base_url or use is _use_sdk):
            continue
        try:
            use(access, environ)
        except SettingError as error:
            access.notes.append(error.problem)
        except BadValue as bad:
            access.notes.append(f"{where}: {bad.problem}")


def _use_sdk(access: Access, _environ: Mapping[str, str]) -> None:
    path = Path(_SDK_FILE)
    try:
        found = json.loads(read_text(path, _SDK_FILE))
    except (ValueError, RecursionError):
        raise BadValue("is not valid JSON") from None
    address, client_id, secret = (_text(found, key) for key in _SDK_KEYS)
    if not address or not client_id or not secret:
        raise BadValue(f"lacks one of {', '.join(_SDK_KEYS)}")
    _use_address(access, address, _SDK_FILE)
    access.clients = (Credentials(client_id=client_id, client_secret=secret),)
    access.clients_from = _SDK_FILE
    warn_if_exposed(path, access.warnings)


def _use_sail(access: Access, environ: Mapping[str, str]) -> None:
    """The active environment of the CLI. Keys are compared in lower case, as `sail` does."""
    home = home_directory(environ)
    if home is None:
        raise BadValue("there is no home directory")
    path = home / ".sailpoint" / "config.yaml"
    document = _lower(_yaml(read_text(path, _SAIL_FILE)))
    name = environ.get("SAIL_ACTIVEENVIRONMENT") or _text(document, "activeenvironment") or "default"
    name = name.lower()
    environment = _lower(_lower(document.get("environments")).get(name))
    where = f"{_SAIL_FILE} ({name})"
    _use_address(access, _text(environment, "baseurl"), where)
    if access.clients:
        return
    pat = _lower(environment.get("pat"))
    client_id = _text(pat, "clientid") or _from_keyring("environments.pat.clientid", name)
    secret = _text(pat, "clientsecret")
    if secret:
        warn_if_exposed(path, access.warnings)
    secret = secret or _from_keyring("environments.pat.clientsecret", name)
    if not client_id or not secret:
        raise BadValue("has no personal access token, in the file or the keyring")
    access.clients = (Credentials(client_id=client_id, client_secret=secret),)
    access.clients_from = where


def _use_address(access: Access, written: str, where: str) -> None:
    """The address that was kept with a secret. A secret kept for one tenant is not sent to another."""
    try:
        address = base_url(written)
    except BadValue:
        raise BadValue("has no usable address") from None
    if not access.base_url:
        access.base_url, access.base_url_from = address, where
    elif address != access.base_url:
        raise BadValue(f"is for {address}")


def _yaml(content: str) -> object:
    import yaml  # noqa: PLC0415  # takes longer than all else here, and few have the file

    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError):
        raise BadValue("is not valid YAML") from None


def _lower(table: object) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in table.items()} if isinstance(table, dict) else {}


def _text(table: object, key: str) -> str:
    found = table.get(key) if isinstance(table, dict) else None
    return found.strip() if isinstance(found, str) else ""


def _from_keyring(service: str, user: str) -> str:
    """One secret from the system keyring; empty if it has none."""
    try:
        import keyring  # noqa: PLC0415  # an extra, and slow: imported only when used
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        raise BadValue(_EXTRA) from None
    try:
        secret = keyring.get_password(service, user) or ""
    except KeyringError as error:
        raise BadValue(f"the system keyring cannot be read ({type(error).__name__})") from None
    # On macOS, sail's library stores secrets in base64 or hex, after a word that says so.
    kind, _, encoded = secret.partition(":")
    try:
        if kind == "go-keyring-base64":
            return base64.b64decode(encoded, validate=True).decode()
        return bytes.fromhex(encoded).decode() if kind == "go-keyring-encoded" else secret
    except (binascii.Error, ValueError):
        return ""
