"""The accounts of a tenant are listed whole: pages, quota, faults, and the command."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvester.errors import AccessDenied, SettingFault, StoppedEarly, UsageFault
from harvester.events import Event, OutageBegan, OutageEnded, RequestEnded
from harvester.model import Quota
from harvester.sandbox import Sandbox, SandboxOptions
from harvester.settings.model import Client, Settings
from harvester.tenant import accounts
from harvester.tenant.accounts import all_accounts
from tests.servers import Handler, Request, raw_server, response


def settings_for(url: str, **changes: Any) -> Settings:
    """Settings of a client of the sandbox, without a brake."""
    client = Client(client_id=changes.pop("client_id", "lister"), client_secret="sandbox")
    return Settings(base_url=url, clients=(client,), **{"quota": None, **changes})


async def ids_listed(settings: Settings, events: list[Event] | None = None, **wanted: Any) -> list[str]:
    """The IDs that are listed, in order."""
    heard = [] if events is None else events
    async with aclosing(all_accounts(settings, heard.append, **wanted)) as pages:
        return [record["id"] async for page in pages for record in page]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries last next to nothing."""
    monkeypatch.setattr(accounts, "delay", lambda _tries, _rng: 0.001)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """A tenant that gives a token, then these answers in turn, the last one again and again. Its URL."""
    left = list(answers)

    async def handle(request: Request) -> None:
        token = b'{"access_token": "abc", "expires_in": 700}'
        listing = request.target.startswith("/v2024/accounts?")
        answer = left[0] if listing else response(token)
        if listing and len(left) > 1:
            left.pop(0)
        request.writer.write(answer)
        await request.writer.drain()

    handler: Handler = handle
    async with raw_server(handler) as server:
        yield server.url


@pytest.mark.parametrize("version", ["v2024", "v3", "v1"])
async def test_every_account_is_listed_once(version: str) -> None:
    """1,203 accounts come by ID, each once, in the records of the tenant, under any version's path."""
    async with Sandbox(SandboxOptions(accounts=1203)) as sandbox:
        found = await ids_listed(settings_for(sandbox.url, api_version=version))
        assert found == sorted(sandbox.population.ids)


async def test_filters_are_the_tenants() -> None:
    """A filter goes to the tenant as it is written, quotes, spaces and all."""
    async with Sandbox(SandboxOptions(accounts=300)) as sandbox:
        found = await ids_listed(settings_for(sandbox.url), filters='id sw "a" and uncorrelated eq false')
    assert found
    assert all(account_id.startswith("a") for account_id in found)


async def test_accounts_that_come_and_go_meanwhile() -> None:
    """Between pages accounts are deleted and added: who stays is listed once, nobody twice."""
    async with Sandbox(SandboxOptions(accounts=1000)) as sandbox:
        stay = set(sandbox.population.ids)
        found: list[str] = []
        async with aclosing(all_accounts(settings_for(sandbox.url), lambda _: None)) as pages:
            async for page in pages:
                found += [record["id"] for record in page]
                for account_id in set(found[-40:-20]) & stay:
                    sandbox.delete_account(account_id)
                    stay.discard(account_id)
                for _ in range(7):
                    sandbox.add_account()
    assert len(set(found)) == len(found)
    assert stay <= set(found)


async def test_the_listing_passes_the_quota() -> None:
    """Each page takes a permit: a tenant that counts a fixed window never has to say 429."""
    async with Sandbox(SandboxOptions(accounts=2500, quota=Quota(20, 0.5))) as sandbox:
        found = await ids_listed(settings_for(sandbox.url, quota=Quota(20, 0.5)))
        assert len(found) == 2500
        assert sandbox.tally.throttled == 0


async def test_a_429_is_waited_out() -> None:
    """A tenant that is stricter than configured is obeyed, and all comes in the end."""
    async with Sandbox(SandboxOptions(accounts=1000, quota=Quota(3, 1.0))) as sandbox:
        events: list[Event] = []
        assert len(await ids_listed(settings_for(sandbox.url), events)) == 1000
        assert 429 in [event.status for event in events if isinstance(event, RequestEnded)]


async def test_an_expired_token_is_renewed() -> None:
    """Tokens that expire between pages cost nothing but a renewal."""
    async with Sandbox(SandboxOptions(accounts=1000)) as sandbox:
        found = []
        async with aclosing(all_accounts(settings_for(sandbox.url), lambda _: None)) as pages:
            async for page in pages:
                found += page
                sandbox.expire_tokens()
    assert len(found) == 1000


async def test_wrong_credentials_are_told() -> None:
    """A secret that is refused ends the listing at once, with what to check."""
    async with Sandbox(SandboxOptions(accounts=5)) as sandbox:
        client = Client(client_id="x", client_secret="wrong")
        with pytest.raises(AccessDenied, match="refuses its credentials"):
            await ids_listed(Settings(base_url=sandbox.url, clients=(client,), quota=None))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (response(b"{}", "403 Forbidden"), AccessDenied, "scope idn:accounts:read"),
        (response(b"{}", "401 Unauthorized"), AccessDenied, "does not accept its tokens"),
        (response(b"{}", "404 Not Found"), UsageFault, "check --base-url and --api-version"),
        (response(b"", "302 Found"), UsageFault, "check --base-url and --api-version"),
        (response(b"{}", "400 Bad Request"), SettingFault, "--filters: 'id gt 1' is not understood"),
        (response(b"<html>"), StoppedEarly, "can't be read: the answer is no JSON"),
        (response(b"{}"), StoppedEarly, "the list of accounts is no array"),
        (response(b'[{"name": 1}]'), StoppedEarly, "a record without `id`"),
    ],
)
@pytest.mark.usefixtures("hurried")
async def test_an_answer_that_is_final_is_told(answer: bytes, error: type[Exception], words: str) -> None:
    """What time does not mend ends the listing with one sentence and its mend."""
    async with answering(answer) as url:
        with pytest.raises(error, match=words):
            await ids_listed(settings_for(url), filters="id gt 1")


