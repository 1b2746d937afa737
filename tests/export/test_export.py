"""Shards, provenance, failures, the ledger as output, and what goes together."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import InputError, SettingError, StopRun
from harvester.export.shards import merged
from harvester.ledger import Entry, Ledger, LedgerReader
from harvester.model import AccountOutcome, ListedAccount, Shard
from tests.export.ledgers import BEGUN, FACTS, accounts, finished, in_shard, settled, shards, unfinished
from tests.export.outputs import (
    content,
    expected,
    expected_ndjson,
    made,
    opened,
    rows_of,
    spec_of,
    written,
)
from tests.export.samples import usage

LISTED = accounts(250)


# --- shards


@pytest.mark.parametrize("name", ["out.ndjson", "out.csv.gz", "out.parquet", "out.failures"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_are_merged_into_what_one_run_would_have_produced(
    tmp_path: Path, count: int, name: str
) -> None:
    """Byte by byte, in whatever order they are named."""
    whole = finished(tmp_path / "whole.ledger", LISTED)
    parts = shards(tmp_path, LISTED, count)[::-1]
    if name.endswith(".failures"):
        failures_of(whole, tmp_path / f"whole-{name}")
        failures_of(parts, tmp_path / f"parts-{name}")
    else:
        made(whole, tmp_path / f"whole-{name}")
        made(parts, tmp_path / f"parts-{name}")
    assert (tmp_path / f"parts-{name}").read_bytes() == (tmp_path / f"whole-{name}").read_bytes() != b""


def failures_of(ledgers: Path | list[Path], dest: Path) -> None:
    written(ledgers, opened(dest.with_suffix(".rows")), failures=dest)


def test_a_directory_of_shards_says_so(tmp_path: Path) -> None:
    """Which they are, and that the list is accounted for."""
    made(shards(tmp_path, LISTED, 3), f"{tmp_path}/out/", part_rows=500)
    files = content(tmp_path / "out")
    assert rows_of(files) == expected(LISTED)
    found = json.loads(files["_manifest.json"])
    assert (found["shards"], found["runIds"]) == (["1/3", "2/3", "3/3"], ["run-1", "run-2", "run-3"])
    assert found["accounts"]["distinct"]["count"] == len(LISTED)


def test_shards_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """Or named twice, or missing; each in one sentence (2)."""
    one, two, three = shards(tmp_path, LISTED, 3)
    other = {
        "base_url": FACTS | {"shard": "3/3", "base_url": "https://other.example"},
        "since": FACTS | {"shard": "3/3", "since": "2026-01"},
        "count": FACTS | {"shard": "3/4"},
        "whole": FACTS,
    }
    made_up = {
        key: finished(tmp_path / f"{key}.ledger", {"x": b"[]"}, facts=facts) for key, facts in other.items()
    }
    for ledgers, problem in (
        ([one, two, made_up["base_url"]], r"harvested with --base-url https://other\.example, and .*shard-1"),
        ([one, two, made_up["since"]], "was harvested with --since 2026-01, and .* with not given"),
        ([one, two, made_up["count"]], "was harvested with --shard 3/4, and .* with 1/3"),
        ([one, two, made_up["whole"]], "holds a whole list, not a shard"),
        ([one, two, two], "shard 2/3 is named more than once"),
        ([one, three], "shard 2/3 not named: .*--unfinished"),
        ([one], "shards 2/3, 3/3 not named: .*--unfinished"),
    ):
        with pytest.raises(InputError, match=problem):
            made(ledgers, tmp_path / "out.ndjson")
    assert not list(tmp_path.glob("out*"))


def test_some_shards_are_enough_if_that_is_accepted(tmp_path: Path) -> None:
    """By ``--unfinished``; or because a run with ``--shard`` has only one."""
    one, _, three = shards(tmp_path, LISTED, 3)
    written([three, one], opened(tmp_path / "two.ndjson"), unfinished=True)
    written(one, opened(tmp_path / "one.ndjson"), one_shard=True)
    keep = {index: in_shard(Shard(index, 3)) for index in (1, 2, 3)}
    first = {one: answer for one, answer in LISTED.items() if keep[1](one)}
    both = {one: answer for one, answer in LISTED.items() if not keep[2](one)}
    assert (tmp_path / "one.ndjson").read_bytes() == expected_ndjson(first)
    assert (tmp_path / "two.ndjson").read_bytes() == expected_ndjson(both)


def of_another_list(path: Path) -> Path:
    """The third of three shards, of a shorter list."""
    facts = FACTS | {"shard": "3/3"}
    return finished(path, accounts(200), facts=facts, keep=in_shard(Shard(3, 3)), run_id="run-4")


@pytest.mark.parametrize("options", [{}, {"unfinished": True}, {"follow": True}])
@pytest.mark.parametrize("name", ["-", "out.ndjson", "out.parquet", "out/"])
def test_shards_of_different_lists_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Or accounts would be missing; nothing is written then."""
    one, two, _ = shards(tmp_path, LISTED, 3)
    three = of_another_list(tmp_path / "three.ledger")
    output = opened(name if name == "-" else f"{tmp_path}/{name}")
    problem = r"shard-\d\.ledger: this shard and the others are not of one list: harvest all shards with"
    with pytest.raises(InputError, match=problem):
        written([one, two, three], output, failures=tmp_path / "out.failures", **options)
    assert not list(tmp_path.glob("out*"))
    assert capfdbinary.readouterr().out == b""
    written([one, three], opened(f"{tmp_path}/some.ndjson"), unfinished=True)  # it cannot be told


