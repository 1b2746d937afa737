"""Which clients ask, and at which address: the places in their order, and what was missing in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harvester.next.credentials import Credentials
from harvester.next.errors import NoCredentials, SettingError
from harvester.next.settings.clients import ClientTable, credentials_of, read_clients_file
from harvester.next.settings.config_file import ConfigFile, home_directory
from harvester.next.settings.places import Place, cli_file, sdk_file
from harvester.next.settings.secret_files import exposed, named_path, read_secret

_HINT = (
    "set SAIL_BASE_URL, SAIL_CLIENT_ID and SAIL_CLIENT_SECRET (those of a personal access token), "
    "or write them to a configuration file"
)

NOWHERE = "nowhere"
"""The origin of what was not found."""


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

        Raises:
            SettingError: one of them is missing.
        """
        if not self.clients:
            notes = "; ".join([*self.notes, *([remark] if remark else [])])
            raise NoCredentials("credentials", f"none found ({notes})", _HINT)
        if not self.base_url:
            problem = "the tenant's address is not set"
            raise SettingError("--base-url", f"{problem} ({remark})" if remark else problem, _HINT)


def find_access(
    clients_file: tuple[Path, str] | None,
    base_url: tuple[str, str] | None,
    environ: Mapping[str, str],
    file: ConfigFile,
) -> Access:
    """Look in this order: clients file, environment, configuration, the SDK's place, the CLI's place.

    `clients_file` and `base_url` come with the name of what set them. The address of the last two places
    is used if none is set; if one is set, their secrets are used only if they were kept for it.

    Raises:
        SettingError: something is wrong with a place that was named.
    """
    access = Access()
    if base_url is not None:
        access.base_url, access.base_url_from = base_url
    if clients_file is not None:
        _take(access, read_clients_file(*clients_file), environ, f"{clients_file[1]} {clients_file[0]}")
    else:
        access.notes.append("no --clients")
        _from_environment(access, environ, file)
    if not access.clients and file.clients:
        _take(access, [_filled(table, environ) for table in file.clients], environ, str(file.path))
    elif not access.clients:
        access.notes.append(f"{file.path} names no client" if file.path else "no configuration file")
    _from_places(access, environ)
    return access


def _take(access: Access, tables: list[ClientTable], environ: Mapping[str, str], where: str) -> None:
    access.clients, warnings = credentials_of(tables, environ)
    access.clients_from = where
    access.warnings += warnings


def _from_environment(access: Access, environ: Mapping[str, str], file: ConfigFile) -> None:
    """The variables of the official tools, and a ready token for those who have one."""
    client_id = environ.get("SAIL_CLIENT_ID", "").strip()
    secret, secret_from = _secret(access, environ, "SAIL_CLIENT_SECRET")
    token, token_from = _secret(access, environ, "SAIL_ACCESS_TOKEN")
    if client_id and secret:
        access.clients = (Credentials(client_id=client_id, client_secret=secret),)
        access.clients_from = f"SAIL_CLIENT_ID and {secret_from}"
        if token:
            access.warnings.append(f"{token_from} is not used: SAIL_CLIENT_ID and its secret get new tokens")
    elif token:
        access.clients = (_holder(token, token_from, environ),)
        access.clients_from = token_from
    else:
        missing = {(True, False): "SAIL_CLIENT_SECRET", (False, True): "SAIL_CLIENT_ID"}
        none = "SAIL_CLIENT_ID and no SAIL_ACCESS_TOKEN"
        access.notes.append(f"the environment has no {missing.get((bool(client_id), bool(secret)), none)}")
    if access.clients and file.clients:
        access.warnings.append(f"the clients of {file.path} are not used: {access.clients_from} come first")


def _holder(token: str, token_from: str, environ: Mapping[str, str]) -> Credentials:
    """A token, or the file of one, which is read again whenever it changes."""
    if token_from.endswith("_FILE"):
        return Credentials(access_token_file=named_path(environ[token_from], token_from))
    return Credentials(access_token=token)


def _secret(access: Access, environ: Mapping[str, str], variable: str) -> tuple[str, str]:
    """A secret and where it was: the variable, or the file that ``<variable>_FILE`` names."""
    if direct := environ.get(variable, "").strip():
        return direct, variable
    pointer = f"{variable}_FILE"
    if not environ.get(pointer, "").strip():
        return "", variable
    path = named_path(environ[pointer], pointer)
    if warning := exposed(path):
        access.warnings.append(warning)
    return read_secret(path, pointer), pointer


def _filled(table: ClientTable, environ: Mapping[str, str]) -> ClientTable:
    """A configuration's one client may leave its secret to SAIL_CLIENT_SECRET."""
    values = dict(table.values)
    lacks = not any(key.startswith(("client_secret", "access_token")) for key in values)
    for variable, key in (("SAIL_CLIENT_SECRET", "_env"), ("SAIL_CLIENT_SECRET_FILE", "_file")):
        if lacks and "client_id" in values and environ.get(variable, "").strip():
            values[f"client_secret{key}"] = variable if key == "_env" else environ[variable]
            break
    return ClientTable(values, table.document, table.key)


def _from_places(access: Access, environ: Mapping[str, str]) -> None:
    """The SDK's and the CLI's files, as far as something is still missing.

    A stranger's ./config.json must not redirect credentials that came from elsewhere: it is used as a
    whole or not at all. What is in the operator's home directory may well complete them.
    """
    if not access.clients:
        _use(access, sdk_file(access.base_url))
    if not access.clients or not access.base_url:
        secrets = not access.clients
        _use(access, cli_file(home_directory(environ), environ, access.base_url, secrets=secrets))


def _use(access: Access, place: Place) -> None:
    if place.note:
        access.notes.append(f"{place.where}: {place.note}")
    if not access.base_url and place.base_url:
        access.base_url, access.base_url_from = place.base_url, place.where
    if not access.clients and place.client:
        access.clients, access.clients_from = (place.client,), place.where
        access.warnings += [place.warning] if place.warning else []
