"""The library: the same bytes as the command line, in scripts, notebooks and programs with an event loop."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import harvester as library
from harvester import (
    AccountOutcome,
    AccountUsages,
    Credentials,
    Harvest,
    InvalidAccountId,
    LedgerReader,
    Settings,
    StoppedEarly,
    UsageError,
    harvest,
    load_settings,
)
from tests.e2e.processes import CLIENT_ID, ROOT, SECRET, Tenant, run, tenant
from tests.e2e.truth import content_of, truth_of

CLIENT = Credentials(client_id=CLIENT_ID, client_secret=SECRET)


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant with a few hundred accounts, of which some fail."""
    with tenant("--accounts", "300", "--hopeless", "3:404") as running:
        yield running


def options(there: Tenant, **more: Any) -> dict[str, Any]:
    """What every call needs."""
    return {"base_url": there.url, "clients": [CLIENT], "quota": None, **more}


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def ids_of(there: Tenant, most: int | None = None) -> list[str]:
    return [one.decode() for one in there.ids[:most]]


SAME: list[tuple[str, dict[str, Any], list[str]]] = [
    ("u.ndjson", {}, []),
    ("u.ndjson.gz", {}, []),
    ("u.csv", {"columns": "tenant,apiVersion"}, ["--columns", "tenant,apiVersion"]),
    ("u.ndjson", {"shape": "accounts"}, ["--shape", "accounts"]),
    ("u.ndjson", {"since": "2026-08"}, ["--since", "2026-08"]),
    ("u.ndjson", {"sorters": "date"}, ["--sorters", "date"]),
    ("u.ndjson", {"shard": "2/3"}, ["--shard", "2/3"]),
    ("u.ndjson", {"page_size": 5}, ["--page-size", "5"]),
    ("u.ndjson", {"count": True}, ["--count"]),
    ("u.ndjson", {"api_version": "v2024,v1"}, ["--api-version", "v2024,v1"]),
    ("u.parquet", {}, []),
    ("u.ndjson", {"attempts": 1, "max_failures": 50}, ["--attempts", "1", "--max-failures", "50"]),
    ("u.ndjson", {"concurrency": 3, "timeout": "5s"}, ["--concurrency", "3", "--timeout", "5s"]),
    ("u.csv", {"source_status": "off", "keep_ledger": False}, ["--source-status", "off", "--no-keep-ledger"]),
    ("dir/", {"partition_by": "harvested"}, ["--partition-by", "harvested"]),
    ("dir/", {"part_rows": 200, "compress": "zstd"}, ["--part-rows", "200", "--compress", "zstd"]),
]


@pytest.mark.parametrize(("output", "keywords", "flags"), SAME, ids=str)
def test_every_option_gives_the_same_bytes(
    there: Tenant, tmp_path: Path, output: str, keywords: dict[str, Any], flags: list[str]
) -> None:
    """Through the library and through the command line."""
    ids = there.list_file(tmp_path)
    status, said = run("run", ids, "-o", f"{tmp_path}/cli-{output}", "--quota", "none", *flags, at=there)
    report = harvest(ids_of(there), **options(there, output=f"{tmp_path}/api-{output}", **keywords))
    assert report.status == status, said.err
    assert status in (0, 3), said.err
    ours, theirs = tmp_path / f"api-{output}".rstrip("/"), tmp_path / f"cli-{output}".rstrip("/")
    if ours.is_dir():
        assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
        assert content_of(ours) == content_of(theirs)
    else:
        assert ours.read_bytes() == theirs.read_bytes()
    assert ours.exists()


def test_the_same_files_beside_the_output(there: Tenant, tmp_path: Path) -> None:
    """Failures, summary, page, metrics and ledger, with the same mode; only times and paths differ."""
    named = {"failures": "f.ndjson", "summary": "s.json", "report": "r.html", "metrics": "m.prom"}
    cli, api = tmp_path / "cli", tmp_path / "api"
    cli.mkdir()
    api.mkdir()
    flags = [text for option, name in named.items() for text in (f"--{option}", str(cli / name))]
    ids = there.list_file(tmp_path)
    flags += ["--quota", "none", "--file-mode", "0640"]
    status, said = run("run", ids, "-o", str(cli / "u.csv"), *flags, at=there)
    assert status == 3, said.err
    keywords = {option: api / name for option, name in named.items()} | {"file_mode": "0640"}
    report = harvest(ids_of(there), **options(there, output=api / "u.csv", **keywords))
    assert report.status == 3
    modes = {path.name: path.stat().st_mode for path in left_in(cli)}
    assert modes == {path.name: path.stat().st_mode for path in left_in(api)}
    assert set(named.values()) | {"u.csv", "u.csv.ledger"} <= modes.keys()
    failed = [content_of(folder / "f.ndjson") for folder in (cli, api)]
    own = re.compile(rb'"(failedAt|trackingId)":"[^"]*"')
    assert own.sub(b"", failed[0]) == own.sub(b"", failed[1])
    for folder in (cli, api):
        assert 'harvester_exit_status{harvest="m"} 3.0\n' in (folder / "m.prom").read_text()
    summaries = [orjson.loads((folder / "s.json").read_bytes()) for folder in (cli, api)]
    assert summaries[0]["counts"] == summaries[1]["counts"]
    assert summaries[0].keys() == summaries[1].keys()