def entry(position: int) -> Entry:
    return Entry(position, f"id-{position}", AccountOutcome.EMPTY, b"[]", 0, 0.0, None, None, None, None)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 9))
def test_merging_keeps_the_order_of_the_list(owners: list[int], size: int) -> None:
    """Whatever slices the shards come in."""
    streams = {}
    for shard in range(4):
        mine = [entry(position) for position, owner in enumerate(owners) if owner == shard]
        slices = [mine[begin : begin + size] for begin in range(0, len(mine), size)]
        streams[Path(str(shard))] = iter(slices)
    found = [one.position for slice_ in merged(streams) for one in slice_]
    assert found == list(range(len(owners)))


def test_one_position_in_two_shards_is_refused() -> None:
    """They are of different lists."""
    one, two = iter([[entry(1), entry(2)]]), iter([[entry(2), entry(3)]])
    problem = r"a: this shard and b both have an account at position 2, .*: harvest all shards with the same"
    with pytest.raises(InputError, match=problem):
        list(merged({Path("a"): one, Path("b"): two}))


# --- provenance, kept with each account


def test_columns_are_those_of_the_run_that_settled_the_account(tmp_path: Path) -> None:
    """So a repeated export has the same, and a resumed harvest names both runs."""
    path = tmp_path / "l.partial"

    async def main() -> None:
        async with await Ledger.create(path, facts=FACTS) as ledger:
            await write_one(ledger, 0, "run-1")
        async with await Ledger.open(path) as ledger:
            await write_one(ledger, 1, "run-2")
            await ledger.publish(tmp_path / "l.ledger", copy=tmp_path / "l.copy")
            await ledger.remove()

    asyncio.run(main())
    options: dict[str, Any] = {"columns": ("runId", "harvestedAt", "tenant", "apiVersion")}
    made(tmp_path / "l.ledger", tmp_path / "out.ndjson", **options)
    assert [json.loads(line) for line in (tmp_path / "out.ndjson").read_bytes().splitlines()] == [
        {
            "accountId": f"a{position}",
            "date": "2026-03-01",
            "count": 10,
            "harvestedAt": f"2026-11-26T20:1{position}:00Z",
            "tenant": "acme.api.identitynow.com",
            "apiVersion": "v2024",
            "runId": f"run-{position + 1}",
        }
        for position in (0, 1)
    ]


async def write_one(ledger: Ledger, position: int, run_id: str) -> None:
    await ledger.begin_run({"id": run_id, "started": BEGUN + position})
    await ledger.save_lanes({"client": "v2024"})
    await ledger.add([ListedAccount(0, "a0"), ListedAccount(1, "a1")])
    await ledger.end_list()
    await ledger.settle([settled(position, f"a{position}", usage([3]), offset=60.0 * position)])


# --- failures


