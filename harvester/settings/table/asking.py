"""How the tenant is asked: where, for what, how fast, for how long."""

from __future__ import annotations

from harvester.settings import parse
from harvester.settings.base_url import API_VERSIONS, base_url
from harvester.settings.field import Field, Kind
from harvester.settings.table.kinds import DAY, FILE, SIZE, TIME, WHOLE, word

TENANT = (
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
        kind=Kind("VERSION", parse.word(*API_VERSIONS), choices=API_VERSIONS),
        section="tenant",
        flag="--api-version",
        help="Version of the API: v2024, v2025, v2026, v3, beta, or v1 for /account-usages/v1/….",
    ),
    Field(
        name="ca_bundle",
        kind=FILE,
        section="tenant",
        flag="--ca-bundle",
        unset="the system's",
        help="PEM file of certificates to trust beside the system's.",
    ),
    Field(
        name="timeout",
        kind=TIME,
        section="tenant",
        flag="--timeout",
        least=0.001,
        most=3600,
        help="How long one request may take.",
    ),
    Field(
        name="max_body_bytes",
        kind=SIZE,
        section="tenant",
        least=1024,
        most=1024**3,
        help="Longest answer that is taken, once decompressed.",
    ),
)

REQUEST = (
    Field(
        name="page_size",
        kind=WHOLE,
        section="request",
        flag="--page-size",
        least=1,
        most=250,
        help="Rows asked for in one request.",
    ),
    Field(
        name="sorters",
        kind=word("-date", "date"),
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

PACE = (
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
        kind=WHOLE,
        section="pace",
        flag="--burst",
        none="auto",
        least=1,
        most=1_000_000,
        help="Requests that may go out at once.",
    ),
    Field(
        name="concurrency",
        kind=WHOLE,
        section="pace",
        flag="--concurrency",
        none="auto",
        least=1,
        most=1000,
        help="Requests in flight at a time.",
    ),
    Field(
        name="max_retry_after",
        kind=TIME,
        section="pace",
        flag="--max-retry-after",
        least=1,
        most=7 * DAY,
        help="Longest pause that the tenant may ask for.",
    ),
)

GIVING_UP = (
    Field(
        name="attempts",
        kind=WHOLE,
        section="giving up",
        flag="--attempts",
        least=1,
        most=1000,
        help="Tries for an account before it is given up; a 429 is none.",
    ),
    Field(
        name="deadline",
        kind=TIME,
        section="giving up",
        flag="--deadline",
        none="none",
        least=0.001,
        most=365 * DAY,
        help="Stop the run after this time; it can be resumed.",
    ),
    Field(
        name="max_failures",
        kind=WHOLE,
        section="giving up",
        flag="--max-failures",
        none="none",
        least=1,
        help="Stop the run when so many accounts have failed; it can be resumed.",
    ),
    Field(
        name="max_outage",
        kind=TIME,
        section="giving up",
        flag="--max-outage",
        least=0,
        most=365 * DAY,
        help="How long a tenant that is down is waited for.",
    ),
    Field(
        name="stop_grace",
        kind=TIME,
        section="giving up",
        least=0,
        most=3600,
        help="How long requests in flight may still take when the run is stopped.",
    ),
)