def test_a_report_says_what_came_of_it(there: Tenant, tmp_path: Path) -> None:
    """Status, counts and files; the ledger can be read by the library at once."""
    report = harvest(ids_of(there), **options(there, output=tmp_path / "u.ndjson"))
    assert (report.status, report.stop) == (3, None)
    assert report.counts.distinct == 300
    assert report.counts.failed == 3
    assert report.rows == len(there.truth)
    assert report.outputs[0].sha256
    assert report.ledger is not None
    with LedgerReader(Path(report.ledger)) as reader:
        assert reader.counts() == report.counts


def test_shards_harvest_disjoint_parts_of_the_list(there: Tenant, tmp_path: Path) -> None:
    """`shard=` is honored, and merging the ledgers gives the bytes of the whole."""
    reports = [
        harvest(ids_of(there), **options(there, output=tmp_path / f"{k}.ndjson", shard=f"{k}/3"))
        for k in (1, 2, 3)
    ]
    assert sum(report.counts.distinct for report in reports) == 300
    ledgers = [tmp_path / f"{k}.ndjson.ledger" for k in (3, 1, 2)]
    status, said = run("export", *ledgers, "-o", tmp_path / "all.ndjson")
    assert status == 0, said.err
    assert (tmp_path / "all.ndjson").read_bytes() == truth_of(there)


async def test_it_runs_where_a_loop_is_running_already(there: Tenant, tmp_path: Path) -> None:
    """As in every notebook; the caller's iterable is iterated in the caller's thread all the same."""
    mine = threading.get_ident()
    seen: set[int] = set()

    def ids() -> Iterator[str]:
        for one in ids_of(there):
            seen.add(threading.get_ident())
            yield one

    report = harvest(ids(), **options(there, output=tmp_path / "u.ndjson"))
    assert report.status == 3
    assert seen == {mine}
    assert (tmp_path / "u.ndjson").read_bytes() == truth_of(there)


async def test_an_error_of_the_callers_iterable_comes_out(there: Tenant, tmp_path: Path) -> None:
    """Wherever the loop runs, and nothing is left of the harvest."""

    def ids() -> Iterator[str]:
        yield from ids_of(there, 10)
        raise ZeroDivisionError

    settings = load_settings(**options(there, output=tmp_path / "u.ndjson"))
    with pytest.raises(ZeroDivisionError):
        harvest(ids(), settings)
    assert not left_in(tmp_path)
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(harvest, ids(), settings)
    assert not left_in(tmp_path)
    async with Harvest(settings) as running:
        with pytest.raises(ZeroDivisionError):
            await running.run(ids())
    assert not left_in(tmp_path)


async def test_rows_come_in_the_order_of_the_list(there: Tenant) -> None:
    """As dictionaries with `accountId` first, however slow the reader is."""
    rows = []
    async with Harvest(load_settings(**options(there))) as running:
        async for row in running.rows(ids_of(there)):
            rows.append(row)
            if len(rows) % 400 == 0:
                await asyncio.sleep(0.05)
    assert [orjson.dumps(row) for row in rows] == there.truth
    assert next(iter(rows[0])) == "accountId"


async def test_accounts_come_with_their_outcome(there: Tenant) -> None:
    """Those without rows and those that failed, too."""
    async with Harvest(load_settings(**options(there))) as running:
        found = [account async for account in running.accounts(_async(ids_of(there)))]
    assert isinstance(found[0], AccountUsages)
    assert [one.account_id for one in found] == ids_of(there)
    assert sum(one.outcome is AccountOutcome.FAILED for one in found) == 3
    assert all(bool(one.rows) == (one.outcome is AccountOutcome.HARVESTED) for one in found)
    assert {one.reason for one in found if one.outcome is AccountOutcome.FAILED} == {"not_found"}


async def _async(ids: list[str]) -> AsyncIterator[str]:
    for one in ids:
        yield one


async def test_nothing_is_left_behind_by_a_reader_who_leaves(there: Tenant, tmp_path: Path) -> None:
    """No task, no thread and no file after leaving the loop early."""
    threads = threading.active_count()
    os.environ["TMPDIR"] = str(tmp_path)
    try:
        async with Harvest(load_settings(**options(there))) as running:
            rows = running.rows(ids_of(there))
            async for _ in rows:
                break
            await rows.aclose()
    finally:
        del os.environ["TMPDIR"]
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240  # a directory in memory
    for _ in range(100):
        if threading.active_count() <= threads + 1:  # asyncio keeps the threads of its executor
            break
        await asyncio.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("ledger", "export"))]