@pytest.mark.usefixtures("hurried")
async def test_faults_that_pass_are_waited_out() -> None:
    """Errors and broken answers are tried again; a tenant that stays away is told once, and its return."""
    away = [response(b"", "503 Service Unavailable")] * 9
    pages = [response(b'[{"id": "a"}]'), response(b"[", length=1), response(b'[{"id": "a"}]')]
    events: list[Event] = []
    async with answering(*away, *pages) as url:
        assert await ids_listed(settings_for(url), events) == ["a"]
    assert [type(e) for e in events if isinstance(e, (OutageBegan, OutageEnded))] == [
        OutageBegan,
        OutageEnded,
    ]
    assert len([e for e in events if isinstance(e, RequestEnded)]) == 12


@pytest.mark.usefixtures("hurried")
async def test_a_tenant_that_stays_away_ends_the_listing() -> None:
    """Patience ends with --max-outage, also where not even a token is to be had."""
    async with answering(response(b"", "500 Oops")) as url:
        with pytest.raises(StoppedEarly, match="away for too long"):
            await ids_listed(settings_for(url, max_outage=0.05))
    with pytest.raises(StoppedEarly, match="away for too long"):
        await ids_listed(settings_for(url, max_outage=0.05))


async def test_a_listing_that_is_left_early_leaves_nothing_running() -> None:
    """Whoever stops reading after a page stops the token's task too."""
    async with Sandbox(SandboxOptions(accounts=600)) as sandbox:
        before = asyncio.all_tasks()
        async with aclosing(all_accounts(settings_for(sandbox.url), lambda _: None)) as pages:
            assert len(await anext(pages)) == 250
        assert {task.get_name() for task in asyncio.all_tasks() - before} & {"token"} == set()


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """A sandbox of 700 accounts in a process of its own; its URL."""
    arguments = [sys.executable, "-m", "harvester", "sandbox", "--accounts", "700", "--quota", "none"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def harvester(url: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a person does."""
    environment = {
        **os.environ,
        "SAIL_BASE_URL": url,
        "SAIL_CLIENT_ID": "lister",
        "SAIL_CLIENT_SECRET": "sandbox",
        **changes,
    }
    command = [sys.executable, "-m", "harvester", "accounts", "--quota", "none", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def test_the_command_writes_a_line_an_account(served: str) -> None:
    """All fields as the tenant has them, on stdout; what happened is on stderr."""
    done = harvester(served)
    assert done.returncode == 0
    records = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert len({record["id"] for record in records}) == len(records) == 700
    assert records[0].keys() >= {"id", "name", "nativeIdentity", "sourceId"}
    assert b"700 accounts listed in" in done.stderr


def test_the_command_picks_fields(served: str) -> None:
    """Named fields come in their order, null where a record has none, and that is told."""
    done = harvester(served, "--fields", "name, id,nothing", "--filters", 'id sw "a"', "--log-format", "json")
    first = done.stdout.splitlines()[0]
    assert list(orjson.loads(first)) == ["name", "id", "nothing"]
    assert orjson.loads(first)["nothing"] is None
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["info", "warning"]


def test_a_file_is_whole_private_and_compressed_by_its_suffix(served: str, tmp_path: Path) -> None:
    """The file appears once it is whole, for its owner only."""
    path = tmp_path / "accounts.ndjson.gz"
    assert harvester(served, "-o", str(path)).returncode == 0
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_no_account_is_a_valid_list(served: str, tmp_path: Path) -> None:
    """A filter that selects nobody leaves an empty file that can be read."""
    path = tmp_path / "accounts.ndjson.gz"
    assert harvester(served, "-o", str(path), "--filters", 'id eq "nobody"').returncode == 0
    assert gzip.decompress(path.read_bytes()) == b""


def test_a_listing_that_fails_leaves_the_old_file(served: str, tmp_path: Path) -> None:
    """Whole or absent: bad credentials touch nothing, and say what is wrong with status 4."""
    path = tmp_path / "accounts.ndjson"
    path.write_text("old")
    done = harvester(served, "-o", str(path), SAIL_CLIENT_SECRET="wrong")
    assert done.returncode == 4
    assert done.stderr.count(b"\n") == 1
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "/nowhere/accounts.ndjson"], b"/nowhere/accounts.ndjson.partial: can't be written"),
        (["--filters", "id gt 1"], b"--filters: 'id gt 1' is not understood by the tenant"),
    ],
)
def test_bad_usage_is_one_sentence(served: str, arguments: list[str], words: bytes) -> None:
    """What can't be done is told in one line, with status 2."""
    done = harvester(served, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_ends_it_quietly(served: str) -> None:
    """`| head` gets its lines, and nobody complains."""
    environment = {
        **os.environ,
        "SAIL_BASE_URL": served,
        "SAIL_CLIENT_ID": "x",
        "SAIL_CLIENT_SECRET": "sandbox",
    }
    command = [sys.executable, "-m", "harvester", "accounts", "--quota", "none"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
