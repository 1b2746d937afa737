"""Every format in an object store: complete, killed at each put, away, repeated; and on a real server."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import obstore
import pytest

from harvester.errors import AccessDenied, OutputError, StoppedEarly
from harvester.events import DestinationAvailable, DestinationUnavailable
from harvester.export import open_output
from harvester.export.destinations import store as store_module
from harvester.export.destinations.cloud import refined
from tests.export.ledgers import accounts, finished
from tests.export.outputs import Killed, Plan, content, expected, made, opened, rows_of, spec_of, written
from tests.export.stores import MemoryCloud, Outage, S3Server, s3_server

LISTED = accounts(60)
OPTIONS: list[dict[str, Any]] = [
    {"format": "ndjson", "part_rows": 150},
    {"format": "csv", "compress": "gzip", "part_rows": 150},
    {"format": "parquet", "part_rows": 150},
    {"format": "parquet", "part_rows": 150, "redshift": True},
]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("ledger") / "l.ledger", LISTED)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("other") / "l.ledger", accounts(25, 500), run_id="run-0")


@pytest.mark.parametrize("options", OPTIONS[:3], ids=name_of)
def test_a_store_holds_what_a_directory_holds(ledger: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """The same objects, byte by byte; again when it is repeated."""
    made(ledger, f"{tmp_path}/out/", **options)
    cloud = MemoryCloud()
    cloud.export(ledger, **options)
    assert cloud.objects() == content(tmp_path / "out")
    cloud.export(ledger, **options)
    assert cloud.objects() == content(tmp_path / "out")
    assert rows_of(cloud.objects()) == expected(LISTED)


OWN = {
    "own.txt": b"mine",
    "part-export-00001.parquet": b"mine, too",
    "harvested=2026-01-01/part-00001.csv": b"x",
}


@pytest.mark.parametrize(
    ("options", "replaced"),
    [(OPTIONS[0], True), (OPTIONS[1], True), (OPTIONS[2], False), (OPTIONS[3], False), (OPTIONS[3], True)],
)
def test_a_store_is_complete_or_not_whatever_is_killed(
    ledger: Path, other: Path, options: dict[str, Any], replaced: bool
) -> None:
    """At each put and delete. The same command again completes it; what is not ours is never touched."""
    fresh = MemoryCloud()
    fresh.export(ledger, **options)
    step, killed = 0, True
    while killed:
        cloud = MemoryCloud()
        for name, data in OWN.items():
            obstore.put(cloud.store, name, data)
        if replaced:
            cloud.export(other, format="csv", part_rows=20)
        cloud.plan = Plan(step)
        try:
            cloud.export(ledger, replace=replaced, **options)
            killed = False
        except Killed:
            pass
        objects = cloud.objects()
        assert {name: objects[name] for name in OWN} == OWN
        if "_SUCCESS" in objects:
            assert rows_of(objects) in (expected(accounts(25, 500)), expected(LISTED))
        cloud.plan = Plan()
        cloud.export(ledger, replace=replaced, **options)
        assert cloud.objects() == fresh.objects() | OWN
        step += 1
    assert step > 9


def test_after_a_kill_another_export_cleans_up(ledger: Path, other: Path) -> None:
    """Whatever it is made of: the journal knows the names."""
    fresh = MemoryCloud()
    fresh.export(other, format="parquet")
    for step in range(2, 12):
        cloud = MemoryCloud()
        cloud.plan = Plan(step)
        with pytest.raises(Killed):
            cloud.export(ledger, **OPTIONS[0])
        cloud.plan = Plan()
        cloud.export(other, format="parquet", replace=True)
        assert cloud.objects() == fresh.objects()


def test_a_store_that_is_away_is_waited_for(ledger: Path) -> None:
    """At each request; it is said once it is away and once it is back."""
    fresh = MemoryCloud()
    fresh.export(ledger, **OPTIONS[0])
    for step in range(2, fresh.plan.taken):
        cloud = MemoryCloud()
        cloud.plan = Outage(step, 3)
        cloud.export(ledger, **OPTIONS[0])
        assert cloud.objects() == fresh.objects()
        kinds = [type(event) for event in cloud.events if not type(event).__name__.startswith("File")]
        assert kinds == [DestinationUnavailable] * 3 + [DestinationAvailable]


def test_a_store_that_stays_away_ends_with_status_5(ledger: Path) -> None:
    """After `max_outage`; the same command again continues with the export alone."""
    cloud = MemoryCloud()
    cloud.plan = Outage(5, 10_000)
    with pytest.raises(
        StoppedEarly, match=r"s3://bucket/prefix/ has not been available for 60 s \(.*refused"
    ):
        cloud.export(ledger, **OPTIONS[0])
    assert "_SUCCESS" not in cloud.objects()
    cloud.plan = Plan()
    cloud.export(ledger, **OPTIONS[0])
    assert rows_of(cloud.objects()) == expected(LISTED)


def test_what_is_there_is_refused_or_left_alone(ledger: Path, other: Path) -> None:
    """As in a directory."""
    cloud = MemoryCloud()
    cloud.export(ledger, **OPTIONS[0])
    before = cloud.objects()
    with pytest.raises(OutputError, match="already holds a complete harvest"):
        cloud.export(other)
    assert cloud.objects() == before
    cloud = MemoryCloud()
    obstore.put(cloud.store, "part-00001.ndjson", b"mine")
    with pytest.raises(OutputError, match=r"contains part-00001\.ndjson, which no manifest"):
        cloud.export(ledger, replace=True)
    assert cloud.objects() == {"part-00001.ndjson": b"mine"}


def test_nothing_is_left_in_the_directory_for_temporary_files(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are spooled without a name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cloud = MemoryCloud()
    cloud.plan = Plan(4)
    with pytest.raises(Killed):
        cloud.export(ledger, **OPTIONS[0])
    assert content(tmp_path) == {}


def test_a_redshift_manifest_names_parts_and_lengths(ledger: Path) -> None:
    """And goes with the output that replaces it."""
    cloud = MemoryCloud()
    cloud.export(ledger, **OPTIONS[3])
    objects = cloud.objects()
    found = json.loads(objects["_redshift_manifest.json"])
    parts = {f"s3://bucket/prefix/{name}": len(data) for name, data in objects.items() if "part-" in name}
    assert {one["url"]: one["meta"]["content_length"] for one in found["entries"]} == parts
    assert all(one["mandatory"] for one in found["entries"])
    cloud.export(ledger, replace=True, **OPTIONS[0])
    assert "_redshift_manifest.json" not in cloud.objects()


# --- a real server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("lake", "big", "later") as server:
        yield server


def test_a_real_store_is_written_and_read_back(s3: S3Server, ledger: Path, tmp_path: Path) -> None:
    """By another client, and by DuckDB."""
    made(ledger, "s3://lake/nightly", format="parquet", part_rows=150)
    objects = {name.removeprefix("nightly/"): data for name, data in s3.objects("lake").items()}
    assert rows_of(objects) == expected(LISTED)
    for name, data in objects.items():
        (tmp_path / name).write_bytes(data)
    found = duckdb.connect().execute(f"select count(*), sum(count::hugeint) from '{tmp_path}/*.parquet'")
    rows = expected(LISTED)
    assert found.fetchone() == (len(rows), sum(int(count) for *_, count in rows if count is not None))
    with pytest.raises(OutputError, match="already holds a complete harvest"):
        opened("s3://lake/nightly/").try_out()
    assert not [name for name in s3.objects("lake") if "probe" in name]


def test_a_large_part_is_sent_in_pieces(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a multipart upload, which is visible when it is complete."""
    monkeypatch.setattr(store_module, "PIECE", 5 * 1024 * 1024)
    listed = {f"{'x' * 400}-{number}": b'[{"date":"2026-10-01","count":1}]' for number in range(30_000)}
    made(finished(tmp_path / "l.ledger", listed), "s3://big/")
    head = s3.client().head_object(Bucket="big", Key="part-00001.ndjson")
    assert head["ETag"].strip('"').endswith("-3")
    assert rows_of(s3.objects("big")) == expected(dict(listed))


