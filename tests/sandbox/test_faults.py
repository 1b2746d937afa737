"""Every fault can be seen by a plain client, ends, and is the same in every run."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sandbox import FaultKind, FaultRate, Faults, SandboxOptions, parse_faults
from harvester.sandbox.faults import FaultPlan
from harvester.sandbox.mischief import HUGE_BYTES
from tests.sandbox.asking import Asker, asking


def always(kind: FaultKind, seconds: float | None = None) -> SandboxOptions:
    """Every account fails in this way once and is answered well the next time."""
    faults = Faults(rates=(FaultRate(kind, 1.0, seconds),))
    return SandboxOptions(accounts=8, faults=faults, fault_streak=1, rows=12)


async def ask_first(asker: Asker, **how: Any) -> tuple[aiohttp.ClientResponse, bytes]:
    """The answer to one request, its body not decompressed."""
    account_id = next(asker.sandbox.population.ids)
    url = f"{asker.sandbox.url}/v2024/account-usages/{account_id}/summaries"
    headers = {"Authorization": f"Bearer {asker.token}"}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        # aiohttp asks a second time by itself when a connection breaks, which would hide the fault.
        session._retry_connection = False
        async with session.get(url, headers=headers, **how) as response:
            return response, await response.read()


async def then_all_is_well(asker: Asker) -> None:
    """The same account's next answer is the truth, and the fault was counted."""
    account_id = next(asker.sandbox.population.ids)
    assert (await asker.usages(account_id)).body == asker.sandbox.population.rows(account_id)
    assert sum(asker.sandbox.tally.faults.values()) == 1


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind.isdigit()])
async def test_statuses(kind: FaultKind) -> None:
    """A status fault answers that status with a JSON body."""
    async with asking(always(kind)) as asker:
        response, body = await ask_first(asker)
        assert response.status == int(kind)
        assert isinstance(orjson.loads(body), dict)
        await then_all_is_well(asker)


async def test_faults_are_counted_in_the_tally() -> None:
    """The tally can be read from outside once a fault was met, and has it by its name."""
    async with asking(always(FaultKind.BAD_GATEWAY)) as asker:
        await ask_first(asker)
        assert (await asker.get("/_sandbox/tally")).body["faults"] == {"502": 1}


async def test_a_senseless_retry_after() -> None:
    """A 429 by fault has no Retry-After that makes sense."""
    async with asking(always(FaultKind.THROTTLED)) as asker:
        headers = [(await asker.usages(i)).headers.get("Retry-After") for i in asker.sandbox.population.ids]
        assert set(headers) <= {None, "-5", "soon", ""}
        assert len(set(headers)) > 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.RESET, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)),
        (FaultKind.RESET_LATE, aiohttp.ClientPayloadError),
        (FaultKind.TRUNCATE, aiohttp.ClientPayloadError),
        (FaultKind.TRUNCATE_CHUNKED, aiohttp.ClientPayloadError),
        (FaultKind.STALL, TimeoutError),
        (FaultKind.STALL_BODY, TimeoutError),
    ],
)
async def test_faults_on_the_wire(kind: FaultKind, error: type[Exception]) -> None:
    """Resets, truncations and stalls are what the client's own library calls them."""
    async with asking(always(kind)) as asker:
        with pytest.raises(error):
            await ask_first(asker, timeout=aiohttp.ClientTimeout(total=0.2))
        await then_all_is_well(asker)
        assert asker.sandbox.tally.in_flight == 0


async def test_a_reset_is_a_reset() -> None:
    """The connection ends with RST, not with an orderly end."""
    async with asking(always(FaultKind.RESET)) as asker:
        reader, writer = await asyncio.open_connection("127.0.0.1", asker.sandbox.port)
        account_id = next(asker.sandbox.population.ids)
        head = f"GET /v3/account-usages/{account_id}/summaries HTTP/1.1\r\nHost: x\r\n"
        writer.write(f"{head}Authorization: Bearer {asker.token}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert asker.sandbox.tally.statuses == {0: 1}


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.STALL_BODY])
async def test_a_stall_can_end(kind: FaultKind) -> None:
    """A stall with a length is only slow: the answer comes whole."""
    async with asking(always(kind, 0.05)) as asker:
        response, body = await ask_first(asker)
        assert response.status == 200
        assert orjson.loads(body) == asker.sandbox.population.rows(next(asker.sandbox.population.ids))


async def test_truncated_bodies_vary() -> None:
    """Some truncated bodies are JSON by themselves, so that only the length gives them away."""
    async with asking(always(FaultKind.TRUNCATE)) as asker:
        whole = []
        for account_id in asker.sandbox.population.ids:
            url = f"{asker.sandbox.url}/v2024/account-usages/{account_id}/summaries"
            async with asker.session.get(url, headers={"Authorization": f"Bearer {asker.token}"}) as response:
                arrived = await response.content.readany()
                whole.append(arrived.endswith(b"]"))
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.content.read()
        assert set(whole) == {True, False}


def _is_garbage(response: aiohttp.ClientResponse, body: bytes) -> bool:
    return response.content_type == "text/html" and b"<html>" in body


