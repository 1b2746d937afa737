"""The ground truth that a harvest and `harvester unused` are held to, computed apart from their code.

``/_sandbox/…`` serves it, and the tally, to tests in another process: no token, no quota, no faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from harvester.sandbox.gateway import Tally
from harvester.sandbox.population import Population
from harvester.sandbox.responses import error, json_response

PREFIX = "/_sandbox/"
_CHUNK = 1000
"""Lines that are sent at once."""


class Truth(NamedTuple):
    """What is true of one account, with the state that `unused` must put it in.

    `source_status` is COMPLETE or INCOMPLETE; `outcome` is harvested, empty, unreported or failed.
    """

    account_id: str
    source_id: str
    source_status: str
    outcome: str
    state: str
    reason: str | None


def truth_of(population: Population, account_id: str, *, months: int = 3) -> Truth:
    """The truth about an account; the window of its state is this month and the `months` before it.

    Raises:
        KeyError: no account has this ID.
    """
    number = population.find(account_id)
    if number is None:
        raise KeyError(account_id)
    source, rows = population.source_of(number), population.rows(account_id)
    failed = population.hopeless(account_id) is not None
    without = "empty" if source.reports else "unreported"
    outcome = "failed" if failed else "harvested" if rows else without
    state, reason = _state(population, number, rows, months)
    if population.is_disabled(number):
        state, reason = "excluded", "disabled"
    elif failed:
        state, reason = "unknown", "harvest_failed"
    return Truth(account_id, source.id, source.status, outcome, state, reason)


def _state(
    population: Population, number: int, rows: list[dict[str, Any]], months: int
) -> tuple[str, str | None]:
    """The state of an account that was answered and is not excluded."""
    ages = [_months_ago(population, row["date"]) for row in rows if row["count"] > 0]
    if ages:
        return ("active" if min(ages) <= months else "unused"), None
    if _months_ago(population, population.created_of(number).isoformat()) <= months:
        return "new", None
    source = population.source_of(number)
    if not source.reports:
        return "unknown", "source_without_usage"
    return ("unknown", "coverage_too_short") if source.months - 1 <= months else ("never", None)


def _months_ago(population: Population, day: str) -> int:
    year, month = map(int, day.split("-")[:2])
    return (population.today.year - year) * 12 + population.today.month - month


async def inspect(request: web.BaseRequest, population: Population, tally: Tally) -> web.StreamResponse:
    """The answer to ``/_sandbox/`` and ``tally`` or one of the lists."""
    lines: Iterator[bytes]
    match request.rel_url.raw_path.removeprefix(PREFIX):
        case "tally":
            return json_response(tally.as_json(with_moments="moments" in request.rel_url.query))
        case "ids.txt":
            lines = (account_id.encode() + b"\n" for account_id in population.ids)
        case "truth.ndjson":
            lines = _rows(population)
        case "states.ndjson":
            months = int(request.rel_url.query.get("months", "3"))
            truths = (truth_of(population, one, months=months) for one in population.ids)
            lines = (_line(truth._asdict()) for truth in truths)
        case "hopeless.ndjson":
            statuses = ((one, population.hopeless(one)) for one in population.ids)
            lines = (_line({"accountId": one, "status": status}) for one, status in statuses if status)
        case _:
            return error(404).response
    return await _streamed(request, lines)


def _rows(population: Population) -> Iterator[bytes]:
    """The lines a complete harvest of all accounts has, in the population's order."""
    for account_id in population.ids:
        if population.hopeless(account_id) is None:
            for row in population.rows(account_id):
                yield _line({"accountId": account_id, **row})


def _line(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


async def _streamed(request: web.BaseRequest, lines: Iterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    while chunk := b"".join(islice(lines, _CHUNK)):
        await response.write(chunk)
    await response.write_eof()
    return response
