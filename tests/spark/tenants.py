"""A simulated tenant in a thread of this process, and the lists and clients that Spark is given."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from harvester.sandbox.options import SandboxOptions
from harvester.sandbox.server import Sandbox

SECRET = "not-in-any-plan-5f1c"


@contextmanager
def tenant(**options: Any) -> Iterator[Sandbox]:
    """A sandbox that serves while the context is open, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox")
    thread.start()
    sandbox = Sandbox(SandboxOptions(secret=SECRET, **options))
    try:
        asyncio.run_coroutine_threadsafe(sandbox.__aenter__(), loop).result()
        try:
            yield sandbox
        finally:
            asyncio.run_coroutine_threadsafe(sandbox.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def list_file(sandbox: Sandbox, folder: Path) -> Path:
    """All accounts with their sources, and the first of them once more."""
    lines = [
        orjson.dumps({"id": one, "sourceId": sandbox.truth(one).source_id, "name": f"name of {one}"})
        for one in sandbox.population.ids
    ]
    path = folder / "accounts.ndjson"
    path.write_bytes(b"\n".join([*lines, lines[0], b""]))
    return path


def clients_file(folder: Path) -> Path:
    """Two clients: the secret of one is in a variable, the other's in a file; one has a quota of its own."""
    secret = folder / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    path = folder / "clients.toml"
    path.write_text(
        '[[clients]]\nname = "north"\nclient_id = "north-1"\nclient_secret_env = "NORTH_KEY"\n'
        f'[[clients]]\nname = "south"\nclient_id = "south-1"\nclient_secret_file = "{secret}"\n'
        'quota = "30/2s"\n'
    )
    return path


def expected(sandbox: Sandbox) -> list[list[Any]]:
    """What a read has to give, in the order of the list: ID, date, count, outcome, position."""
    found: list[list[Any]] = []
    for position, one in enumerate(sandbox.population.ids):
        outcome = sandbox.truth(one).outcome
        rows = sandbox.population.rows(one) if outcome == "harvested" else [{"date": None, "count": None}]
        found += [[one, row["date"], row["count"], outcome, position] for row in rows]
    return found


def most_in_a_window(sandbox: Sandbox, lane: str, seconds: float) -> int:
    """The most requests of a lane that arrived within so many seconds."""
    moments = sorted(sandbox.tally.lanes[lane])
    return max(bisect_left(moments, start + seconds) - at for at, start in enumerate(moments))
