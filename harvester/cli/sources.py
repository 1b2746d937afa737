"""`harvester sources`: the tenant's sources, and which of them report usage."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import click

from harvester.cli.help import GroupedOption
from harvester.cli.listing import (
    API_VERSION,
    OUTPUT,
    TENANT_OPTIONS,
    collected,
    for_a_person,
    settings_for_listing,
    write_lines,
)
from harvester.cli.options import SettingsCommand, setting_options
from harvester.listing import SourceRecord, list_sources
from harvester.report.event_log import EventLog
from harvester.report.text import aligned, safe

_HEADER = ("NAME", "CONNECTOR", "OWNER", "USAGE", "ID")


_PARAMS = [OUTPUT, *setting_options(*TENANT_OPTIONS, api_version=API_VERSION)]


@click.command(cls=SettingsCommand, params=_PARAMS)
@click.option(
    "--filters", metavar="FILTER", default="", cls=GroupedOption, common=2,
    help="Which sources, in the API's filter language.  [default: all]",
)  # fmt: skip
def command(*, filters: str, output: str, **options: Any) -> None:
    """List the tenant's sources and whether each reports usage: accounts of the others are always empty.

    One JSON object per line, or a table on a terminal: id, name, type, connectorName, owner, usageStatus
    (COMPLETE: usage is available; INCOMPLETE: it is not) and usageSince, the first month that the source
    has usage for. That takes a request for each source, and another for each one that reports usage. Where
    the tenant does not say, both are null, with a warning.

    Scopes: idn:sources:read, and idn:identity-history:manage for the usage.

    Examples:
      harvester sources
      harvester sources --filters 'name sw "S"' -o sources.ndjson
      harvester sources | jq -r 'select(.usageStatus == "COMPLETE").name'
    """
    found, log = settings_for_listing(options, accounts=False), EventLog()
    pages = _one_by_one(list_sources(found.settings, log.observe, filters=filters))
    if not for_a_person(output):
        write_lines(found, output, "sources", pages, log)
        return
    cells = [tuple(map(safe, _cells(source))) for source in collected(found, "sources", pages, log)]
    click.echo("\n".join(aligned([_HEADER, *cells])))


async def _one_by_one(
    sources: AsyncGenerator[SourceRecord, None],
) -> AsyncGenerator[list[SourceRecord], None]:
    async with aclosing(sources):
        async for source in sources:
            yield [source]


def _cells(source: SourceRecord) -> Iterator[str]:
    yield source["name"] or ""
    yield source["connectorName"] or source["type"] or ""
    yield (source["owner"] or {}).get("name") or ""
    yield _usage(source)
    yield source["id"]


def _usage(source: SourceRecord) -> str:
    if source["usageStatus"] == "COMPLETE":
        return f"since {source['usageSince']}" if source["usageSince"] else "yes"
    return "no" if source["usageStatus"] == "INCOMPLETE" else "not known"