async def test_a_harvest_that_is_stopped_ends_resumable(there: Tenant, tmp_path: Path) -> None:
    """`stop` ends it with the reason, and the same harvest continues."""
    settings = load_settings(**options(there, output=tmp_path / "u.ndjson", quota="50/1s"))
    async with Harvest(settings) as running:
        task = asyncio.create_task(running.run(ids_of(there)))
        await _until_requests(running, 30)
        running.stop(StoppedEarly("enough"))
        report = await task
    assert report.status == 5
    assert 0 < report.counts.not_attempted < 300
    again = await asyncio.to_thread(
        lambda: harvest(ids_of(there), **options(there, output=tmp_path / "u.ndjson"))
    )
    assert again.status == 3
    assert (tmp_path / "u.ndjson").read_bytes() == truth_of(there)


async def _until_requests(running: Harvest, number: int) -> None:
    while running.tally.requests < number:  # noqa: ASYNC110  # a tally tells nobody
        await asyncio.sleep(0.01)


async def test_a_canceled_harvest_leaves_a_ledger_that_resumes(there: Tenant, tmp_path: Path) -> None:
    """Cancellation is the caller's own, and comes out as such."""
    settings = load_settings(**options(there, output=tmp_path / "u.ndjson", quota="50/1s"))
    async with Harvest(settings) as running:
        task = asyncio.create_task(running.run(ids_of(there)))
        await _until_requests(running, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(asyncio.all_tasks()) == 1
    assert (tmp_path / "u.ndjson.ledger.partial").exists()


@pytest.mark.parametrize(
    ("ids", "error"),
    [
        ([""], InvalidAccountId),
        (["  "], InvalidAccountId),
        (["\ud800"], InvalidAccountId),
        ([7], TypeError),
        ("a1b2", TypeError),
        (b"a1b2", TypeError),
    ],
)
def test_what_is_no_list_of_account_ids_is_refused(
    there: Tenant, tmp_path: Path, ids: Any, error: type[Exception]
) -> None:
    """A ValueError of harvester's own, or a TypeError; nothing is requested, and nothing is left behind."""
    before = there.requested
    with pytest.raises(error):
        harvest(ids, **options(there, output=tmp_path / "u.ndjson"))
    assert there.requested == before
    assert not left_in(tmp_path)
    assert issubclass(InvalidAccountId, ValueError)


def test_ids_are_trimmed(there: Tenant, tmp_path: Path) -> None:
    """Blanks around an ID are not part of it."""
    report = harvest(
        [f" {one}\n" for one in ids_of(there, 5)], **options(there, output=tmp_path / "u.ndjson", fresh=True)
    )
    assert report.counts.distinct == 5
    assert (tmp_path / "u.ndjson").read_bytes() == truth_of(there, there.ids[:5])


def test_wrong_settings_are_errors_of_the_library(there: Tenant, tmp_path: Path) -> None:
    """A directory where a file is expected: a UsageError, before any request."""
    before = there.requested
    with pytest.raises(UsageError):
        harvest(["a"], **options(there, output=tmp_path))
    with pytest.raises(TypeError):
        harvest(["a"], Settings(base_url=there.url, clients=(CLIENT,)), output="x.ndjson")
    assert there.requested == before


def test_the_public_names_are_real() -> None:
    """`dir()` shows them, and each can be had."""
    assert dir(library) == sorted(library.__all__)
    assert all(getattr(library, name) is not None for name in library.__all__)
    assert not hasattr(library, "harvets")


@pytest.mark.timeout(300)  # a minute, where mypy has no cache
def test_a_type_checker_finds_a_misspelled_keyword(tmp_path: Path) -> None:
    """`outptu=`, an unknown word, and a value of the wrong type fail under mypy; what is right passes."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from harvester import harvest, load_settings\n"
        "harvest(['a'], output='u.ndjson', quota=None, shard='1/2')\n"
        "load_settings(output=Path('x'), quota='5/s', timeout=3, shard='1/2', api_version=['v1'])\n"
        "harvest(['a'], outptu='u.ndjson')\n"
        "load_settings(outptu='x')\n"
        "load_settings(format='xml')\n"
        "load_settings(quota=5)\n"
    )
    command = [sys.executable, "-m", "mypy", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = [line.split(":") for line in done.stdout.splitlines() if ": error: " in line]
    assert {Path(path).name for path, *_ in found} == {script.name}, done.stdout  # the cache has older paths
    assert [number for _, number, *_ in found] == ["5", "6", "7", "8"], done.stdout
