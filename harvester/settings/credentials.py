"""Which clients ask, and at which address: the places in their order, and what was found wanting in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harvester.errors import NoCredentials, SettingFault
from harvester.settings.client import Client
from harvester.settings.client_tables import ClientTable, clients_of, read_clients_file
from harvester.settings.config_file import ConfigFile
from harvester.settings.places import Place, cli_file, sdk_file
from harvester.settings.secret_files import exposed, read_secret

_MEND = (
    "set SAIL_BASE_URL, SAIL_CLIENT_ID and SAIL_CLIENT_SECRET (a personal access token's), "
    "or put them into a --config file"
)


@dataclass(slots=True)
class Access:
    """The outcome: clients, address, where each came from, and what was noticed on the way."""

    clients: tuple[Client, ...] = ()
    clients_from: str = "nowhere"
    base_url: str = ""
    base_url_from: str = "nowhere"
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def require(self) -> None:
        """Refuse to go on without an address or credentials; all places that were looked at are named.

        Raises:
            SettingFault: one of them is missing.
        """
        if not self.clients:
            raise NoCredentials("credentials", f"none found ({'; '.join(self.notes)})", _MEND)
        if not self.base_url:
            raise SettingFault("--base-url", "the tenant's address is not set", _MEND)


def find_access(
    clients_file: tuple[Path, str] | None,
    base_url: tuple[str, str] | None,
    environ: Mapping[str, str],
    file: ConfigFile,
    *,
    home: Path,
    cwd: Path,
) -> Access:
    """Look in the order: clients file, environment, configuration, SDK's place, CLI's place.

    `clients_file` and `base_url` come with the name of what set them. The address of the last two places is
    taken where none is set; where one is set, their secrets are taken only if they were kept for it.

    Raises:
        SettingFault: a place that was named has something wrong in it.
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
        access.notes.append(f"{file.path} names no client" if file.path else "no --config")
    _from_places(access, environ, home=home, cwd=cwd)
    return access


def _take(access: Access, tables: list[ClientTable], environ: Mapping[str, str], where: str) -> None:
    access.clients, warnings = clients_of(tables, environ)
    access.clients_from = where
    access.warnings += warnings


def _from_environment(access: Access, environ: Mapping[str, str], file: ConfigFile) -> None:
    """The variables of the official tools, and a ready token for who has one."""
    client_id = environ.get("SAIL_CLIENT_ID", "").strip()
    secret, secret_from = _secret(access, environ, "SAIL_CLIENT_SECRET")
    token, token_from = _secret(access, environ, "SAIL_ACCESS_TOKEN")
    token_file = Path(environ["SAIL_ACCESS_TOKEN_FILE"]) if token_from == "SAIL_ACCESS_TOKEN_FILE" else None  # noqa: S105  # a variable's name
    if client_id and secret:
        access.clients = (Client(client_id=client_id, client_secret=secret),)
        access.clients_from = f"SAIL_CLIENT_ID and {secret_from}"
    elif token:
        access.clients = (Client(access_token="" if token_file else token, access_token_file=token_file),)
        access.clients_from = token_from
    else:
        missing = {(True, False): "SAIL_CLIENT_SECRET", (False, True): "SAIL_CLIENT_ID"}
        none = "SAIL_CLIENT_ID and no SAIL_ACCESS_TOKEN"
        access.notes.append(f"the environment has no {missing.get((bool(client_id), bool(secret)), none)}")
    if access.clients and file.clients:
        access.warnings.append(f"the clients of {file.path} are not used, but {access.clients_from}")
    elif access.clients and client_id and secret and token:
        access.warnings.append(f"{token_from} is not used: SAIL_CLIENT_ID and its secret get new tokens")


def _secret(access: Access, environ: Mapping[str, str], variable: str) -> tuple[str, str]:
    """A secret and where it was: the variable, or the file that ``<variable>_FILE`` names."""
    if direct := environ.get(variable, "").strip():
        return direct, variable
    named = environ.get(f"{variable}_FILE", "").strip()
    if not named:
        return "", variable
    if warning := exposed(Path(named)):
        access.warnings.append(warning)
    return read_secret(Path(named), f"{variable}_FILE"), f"{variable}_FILE"


def _filled(table: ClientTable, environ: Mapping[str, str]) -> ClientTable:
    """A configuration's one client may leave its secret to SAIL_CLIENT_SECRET."""
    values = dict(table.values)
    lacks = not any(key.startswith(("client_secret", "access_token")) for key in values)
    for variable, key in (("SAIL_CLIENT_SECRET", "_env"), ("SAIL_CLIENT_SECRET_FILE", "_file")):
        if lacks and "client_id" in values and environ.get(variable, "").strip():
            values[f"client_secret{key}"] = variable if key == "_env" else environ[variable]
            break
    return ClientTable(values, table.where, table.file)


def _from_places(access: Access, environ: Mapping[str, str], *, home: Path, cwd: Path) -> None:
    """SDK's and CLI's files, as far as something is missing yet.

    A stranger's ./config.json must not redirect credentials that came from elsewhere: it is taken whole
    or not at all. What is in the operator's home folder may well complete them.
    """
    if not access.clients:
        _use(access, sdk_file(cwd, access.base_url))
    if not access.clients or not access.base_url:
        _use(access, cli_file(home, environ, access.base_url, secrets=not access.clients))


def _use(access: Access, place: Place) -> None:
    if place.note:
        access.notes.append(f"{place.where}: {place.note}")
    if not access.base_url and place.base_url:
        access.base_url, access.base_url_from = place.base_url, place.where
    if not access.clients and place.client:
        access.clients, access.clients_from = (place.client,), place.where
        access.warnings += [place.warning] if place.warning else []
