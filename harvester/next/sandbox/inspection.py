"""``/_sandbox/…``: the truth and the tally, for tests in another process. No token, no quota, no faults."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from aiohttp import web

from harvester.next.sandbox.population import Population
from harvester.next.sandbox.records import Records
from harvester.next.sandbox.responses import error, json_response
from harvester.next.sandbox.tally import Tally
from harvester.next.sandbox.truth import truth_of

PREFIX = "/_sandbox/"
_CHUNK = 64 * 1024


async def inspect(
    request: web.BaseRequest, population: Population, records: Records, tally: Tally
) -> web.StreamResponse:
    """The answer to ``/_sandbox/`` and ``tally`` or one of the lists below."""
    match request.rel_url.raw_path.removeprefix(PREFIX):
        case "tally":
            return json_response(tally.as_json(with_moments="moments" in request.rel_url.query))
        case "ids.txt":
            return await _stream(request, _ids(population), "text/plain")
        case "truth.ndjson":
            return await _stream(request, _truth(population), "application/x-ndjson")
        case "states.ndjson":
            months = int(request.rel_url.query.get("months", "3"))
            return await _stream(request, _states(population, records, months), "application/x-ndjson")
        case "hopeless.ndjson":
            return await _stream(request, _hopeless(population), "application/x-ndjson")
        case _:
            return error(404).response()


def _ids(population: Population) -> Iterator[bytes]:
    for account_id in population.ids:
        yield account_id.encode() + b"\n"


def _truth(population: Population) -> Iterator[bytes]:
    """The lines a complete harvest of all accounts has, in the population's order."""
    for account_id in population.ids:
        if population.hopeless(account_id) is None:
            number = population.find(account_id)
            for row in [] if number is None else population.encoded_rows_of(number):
                yield b'{"accountId":"%b",%b\n' % (account_id.encode(), row[1:])


def _hopeless(population: Population) -> Iterator[bytes]:
    for account_id in population.ids:
        if (status := population.hopeless(account_id)) is not None:
            yield orjson.dumps({"accountId": account_id, "status": status}, option=orjson.OPT_APPEND_NEWLINE)


def _states(population: Population, records: Records, months: int) -> Iterator[bytes]:
    for account_id in population.ids:
        truth = truth_of(population, records, account_id, months=months)
        yield orjson.dumps(truth._asdict(), option=orjson.OPT_APPEND_NEWLINE)


async def _stream(request: web.BaseRequest, lines: Iterator[bytes], content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    waiting = bytearray()
    for line in lines:
        waiting += line
        if len(waiting) >= _CHUNK:
            await response.write(bytes(waiting))
            waiting.clear()
    await response.write_eof(bytes(waiting))
    return response
