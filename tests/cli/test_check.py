"""`harvester check` as a program: its lines, its JSON and its exit statuses, without a secret in any."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harvester.sandbox import Sandbox, SandboxOptions
from tests.cli.program import harvester

TOPICS = (
    "configuration", "dns", "token", "usages", "accounts", "sources", "identities", "quota", "estimate",
    "unreported",
)  # fmt: skip  # in their order
SECRET = "not-the-right-one"
HAS_FULL = Path("/dev/full").exists()
PROXIES = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(accounts=40, sources=4)) as running:
        yield running


def contents(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Done:
    """How a command ended. Whatever it was, it printed neither a traceback nor a secret."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.status = done.returncode
        self.out = (done.stdout or b"").decode()
        self.err = (done.stderr or b"").decode()
        assert "Traceback" not in self.out + self.err
        assert SECRET not in self.out + self.err

    @property
    def lines(self) -> dict[str, str]:
        """The verdict of each topic."""
        rows = [line.split() for line in self.out.partition("\n\n")[0].splitlines()]
        return {row[1]: row[0] for row in rows}


async def check(
    sandbox: Sandbox | None, folder: Path, *arguments: str, secret: str = "sandbox", **more: Any
) -> Done:
    """Run the command to its end against the sandbox, which serves meanwhile."""
    env = PROXIES | {"SAIL_CLIENT_ID": "tester", "SAIL_CLIENT_SECRET": secret} | more.pop("env", {})
    if sandbox is not None:
        env = {"SAIL_BASE_URL": sandbox.url, **env}
    return Done(await asyncio.to_thread(harvester, "check", *arguments, folder=folder, env=env, **more))


async def test_all_is_well(sandbox: Sandbox, tmp_path: Path) -> None:
    """One line for each check, status 0, nothing on stderr and nothing written."""
    done = await check(sandbox, tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.lines == dict.fromkeys(TOPICS, "ok")
    assert f"{sandbox.url} (from SAIL_BASE_URL)" in done.out
    assert "40 accounts take 4.0 s at 10.0/s" in done.out
    assert done.out.endswith("\nA harvest can begin.\n")
    assert contents(tmp_path) == []


async def test_json(sandbox: Sandbox, tmp_path: Path) -> None:
    """Programs get one document with the figures."""
    done = await check(sandbox, tmp_path, "--json", "--api-version", "v2024,v2025")
    document = json.loads(done.out)
    assert (done.status, document["status"], done.err) == (0, 0, "")
    facts = {one["topic"]: one["facts"] for one in document["findings"]}
    assert facts["quota"]["requestsPerSecond"] == 20.0
    assert facts["estimate"] == {"requests": 40, "seconds": 2.0, "settled": 0}
    assert {one["verdict"] for one in document["findings"]} == {"ok"}


async def test_a_list(sandbox: Sandbox, tmp_path: Path) -> None:
    """The accounts of INPUT are estimated, with what their sources' status saves."""
    silent, *_ = [one.id for one in sandbox.population.sources if not one.reports]
    talking, *_ = [one.id for one in sandbox.population.sources if one.reports]
    lines = [{"id": f"{n:032x}", "sourceId": silent if n < 30 else talking} for n in range(120)]
    lines += [{"id": f"{n:032x}", "sourceId": talking, "usageStatus": "INCOMPLETE"} for n in range(120, 125)]
    (tmp_path / "list.ndjson").write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0]]))
    done = await check(sandbox, tmp_path, "list.ndjson")
    assert done.status == 0
    assert "125 accounts take 12 s at 10.0/s" in done.out
    assert "--skip-unreported saves 35 requests and 3.5 s" in done.out
    done = await check(sandbox, tmp_path, "list.ndjson", "--skip-unreported")
    assert "90 accounts take 9.0 s at 10.0/s" in done.out


async def test_quiet_and_verbose(sandbox: Sandbox, tmp_path: Path) -> None:
    """-q says what is wrong only; -v logs each request."""
    assert (await check(sandbox, tmp_path, "-q")).out == ""
    done = await check(sandbox, tmp_path, "-v")
    assert done.err.count("check request on tester: 200") > 5
    done = await check(sandbox, tmp_path, "-q", secret=SECRET)
    assert [line.split()[:2] for line in done.out.splitlines()] == [["failed", "token"]]


async def test_a_wrong_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    """Status 4, and what to do about it; GitHub's page shows it as well."""
    page = tmp_path / "page.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)}
    done = await check(sandbox, tmp_path, secret=SECRET, env=env)
    assert done.status == 4
    assert done.lines == {"configuration": "ok", "dns": "ok", "token": "failed"}
    assert "check client ID and secret" in done.out
    assert done.out.endswith("\n1 check failed.\n")
    assert "::error title=harvester::client 'tester'" in done.err
    assert "(exit status 4)" in page.read_text()


@pytest.mark.parametrize(
    ("env", "arguments", "expected"),
    [
        ({"SAIL_CLIENT_ID": ""}, [], (4, "configuration", "none found")),
        ({}, ["--quota", "many"], (2, "configuration", "--quota")),
        ({}, ["--api-version", "v2024,v9"], (2, "configuration", "--api-version")),
        ({}, ["--ca-bundle", "nofile.pem"], (2, "configuration", "--ca-bundle")),
        ({"HTTP_PROXY": f"http://user:{SECRET}@[::1"}, [], (2, "configuration", "HTTP_PROXY")),
        ({"HTTP_PROXY": f"socks5://user:{SECRET}@127.0.0.1:1"}, [], (2, "configuration", "SOCKS")),
        ({"HTTP_PROXY": f"http://user:{SECRET}@127.0.0.1:1"}, [], (2, "proxy", "refuses the connection")),
        ({}, ["nofile.txt"], (2, "list", "no such file")),
    ],
    ids=["no client", "quota", "version", "ca bundle", "proxy", "socks", "no proxy there", "no list"],
)
async def test_what_is_wrong_with_the_configuration(
    env: dict[str, str],
    arguments: list[str],
    expected: tuple[int, str, str],
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    """It is a finding like any other, in both forms."""
    status, topic, said = expected
    if "--ca-bundle" in arguments:
        env = {"SAIL_BASE_URL": "https://127.0.0.1:9"}
    for form in ([], ["--json"]):
        done = await check(sandbox, tmp_path, *arguments, *form, env=env)
        assert done.status == status, done.out
        assert said in done.out
        if form:
            last = json.loads(done.out)["findings"][-1]
            assert (last["topic"], last["verdict"]) == (topic, "failed")
    assert sandbox.tally.usages == 0


async def test_stdin_is_a_list_only_if_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    """A job without a terminal checks the tenant; `-` reads what is piped in."""
    done = await check(sandbox, tmp_path)
    assert "40 accounts" in done.out
    ids = tmp_path / "ids"
    ids.write_text("a\nb\na\n")
    with ids.open("rb") as piped:
        done = await check(sandbox, tmp_path, "-", stdin=piped)
    assert "2 accounts take 200 ms" in done.out


@pytest.mark.parametrize("arguments", [[], ["--json"]])
async def test_a_reader_that_leaves_and_a_full_disk(
    arguments: list[str], sandbox: Sandbox, tmp_path: Path
) -> None:
    """`check | head -1` ends with 141 and quietly; a full disk behind stdout with 5."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = await check(sandbox, tmp_path, *arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (done.status, done.err) == (141, "")
    if HAS_FULL:
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            done = await check(sandbox, tmp_path, *arguments, stdout=full)
        finally:
            os.close(full)
        assert done.status == 5
