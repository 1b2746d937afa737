"""The one table of settings.

Each field defines a setting once. Flags, environment variables, configuration keys, the checks of values,
help, the configuration template and the tables of the documentation are all derived from it. A setting
called ``page_size`` is the flag ``--page-size``, the variable ``HARVESTER_PAGE_SIZE``, the key
``page_size`` and the keyword ``page_size``.
"""

# ruff: noqa: RUF009  # what `setting` returns is a dataclasses.field

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from harvester.credentials import Credentials
from harvester.errors import SettingError
from harvester.model import Quota, Shard
from harvester.settings.checks import contradictions
from harvester.settings.destination import Compression, Destination, Format, destination, resolve
from harvester.settings.parse import API_VERSIONS, BadValue, path_text
from harvester.settings.setting import (
    DURATION,
    FIELDS,
    FILE,
    FILTER,
    MODE,
    MONTH,
    PATHS,
    QUOTA,
    SHARD,
    SWITCH,
    TEXT,
    TEXTS,
    URL,
    WHOLE,
    Kind,
    setting,
    settings_of,
    word,
    words,
)

InputFormat: TypeAlias = Literal["auto", "text", "csv", "ndjson"]
Sorters: TypeAlias = Literal["-date", "date"]
SourceStatus: TypeAlias = Literal["auto", "off"]
Shape: TypeAlias = Literal["rows", "accounts"]
PartitionBy: TypeAlias = Literal["harvested"]
Progress: TypeAlias = Literal["auto", "on", "off"]
LogFormat: TypeAlias = Literal["text", "json"]

_DAY = 86400.0  # in seconds

DEFAULT_QUOTA = Quota(100, 10.0)
"""SailPoint's documented limit: 100 requests per client ID and API version in 10 seconds."""

COLUMNS = ("harvestedAt", "tenant", "apiVersion", "runId")
"""What `Settings.columns` can add to a row, in the order in which rows have them."""

ADDITIONS = ("usage", "manager")
"""What `Settings.add` can add to a listed account."""

SECTIONS = {
    "input": "Account list",
    "connection": "Connection",
    "request": "What is requested",
    "output": "Output",
    "resume": "Resuming",
    "pace": "Pace",
    "waiting": "Waiting and giving up",
    "display": "Progress, log and reports",
}
"""The groups of settings in the order in which help shows them, with their titles."""


def _clients(value: object) -> tuple[Credentials, ...]:
    if isinstance(value, (tuple, list)) and all(isinstance(one, Credentials) for one in value):
        return tuple(value)
    raise BadValue("is not a list of credentials", "give the name of a file, or Credentials(…)", secret=True)