def _is_no_json(response: aiohttp.ClientResponse, body: bytes) -> bool:
    try:
        orjson.loads(body)
    except ValueError:
        return response.content_type == "application/json"
    return False


def _shape(check: Callable[[Any], bool]) -> Callable[[aiohttp.ClientResponse, bytes], bool]:
    return lambda _, body: check(orjson.loads(body))


@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        (FaultKind.GARBAGE, _is_garbage),
        (FaultKind.BROKEN_JSON, _is_no_json),
        (FaultKind.EMPTY, lambda _, body: body == b""),
        (FaultKind.SHAPE_OBJECT, _shape(lambda content: isinstance(content, dict))),
        (FaultKind.SHAPE_ROW, _shape(lambda content: isinstance(content[-1], str))),
        (FaultKind.SHAPE_COUNT, _shape(lambda content: isinstance(content[-1]["count"], str))),
        (FaultKind.SHAPE_DATE, _shape(lambda content: isinstance(content[-1]["date"], int))),
    ],
)
async def test_bad_bodies(kind: FaultKind, shows: Callable[[aiohttp.ClientResponse, bytes], bool]) -> None:
    """A bad body comes with status 200 and is bad in the way its name says."""
    async with asking(always(kind)) as asker:
        response, body = await ask_first(asker)
        assert response.status == 200
        assert shows(response, body)
        await then_all_is_well(asker)


async def test_wrong_shapes_vary() -> None:
    """`wrong-shape` is now this shape, now that."""
    async with asking(SandboxOptions(accounts=40, faults=parse_faults("wrong-shape=1"))) as asker:
        for account_id in asker.sandbox.population.ids:
            await asker.usages(account_id)
        assert len(asker.sandbox.tally.faults) == 4


async def test_a_huge_body() -> None:
    """`huge` is a small gzip body that grows to hundreds of megabytes and is valid JSON at its end."""
    async with asking(always(FaultKind.HUGE)) as asker:
        response, body = await ask_first(asker)
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(body) < 2**20
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        size, data, last = 0, body, b""
        while data and not inflate.eof:
            piece = inflate.decompress(data, 2**22)
            size, last, data = size + len(piece), (last + piece)[-2000:], inflate.unconsumed_tail
        assert inflate.eof, "the checksum and length hold"
        assert size > HUGE_BYTES
        assert orjson.loads(last.strip()) == asker.sandbox.population.rows(next(asker.sandbox.population.ids))


async def test_the_token_endpoint_fails() -> None:
    """`token` makes token requests fail, and never for ever."""
    async with asking(SandboxOptions(faults=parse_faults("token=1"), fault_streak=2)) as asker:
        form = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "sandbox"}
        statuses = [(await asker.token_request(**form)).status for _ in range(4)]
        assert statuses == [503, 503, 200, 503]


async def test_the_listing_fails_too() -> None:
    """Faults befall the accounts listing as well, page by page."""
    async with asking(SandboxOptions(accounts=20, faults=parse_faults("500=1"), fault_streak=1)) as asker:
        statuses = [(await asker.get("/v2024/accounts", offset=o)).status for o in (0, 0, 10, 10)]
        assert statuses == [500, 200, 500, 200]


rates = st.lists(st.tuples(st.sampled_from(FaultKind), st.floats(0, 0.4)), max_size=2)


@given(rates, st.integers(), st.integers(1, 5), st.text(max_size=5))
def test_faults_end(given_rates: list[tuple[FaultKind, float]], seed: int, streak: int, subject: str) -> None:
    """Whatever the rates, no account gets more faulty answers in a row than the streak."""
    plan = FaultPlan(Faults(tuple(FaultRate(kind, share) for kind, share in given_rates)), seed, streak)
    fates = [plan.draw(subject, attempt) is None for attempt in range(30)]
    assert all(any(fates[at : at + streak + 1]) for at in range(30 - streak))


def test_rates_are_met() -> None:
    """Over many accounts each fault has its share."""
    plan = FaultPlan(parse_faults("500=0.1,reset=0.05"), seed=7, streak=3)
    drawn = [fault.kind for n in range(20_000) if (fault := plan.draw(f"account {n}", 0))]
    assert drawn.count(FaultKind.SERVER_ERROR) / 20_000 == pytest.approx(0.1, abs=0.01)
    assert drawn.count(FaultKind.RESET) / 20_000 == pytest.approx(0.05, abs=0.01)


async def _in_turn(calls: list[Awaitable[Any]]) -> list[Any]:
    return [await call for call in calls]


async def _at_once(calls: list[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*reversed(calls))


async def test_faults_depend_on_no_order() -> None:
    """Asked one by one or all at once and backwards, each account meets the same fate."""
    options = SandboxOptions(accounts=40, faults=parse_faults("500=0.3,503=0.2,garbage=0.1"))
    seen = []
    for ask in (_in_turn, _at_once):
        async with asking(options) as asker:
            ids = list(asker.sandbox.population.ids)
            replies = await ask([asker.usages(account_id) for account_id in ids])
            found = replies if ask is _in_turn else replies[::-1]
            seen.append([(reply.status, reply.headers["Content-Type"]) for reply in found])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 4
