"""`harvester accounts`: the tenant's accounts as NDJSON, for `harvester run` to read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import click

from harvester.cli.help import GroupedOption
from harvester.cli.listing import (
    API_VERSION,
    OUTPUT,
    TENANT_OPTIONS,
    settings_for_listing,
    write_lines,
)
from harvester.cli.options import SettingsCommand, setting_options
from harvester.listing import Detail, list_accounts
from harvester.report.event_log import EventLog
from harvester.report.log import LOGGER
from harvester.settings.settings import SECTIONS
from harvester.source.kept import nested
from harvester.tenant.account_list import ADDED
from harvester.tenant.listing import Record

_PARAMS = [
    OUTPUT,
    *setting_options(
        *TENANT_OPTIONS,
        filters={"help": "Which accounts, in the API's filter language."},
        with_usage={"help": "Only the accounts of sources that report usage."},
        add={"help": "Add usageStatus and usageSince (usage), managerName and managerEmail (manager)."},
        api_version=API_VERSION,
    ),
]


@click.command(cls=SettingsCommand, params=_PARAMS)
@click.option(
    "--fields", metavar="NAME,…", default="", cls=GroupedOption, group=SECTIONS["input"],
    help="Only these properties (a.b is nested) and those of --add, null where absent.  [default: all]",
)  # fmt: skip
@click.option(
    "--detail", type=click.Choice(["slim", "full"]), default="slim", show_default=True, cls=GroupedOption,
    group=SECTIONS["input"],
    help="How much to get about each account: owner, identity, and `disabled` need full.",
)  # fmt: skip
def command(*, fields: str, detail: Detail, output: str, **options: Any) -> None:
    """List the tenant's accounts, one JSON object per line, for `harvester run` to read.

    Accounts come in the order of their IDs, each once, even if others are added or deleted meanwhile. The
    default, --detail slim, is quick and has IDs, names, and sources. With --detail full, `harvester unused`
    can also say whose an account is, and exclude disabled ones. To list and harvest in one run that can be
    resumed, use `harvester run --list`: a pipe cannot tell a list that was cut short from a complete one.

    FILTER is the API's, for example: sourceId eq "…", identityId in ("…","…"), id sw "ef", modified gt
    2026-01-01T00:00:00Z. With --with-usage, accounts of sources whose status is not known are listed, too,
    with a warning.

    Scopes: idn:accounts:read, idn:identity-history:manage for --with-usage and --add usage, and
    sp:scopes:default for --add manager, which reads the identities once, through an API version that is not
    in --api-version if the tenant serves one.

    Examples:
      harvester accounts --with-usage --add usage,manager --detail full -o accounts.ndjson.gz
      harvester accounts --filters 'source.displayableName eq "Employees"' --fields id,name,sourceId
      set -o pipefail; harvester accounts --api-version v2025 | harvester run - -o usages.ndjson
    """
    found, log = settings_for_listing(options, accounts=True), EventLog()
    pages = list_accounts(found.settings, log.observe, detail=detail)
    if names := [name.strip() for name in fields.split(",") if name.strip()]:
        added = [name for addition in found.settings.add for name in ADDED[addition]]
        pages = _with_fields(pages, names, added, "" if detail == "full" else ": try --detail full")
    write_lines(found, output, "accounts", pages, log)


async def _with_fields(
    pages: AsyncGenerator[list[Record], None], names: list[str], added: list[str], hint: str
) -> AsyncGenerator[list[Record], None]:
    """The named properties in their order, then those added; a name that no account has is a warning."""
    absent, listed = set(names), False
    async with aclosing(pages):
        async for page in pages:
            listed = True
            chosen = [{name: nested(account, name) for name in (*names, *added)} for account in page]
            absent -= {name for name in absent for one in chosen if one[name] is not None}
            yield chosen
    if absent and listed:
        LOGGER.warning("no account has %s%s", " or ".join(sorted(absent)), hint)