def _show_clients(clients: tuple[Credentials, ...]) -> str:
    return ", ".join(client.label for client in clients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a run: frozen, checked, and silent about secrets. Times are seconds, sizes bytes.

    Fields also accept what the command line accepts: ``Settings(quota="600/1m", timeout="30s")``.

    Raises:
        SettingError: a value is not accepted or contradicts another; `setting` is the field's name.
    """

    # A table: a setting takes two or three lines.
    # fmt: off

    # --- the account list

    inputs: tuple[str, ...] = setting(
        "input", PATHS, "Files of account IDs (text, CSV, NDJSON; .gz, .zst); - is stdin.",
        default=(), flag="", separator=":", example="ids.txt")
    list: bool = setting(
        "input", SWITCH, "List the tenant's own accounts and harvest them in one run.",
        default=False, common=2)
    account: tuple[str, ...] = setting(
        "input", TEXTS, "Harvest this account ID; repeat for more.",
        default=(), separator=",", example="ef38f94347e94562b5bb8424a56397d8")
    filters: str | None = setting(
        "input", FILTER, "With --list: which accounts, in the API's filter language.",
        default=None, unset="all", example='source.displayableName eq "Employees"')
    with_usage: bool = setting(
        "input", SWITCH, "With --list: only the accounts of sources that report usage.", default=False)
    add: tuple[str, ...] = setting(
        "input", words(*ADDITIONS),
        "With --list: add the source's usage status (usage) or the manager (manager).",
        default=())
    input_format: InputFormat = setting(
        "input", word(*get_args(InputFormat)), "Format of INPUT; auto goes by suffix, then by content.",
        default="auto")
    id_field: str | None = setting(
        "input", TEXT, "Column or property of INPUT that holds the account ID.",
        default=None, none="auto", unset="accountId, account_id or id")
    keep: tuple[str, ...] = setting(
        "input", FIELDS, "Properties of INPUT to keep besides those that `harvester unused` shows.",
        default=())
    shard: Shard | None = setting(
        "input", SHARD, "Harvest only the K-th of N disjoint shards of the list, with 1/N of the quota.",
        default=None, none="none")
    split_quota: bool = setting(
        "input", SWITCH, "Give a shard 1/N of the quota; not needed if each shard has its own client.",
        default=True)

    # --- the connection

    base_url: str = setting(
        "connection", URL, "The tenant's API; https only, except to loopback.",
        default="", unset="SAIL_BASE_URL", example="https://acme.api.identitynow.com", common=3)
    api_version: tuple[str, ...] = setting(
        "connection", words(*API_VERSIONS, metavar="V[,V…]"),
        f"One or more of {', '.join(API_VERSIONS)}. Each has its own quota: three are three times as fast.",
        default=("v2024",), common=4)
    clients: tuple[Credentials, ...] = setting(
        "connection", Kind("FILE", _clients, _show_clients),
        "Client IDs that share the list, each with its own quota: a TOML file with [[clients]].",
        default=(), unset="SAIL_CLIENT_ID and SAIL_CLIENT_SECRET")
    ca_bundle: Path | None = setting(
        "connection", FILE, "PEM file of certificates to trust in addition to the system's.",
        default=None, unset="the system's", example="/etc/ssl/certs/corporate.pem")
    timeout: float = setting(
        "connection", DURATION, "Time limit of one request.", default=30.0, least=0.001, most=3600)
    max_body_bytes: int = setting(
        "connection", WHOLE, "Largest response accepted, in bytes after decompression.",
        default=8 * 1024**2, flag="", least=1024, most=1024**3)

    # --- what is requested

    since: str | None = setting(
        "request", MONTH, "First month wanted. Paging stops as soon as older rows arrive.",
        default=None, none="all", common=6)
    skip_unreported: bool = setting(
        "request", SWITCH, "Do not request the accounts of sources that report no usage.",
        default=False, common=7)
    source_status: SourceStatus = setting(
        "request", word(*get_args(SourceStatus)),
        "Ask once for each source whether it reports usage, to tell empty from unreported; off: do not ask.",
        default="auto")
    page_size: int = setting(
        "request", WHOLE, "Rows requested at a time.", default=250, least=1, most=250)
    sorters: Sorters = setting(
        "request", word(*get_args(Sorters)), "Order of an account's rows; -date is newest first.",
        default="-date")
    count: bool = setting(
        "request", SWITCH, "Request the number of rows of each account, and check the rows against it.",
        default=False)

    # --- the output

    output: str = setting(
        "output", Kind("DEST", destination),
        "Where rows go: - for stdout, a file (.ndjson .csv .parquet .db, .gz .zst), a directory (ends in /), "
        "s3:// gs:// az://, CATALOG:namespace.table, or postgresql://host/database/schema.table.",
        default="-", short="-o", common=1)
    format: Format | None = setting(
        "output", word(*get_args(Format)), "Format of the output.",
        default=None, none="auto", unset="from the suffix of DEST, else ndjson")
    shape: Shape = setting(
        "output", word(*get_args(Shape)), "One line per row, or one line per account with its rows.",
        default="rows")
    compress: Compression | None = setting(
        "output", word(*get_args(Compression)), "Compression of the parts of a directory, or of stdout.",
        default=None, none="auto", unset="from the suffix of DEST, else none")
    part_rows: int | None = setting(
        "output", WHOLE, "Start a new part of a directory after this many rows.",
        default=None, none="none", least=1)
    partition_by: PartitionBy | None = setting(
        "output", word(*get_args(PartitionBy)), "One directory per day: harvested=2026-11-01/.",
        default=None, none="none")
    columns: tuple[str, ...] = setting(
        "output", words(*COLUMNS), f"Add to each row where it comes from: any of {','.join(COLUMNS)}.",
        default=())
    changes: str | None = setting(
        "output", Kind("last|LEDGER", path_text),
        "Write only rows that are new, changed or gone since the last harvest of DEST, or since LEDGER.",
        default=None, none="none", unset="every row")
    failures: Path | None = setting(
        "output", FILE, "File for the accounts that failed; a valid INPUT of the next run.",
        default=None, unset="DEST.failures.ndjson", example="failures.ndjson")
    file_mode: int = setting(
        "output", MODE, "Mode of all files written, in octal.", default=0o600)

    # --- resuming

    fresh: bool = setting(
        "resume", SWITCH, "Discard an unfinished harvest and start over; implies --replace.", default=False)
    replace: bool = setting(
        "resume", SWITCH, "Replace the complete harvest that a directory or prefix holds.", default=False)
    retry_failed: bool = setting(
        "resume", SWITCH, "Request the failed accounts of the finished harvest again.",
        default=False, common=9)
    ledger: Path | None = setting(
        "resume", FILE, "File for the ledger of the harvest.",
        default=None, unset="DEST.ledger", example="usages.ledger")
    keep_ledger: bool = setting(
        "resume", SWITCH, "Keep the ledger once the harvest is finished.", default=True)

    # --- pace

    quota: Quota | None = setting(
        "pace", QUOTA, "Requests permitted per client and API version; none disables the limit.",
        default=DEFAULT_QUOTA, none="none", common=8)
    burst: int | None = setting(
        "pace", WHOLE, "Requests that may be sent at once.",
        default=None, none="auto", least=1, most=1_000_000)
    concurrency: int | None = setting(
        "pace", WHOLE, "Requests in flight at a time.",
        default=None, none="auto", unset="from the quota and the observed latency", least=1, most=1000)

    # --- waiting and giving up

    attempts: int = setting(
        "waiting", WHOLE, "Attempts per account when faults occur; an outage costs none.",
        default=5, least=1, most=1000)
    max_outage: float = setting(
        "waiting", DURATION, "How long to wait for a tenant or store that does not answer properly.",
        default=1800.0, least=0, most=365 * _DAY)
    deadline: float | None = setting(
        "waiting", DURATION, "Stop fetching after this time; the run can be resumed.",
        default=None, none="none", least=0.001, most=365 * _DAY)
    max_failures: int | None = setting(
        "waiting", WHOLE, "Stop when this many accounts have failed; the run can be resumed.",
        default=None, none="none", least=1)
    stop_grace: float = setting(
        "waiting", DURATION, "How long requests in flight may take once the run is stopped.",
        default=5.0, flag="", least=0, most=3600)

    # --- progress, log and reports

    progress: Progress = setting(
        "display", word(*get_args(Progress)), "Live progress on stderr; auto: on a terminal.", default="auto")
    log_format: LogFormat = setting(
        "display", word(*get_args(LogFormat)), "Log for people or for programs, on stderr.", default="text")
    verbosity: int = setting(
        "display", WHOLE, "How much is logged: -1 warnings only, 1 each retry, 2 each request.",
        default=0, flag="", least=-1, most=2)
    summary: Path | None = setting(
        "display", FILE, "File for the figures of the run, as JSON.",
        default=None, unset="DEST.summary.json", example="usages.summary.json")
    report: Path | None = setting(
        "display", FILE, "File for the run as an HTML page (needs the extra `report`).",
        default=None, none="none", example="usages.html")
    metrics: Path | None = setting(
        "display", FILE, "File for Prometheus' textfile collector; its name must end in .prom.",
        default=None, none="none", example="/var/lib/prometheus/node-exporter/harvester.prom")

    # fmt: on

    def __post_init__(self) -> None:
        for one in TABLE:
            try:
                object.__setattr__(self, one.name, one.read(getattr(self, one.name)))
            except BadValue as bad:
                raise SettingError(one.name, str(bad), bad.hint) from None
        for name, problem, hint in contradictions(self):
            raise SettingError(name, problem, hint)

    @property
    def host(self) -> str:
        """The tenant's host."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def destination(self) -> Destination:
        """What `output`, `format` and `compress` come to."""
        return resolve(self.output, self.format, self.compress)

    @property
    def quota_shard(self) -> Shard | None:
        """The shard whose part of the quota this run has; None if it has all of it."""
        return self.shard if self.split_quota else None


TABLE = settings_of(Settings)
"""All settings, in the order of the table."""

BY_NAME = {one.name: one for one in TABLE}


def secrets_of(settings: Settings) -> Iterator[str]:
    """Every secret that the settings hold, to be masked wherever text leaves the program."""
    for client in settings.clients:
        yield from filter(None, (client.client_secret, client.access_token))