def test_a_wrong_bucket_is_found_before_the_first_request(s3: S3Server) -> None:
    """In one sentence without a secret."""
    with pytest.raises(OutputError, match="s3://nobody/x/ cannot be written to: NoSuchBucket") as error:
        opened("s3://nobody/x/").try_out()
    assert "secret" not in str(error.value)


def test_an_export_continues_when_the_store_is_back(s3: S3Server, ledger: Path) -> None:
    """Killed with the server away, the same command completes it later."""
    output = opened("s3://later/")
    output.try_out()
    s3.stop()
    try:
        with pytest.raises(StoppedEarly, match="has not been available"):
            written_with_short_patience(ledger)
    finally:
        s3.start("later")
    made(ledger, "s3://later/")
    assert rows_of(s3.objects("later")) == expected(LISTED)


def written_with_short_patience(ledger: Path) -> None:
    output = open_output(
        spec_of("s3://later/"), begun=0, observer=lambda _: None, max_outage=0.1, rng=Random(1)
    )
    written(ledger, output)


# --- what stores say, and how they are named


def test_a_stores_error_is_one_clause() -> None:
    """Without addresses, which may hold a signature."""
    text = (
        "Generic S3 error: Error performing PUT https://b.example/x?X-Amz-Signature=abc in 2ms - Server "
        "returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>Access Denied"
        " https://b.example/?X-Amz-Signature=abc</Message></Error>\n\nDebug source:\nlots"
    )
    fault = refined(obstore.exceptions.GenericError(text))
    assert (fault.problem, fault.denied) == ("AccessDenied: Access Denied", True)
    fault = refined(
        obstore.exceptions.GenericError("Generic S3 error: error sending request for url (http://x)")
    )
    assert (fault.problem, fault.denied) == ("its endpoint does not respond", False)


def test_refused_credentials_are_status_4(ledger: Path) -> None:
    """Found before the first request."""
    cloud = MemoryCloud()

    class Denying(Plan):
        def at_step(self) -> None:
            raise obstore.exceptions.PermissionDeniedError("denied")

    cloud.plan = Denying()
    with pytest.raises(AccessDenied, match=r"s3://bucket/prefix/ cannot be written to: denied") as error:
        cloud.export(ledger)
    assert error.value.exit_status == 4
