"""The one table of settings.

Flags, environment variables and configuration keys are all read by it, and the help text and
the checks of ``config/harvester.toml`` come from it. A setting called ``page_size`` is the flag
``--page-size``, the variable ``HARVESTER_PAGE_SIZE`` and the key ``page_size``. Defaults are those of
`model.Settings`.
"""

from __future__ import annotations

from harvester.settings import parse
from harvester.settings.base_url import API_VERSIONS, base_url
from harvester.settings.field import Field, Kind

SECTIONS = {
    "tenant": "Tenant",
    "request": "What is asked for",
    "list": "List of accounts",
    "output": "Output",
    "pace": "Pace",
    "giving up": "Waiting and giving up",
    "seeing": "Seeing it work",
}
"""The groups of settings in the order that help shows them, with their titles."""


def _word(*choices: str) -> Kind:
    return Kind("|".join(choices), parse.word(*choices), choices=choices)


_TEXT = Kind("NAME", parse.text)
_FILE = Kind("FILE", parse.path)
_WHOLE = Kind("N", parse.whole)
_TIME = Kind("TIME", parse.duration, parse.show_duration)
_SIZE = Kind("SIZE", parse.size, parse.show_size)
_FLAG = Kind("", parse.flag)

_DAY = 86400.0

_TENANT = (
    Field(
        name="base_url",
        kind=Kind("URL", base_url),
        section="tenant",
        flag="--base-url",
        unset="SAIL_BASE_URL",
        help="The tenant's API, https://TENANT.api.identitynow.com or a host of your own.",
    ),
    Field(
        name="api_version",
        kind=_word(*API_VERSIONS),
        section="tenant",
        flag="--api-version",
        help="Version of the API; v1 is the path /account-usages/v1/….",
    ),
    Field(
        name="ca_bundle",
        kind=_FILE,
        section="tenant",
        flag="--ca-bundle",
        unset="the system's",
        help="PEM file of certificates to trust beside the system's.",
    ),
    Field(
        name="timeout",
        kind=_TIME,
        section="tenant",
        flag="--timeout",
        least=0.001,
        most=3600,
        help="How long one request may take.",
    ),
    Field(
        name="max_body_bytes",
        kind=_SIZE,
        section="tenant",
        least=1024,
        most=1024**3,
        help="Longest answer that is taken, once decompressed.",
    ),
)

_REQUEST = (
    Field(
        name="page_size",
        kind=_WHOLE,
        section="request",
        flag="--page-size",
        least=1,
        most=250,
        help="Rows asked for in one request.",
    ),
    Field(
        name="sorters",
        kind=_word("-date", "date"),
        section="request",
        flag="--sorters",
        help="Order of an account's rows; -date is newest first.",
    ),
    Field(
        name="since",
        kind=Kind("YYYY-MM", parse.month),
        section="request",
        flag="--since",
        none="all",
        help="First month wanted; paging stops as soon as older rows come.",
    ),
)

_LIST = (
    Field(
        name="inputs",
        kind=Kind("INPUT", parse.paths),
        section="list",
        help="Files of account IDs; - is stdin.",
    ),
    Field(
        name="input_format",
        kind=_word("auto", "text", "csv", "ndjson"),
        section="list",
        flag="--input-format",
        help="Format of the inputs; auto goes by suffix, then by content.",
    ),
    Field(
        name="id_field",
        kind=_TEXT,
        section="list",
        flag="--id-field",
        none="auto",
        unset="accountId, account_id or id",
        help="Column or property that holds the account ID.",
    ),
    Field(
        name="shard",
        kind=Kind("K/N", parse.shard),
        section="list",
        flag="--shard",
        none="none",
        help="Harvest only the K-th of N disjoint shares of the list, with 1/N of the quota.",
    ),
    Field(
        name="split_quota",
        kind=_FLAG,
        section="list",
        flag="--split-quota",
        off="--no-split-quota",
        help="Whether a shard takes only its share of the quota; not where each has a client of its own.",
    ),
)