def test_the_failures_file_is_a_list_of_accounts(tmp_path: Path) -> None:
    """A line for each account that failed, in order; empty if none did."""
    ledger = finished(tmp_path / "l.ledger", LISTED)
    failures_of(ledger, tmp_path / "failures.ndjson")
    found = [json.loads(line) for line in (tmp_path / "failures.ndjson").read_bytes().splitlines()]
    failed = [one for one, answer in LISTED.items() if isinstance(answer, str)]
    assert [one["accountId"] for one in found] == failed
    assert found[0] == {
        "accountId": "account-00005",
        "status": 404,
        "reason": "not_found",
        "detail": "no such\nobject",
        "trackingId": "track-1",
        "attempts": 3,
        "failedAt": "2026-11-26T20:10:00Z",
    }
    failures_of(finished(tmp_path / "none.ledger", {"a": b"[]"}), tmp_path / "none.ndjson")
    assert (tmp_path / "none.ndjson").read_bytes() == b""


# --- the ledger itself


def test_the_ledger_can_be_the_output(tmp_path: Path) -> None:
    """A compact copy with its public views; several ledgers cannot be one."""
    ledger = finished(tmp_path / "l.ledger", LISTED)
    exported = made(ledger, tmp_path / "usages.db")
    with sqlite3.connect(tmp_path / "usages.db") as database:
        found = database.execute("select accountId, date, cast(count as text) from usage").fetchall()
    database.close()
    assert len(found) == exported.rows == len(expected(LISTED))
    assert exported.files[0].bytes == (tmp_path / "usages.db").stat().st_size
    assert (tmp_path / "usages.db").stat().st_mode & 0o777 == 0o600
    with LedgerReader(tmp_path / "usages.db") as reader:
        assert reader.is_complete()
    assert sorted(content(tmp_path)) == ["l.ledger", "usages.db"]
    with pytest.raises(InputError, match="several cannot be copied into one"):
        made(shards(tmp_path, LISTED, 2), tmp_path / "shards.db")


# --- what goes together


@pytest.mark.parametrize(
    ("dest", "expected_spec"),
    [
        ("-", ("stream", "ndjson", "none")),
        ("/dev/stdout", ("stream", "ndjson", "none")),
        ("out.ndjson.gz", ("file", "ndjson", "gzip")),
        ("out.csv.zst", ("file", "csv", "zstd")),
        ("out.parquet", ("file", "parquet", "none")),
        ("out.db", ("file", "sqlite", "none")),
        ("out.sqlite", ("file", "sqlite", "none")),
        ("out.txt", ("file", "ndjson", "none")),
        ("usages/", ("directory", "ndjson", "none")),
        ("s3://bucket/prefix/", ("store", "ndjson", "none")),
    ],
)
def test_the_destination_selects_format_and_compression(
    dest: str, expected_spec: tuple[str, str, str]
) -> None:
    """By its suffix, else NDJSON."""
    spec = spec_of(dest)
    assert (spec.kind, spec.where.format, spec.where.compression) == expected_spec


@pytest.mark.parametrize(
    ("dest", "options", "problem"),
    [
        ("x.csv", {"shape": "accounts"}, "--format: csv has no shape 'accounts'"),
        ("x", {"format": "xml"}, "--format: xml has no shape"),
        ("x/", {"redshift": True}, "--redshift-manifest: needs Parquet in an S3 store"),
    ],
)
def test_what_does_not_go_together_is_refused(dest: str, options: dict[str, Any], problem: str) -> None:
    """In one sentence that names the setting (2)."""
    with pytest.raises(SettingError, match=problem) as error:
        opened(dest, **options)
    assert error.value.exit_status == 2


def test_an_unfinished_shard_is_refused_with_its_name(tmp_path: Path) -> None:
    """Which ledger it is, and what to do."""
    one, _ = shards(tmp_path, LISTED, 2)
    two = unfinished(
        tmp_path / "two.ledger", LISTED | {"more": None}, facts=FACTS | {"shard": "2/2"}, run_id="run-9"
    )
    with pytest.raises(StopRun, match=r"two\.ledger: the harvest is unfinished.*--follow"):
        made([one, two], tmp_path / "out.ndjson")