_OUTPUT = (
    Field(
        name="output",
        kind=Kind("DEST", parse.text),
        section="output",
        flag="--output",
        short="-o",
        help="Where the rows go: - is stdout, a file (.gz and .zst compress), or a folder ending in /.",
    ),
    Field(
        name="format",
        kind=_word("ndjson", "parquet", "singer"),
        section="output",
        flag="--format",
        help="Format of the output.",
    ),
    Field(
        name="shape",
        kind=_word("rows", "accounts"),
        section="output",
        flag="--shape",
        help="One line a row, or one line an account, those without usage included.",
    ),
    Field(
        name="compress",
        kind=_word("none", "gzip", "zstd"),
        section="output",
        flag="--compress",
        none="auto",
        unset="by the suffix",
        help="Compression of a folder's parts, or of stdout.",
    ),
    Field(
        name="part_rows",
        kind=_WHOLE,
        section="output",
        flag="--part-rows",
        none="none",
        least=1,
        help="Begin the next part of a folder after so many rows.",
    ),
    Field(
        name="part_bytes",
        kind=_SIZE,
        section="output",
        flag="--part-bytes",
        none="none",
        least=1,
        help="Begin the next part of a folder at this size.",
    ),
    Field(
        name="ordered",
        kind=_FLAG,
        section="output",
        flag="--ordered",
        off="--no-ordered",
        help="Rows in the order of the list, not as they come.",
    ),
    Field(
        name="failures",
        kind=_FILE,
        section="output",
        flag="--failures",
        unset="DEST.failures.ndjson",
        help="Where the accounts go that were given up; a valid INPUT for the next run.",
    ),
    Field(
        name="summary",
        kind=_FILE,
        section="output",
        flag="--summary",
        unset="DEST.summary.json",
        help="Where the run in figures goes, as JSON.",
    ),
    Field(
        name="ledger",
        kind=_FILE,
        section="output",
        flag="--ledger",
        unset="beside DEST",
        help="Where the record of finished accounts is kept while the harvest is incomplete.",
    ),
    Field(
        name="fresh",
        kind=_FLAG,
        section="output",
        flag="--fresh",
        off="--resume",
        help="Begin anew, or go on where the last run stopped.",
    ),
    Field(
        name="file_mode",
        kind=Kind("MODE", parse.file_mode, parse.show_mode),
        section="output",
        flag="--file-mode",
        help="Permissions of the files written, in octal.",
    ),
)

_PACE = (
    Field(
        name="quota",
        kind=Kind("N/TIME", parse.quota),
        section="pace",
        flag="--quota",
        none="none",
        help="Requests permitted to each client; none takes the brake off, auto finds the rate.",
    ),
    Field(
        name="burst",
        kind=_WHOLE,
        section="pace",
        flag="--burst",
        none="auto",
        least=1,
        most=1_000_000,
        help="Requests that may go out at once.",
    ),
    Field(
        name="concurrency",
        kind=_WHOLE,
        section="pace",
        flag="--concurrency",
        none="auto",
        least=1,
        most=1000,
        help="Requests in flight at a time.",
    ),
    Field(
        name="max_retry_after",
        kind=_TIME,
        section="pace",
        flag="--max-retry-after",
        least=1,
        most=7 * _DAY,
        help="Longest pause that the tenant may ask for.",
    ),
)

_GIVING_UP = (
    Field(
        name="attempts",
        kind=_WHOLE,
        section="giving up",
        flag="--attempts",
        least=1,
        most=1000,
        help="Tries for an account before it is given up; a 429 is none.",
    ),
    Field(
        name="deadline",
        kind=_TIME,
        section="giving up",
        flag="--deadline",
        none="none",
        least=0.001,
        most=365 * _DAY,
        help="Stop the run after this time; it can be resumed.",
    ),
    Field(
        name="max_failures",
        kind=_WHOLE,
        section="giving up",
        flag="--max-failures",
        none="none",
        least=1,
        help="Stop the run when so many accounts have failed; it can be resumed.",
    ),
    Field(
        name="max_outage",
        kind=_TIME,
        section="giving up",
        flag="--max-outage",
        least=0,
        most=365 * _DAY,
        help="How long a tenant that is down is waited for.",
    ),
    Field(
        name="stop_grace",
        kind=_TIME,
        section="giving up",
        least=0,
        most=3600,
        help="How long requests in flight may still take when the run is stopped.",
    ),
)

_SEEING = (
    Field(
        name="progress",
        kind=_word("auto", "on", "off"),
        section="seeing",
        flag="--progress",
        help="Live progress on stderr; auto is on for a terminal.",
    ),
    Field(
        name="log_format",
        kind=_word("text", "json"),
        section="seeing",
        flag="--log-format",
        help="Log lines for people or for programs, on stderr.",
    ),
    Field(
        name="verbosity",
        kind=_WHOLE,
        section="seeing",
        least=-1,
        most=2,
        help="How much is logged: -1 warnings only, 1 each retry, 2 each request.",
    ),
)

FIELDS: tuple[Field, ...] = (*_TENANT, *_REQUEST, *_LIST, *_OUTPUT, *_PACE, *_GIVING_UP, *_SEEING)
BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
