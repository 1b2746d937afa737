"""Object stores as they are: real servers on loopback, real processes, real kills."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import boto3
import duckdb
import obstore
import orjson
import pytest
from obstore.store import from_url

from harvester.errors import Interrupted
from harvester.sink.finish.recipe import described
from harvester.sink.place.cloud import store_place
from harvester.sink.place.patience import Patience
from harvester.sink.place.store import PIECE
from tests.lake.servers import StoreServer, azure_server, s3_server
from tests.lake.stage import Objects, rows_of, unpacked
from tests.sink.stage import canonical
from tests.whole.processes import Tenant, program, run, tenant

pytestmark = pytest.mark.xdist_group("lake-store")
"""One server of each kind for all of them."""


@dataclass
class Bucket:
    """A fresh bucket or container, and how to get at what is in it."""

    server: StoreServer
    url: str

    @property
    def environ(self) -> dict[str, str]:
        return self.server.environ

    def objects(self) -> Objects:
        """All that is in it, read by the library alone."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            store = from_url(self.url, client_options={"allow_http": True})
        names = [one["path"] for page in obstore.list(store) for one in page]
        return {name: bytes(obstore.get(store, name).bytes()) for name in names}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Tenant]:
    with tenant("--accounts", "300", "--latency", "0.02") as running:
        yield running


@pytest.fixture(scope="module")
def s3() -> Iterator[StoreServer]:
    with s3_server() as server:
        yield server


def new_bucket(server: StoreServer, name: str) -> None:
    """Made by the cloud's own library."""
    boto3.client(
        "s3",
        endpoint_url=server.environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    ).create_bucket(Bucket=name)


@pytest.fixture
def bucket(s3: StoreServer) -> Bucket:
    name = f"lake-{uuid4().hex[:8]}"
    new_bucket(s3, name)
    return Bucket(s3, f"s3://{name}/usages")


def new_container(server: StoreServer, name: str) -> None:
    """By a signed request, as Azure's own library would send it."""
    account, key = "devstoreaccount1", server.environ["AZURE_STORAGE_ACCOUNT_KEY"]
    now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
    headers = f"x-ms-date:{now}\nx-ms-version:2021-08-06\n"
    text = "PUT" + "\n" * 12 + headers + f"/{account}/{account}/{name}\nrestype:container"
    signed = base64.b64encode(
        hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    ).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request(
        "PUT",
        f"/{account}/{name}?restype=container",
        headers={
            "x-ms-date": now,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {account}:{signed}",
            "Content-Length": "0",
        },
    )
    assert connection.getresponse().status == 201
    connection.close()


def hold_truth(found: Objects, sandbox: Tenant, into: Path) -> Path:
    """The store has exactly the tenant's rows, and the manifest names what is there."""
    root = unpacked(found, into)
    wanted = [orjson.loads(line) for line in sandbox.truth]
    assert canonical(rows_of(root)) == canonical(wanted)
    told = orjson.loads(found["_manifest.json"])
    assert {part["name"] for part in told["parts"]} == {name for name in found if "part-" in name}
    for part in told["parts"]:
        assert hashlib.sha256(found[part["name"]]).hexdigest() == part["sha256"]
    assert "_SUCCESS" in found
    assert not [name for name in found if name.startswith("_probe")]
    return root


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "parquet", "--part-rows", "400"),
        ("--partition-by", "month", "--compress", "gzip", "--part-rows", "900"),
    ],
    ids=["parquet", "months"],
)
def test_kills_lose_nothing(
    options: tuple[str, ...], sandbox: Tenant, bucket: Bucket, tmp_path: Path
) -> None:
    """SIGKILL at random instants; the rows in the store are the truth, and nothing else is there."""
    ids = sandbox.list_file(tmp_path)
    chance = random.Random(str(options))
    arguments: list[str | Path] = ["run", ids, "-o", f"{bucket.url}/", "--quota", "4000/10s", *options]
    environment = bucket.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    for _ in range(3):
        with program(*arguments, at=sandbox, environment=environment) as running:
            end = time.monotonic() + chance.uniform(0.8, 2.6)
            while running.running and time.monotonic() < end:
                time.sleep(0.01)
            running.kill()
    status, last = run(*arguments, at=sandbox, environment=environment)
    assert status == 0 or "complete harvest" in last.err, last.err
    hold_truth(bucket.objects(), sandbox, tmp_path / "found")
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []
    status, proved = run("verify", f"{bucket.url}/", "--input", ids, environment=environment)
    assert status == 0, proved.out


def test_a_store_that_goes_away_is_waited_for(sandbox: Tenant, tmp_path: Path) -> None:
    """Gone before a part is brought there, back later: status 0, nothing lost."""
    with s3_server() as server:
        new_bucket(server, "away")
        bucket = Bucket(server, "s3://away/usages")
        ids = sandbox.list_file(tmp_path)
        environment = bucket.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
        arguments = ("run", ids, "-o", f"{bucket.url}/", "--quota", "1000/10s", "--part-rows", "300")
        with program(*arguments, at=sandbox, environment=environment) as running:
            until_spooled(tmp_path / "state")
            server.stop()
            time.sleep(3)
            server.start()
            new_bucket(server, "away")
            assert running.end() == 0, running.err
        assert "can't be written to: nobody answers at its endpoint" in running.err
        assert "can be written to again" in running.err
        # what had come there before was forgotten by the server: the program says so, or none had
        hold_truth(bucket.objects(), sandbox, tmp_path / "found")


def until_spooled(state: Path) -> None:
    """Until the ledger is there: the store was tried before."""
    end = time.monotonic() + 20
    while not list(state.rglob("_ledger")) and time.monotonic() < end:
        time.sleep(0.005)


def test_a_store_that_stays_away_ends_the_run_resumable(sandbox: Tenant, tmp_path: Path) -> None:
    """After --max-outage status 5 in one sentence; later the same command ends it."""
    with s3_server() as server:
        new_bucket(server, "gone")
        bucket = Bucket(server, "s3://gone/usages")
        ids = sandbox.list_file(tmp_path)
        environment = bucket.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
        arguments = ("run", ids, "-o", f"{bucket.url}/", "--quota", "4000/10s", "--max-outage", "1")
        with program(*arguments, at=sandbox, environment=environment) as running:
            until_spooled(tmp_path / "state")
            server.stop()
            assert running.end() == 5, running.err
        assert "could not be written to for" in running.err
        server.start()
        new_bucket(server, "gone")
        asked = sandbox.asked
        status, again = run(*arguments, at=sandbox, environment=environment)
        assert status == 0, again.err
        assert sandbox.asked == asked
        hold_truth(bucket.objects(), sandbox, tmp_path / "found")


def test_a_signal_ends_the_waiting(sandbox: Tenant, tmp_path: Path) -> None:
    """SIGTERM while the last part waits for its store, for half an hour if need be: 143, and resumable."""
    with s3_server() as server:
        new_bucket(server, "term")
        bucket = Bucket(server, "s3://term/usages")
        ids = sandbox.list_file(tmp_path)
        environment = bucket.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
        arguments = ("run", ids, "-o", f"{bucket.url}/", "--quota", "none")
        before = sandbox.asked
        with program(*arguments, at=sandbox, environment=environment) as running:
            until_spooled(tmp_path / "state")
            server.stop()
            while sandbox.asked < before + len(sandbox.ids):
                time.sleep(0.01)
            time.sleep(1.5)
            running.signal(signal.SIGTERM)
            assert running.end() == 143, running.err
        server.start()
        new_bucket(server, "term")
        status, again = run(*arguments, at=sandbox, environment=environment)
        assert status == 0, again.err
        hold_truth(bucket.objects(), sandbox, tmp_path / "found")


@pytest.mark.parametrize(
    ("output", "change", "expected", "words"),
    [
        ("s3://no-such-bucket/x/", {}, 2, "NoSuchBucket"),
        ("s3://no-such-bucket/x/", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 2, "nobody answers"),
        ("s3://b/x/", {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "none-such"}, 4, "AWS profile 'none-such'"),
        ("s3://key:secret@b/x/", {}, 2, "credentials belong into the environment"),
        ("gopher://b/x/", {}, 2, "no object store that is known"),
        ("az://b/x/", {}, 2, "Account must be specified"),
        ("s3://b/x.parquet", {}, 2, "x.parquet"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(  # noqa: PLR0917  # as pytest calls it
    sandbox: Tenant,
    s3: StoreServer,
    tmp_path: Path,
    output: str,
    change: dict[str, str],
    expected: int,
    words: str,
) -> None:
    """One sentence, status 2 or 4, no request to the tenant, nothing left behind, no secret shown."""
    ids = sandbox.list_file(tmp_path)
    asked = sandbox.asked
    environment = s3.environ | {"XDG_STATE_HOME": str(tmp_path / "state")} | change
    status, ended = run("run", ids, "-o", output, at=sandbox, environment=environment)
    assert status == expected, ended.err
    assert words in ended.err
    assert "cloud-secret-never-shown" not in ended.err
    assert "key:secret" not in ended.err
    assert sandbox.asked == asked
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []


def test_a_large_part_comes_in_pieces(
    s3: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object beyond the size of a piece is joined by the store, and one that is stopped is not there."""
    new_bucket(s3, "large")
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    patience = Patience(0.0)
    place = store_place("s3://large/usages/", patience)
    source = tmp_path / "part"
    source.write_bytes(random.Random(1).randbytes(2 * PIECE + 7))
    file = described(source, "part", 0, 0)
    place.take(source, "part", file)
    assert place.sizes("") == {"part": 2 * PIECE + 7}
    place.fetch("part", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    patience.stop(Interrupted(15, "stopped"))
    with pytest.raises(Interrupted):
        place.take(source, "other", file)


def test_duckdb_reads_the_layout(sandbox: Tenant, bucket: Bucket, tmp_path: Path) -> None:
    """Hive partitions of Parquet, typed, with provenance."""
    ids = sandbox.list_file(tmp_path)
    environment = bucket.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    more = (
        "--quota",
        "none",
        "--format",
        "parquet",
        "--partition-by",
        "month",
        "--columns",
        "runId,harvestedAt",
    )
    status, ended = run("run", ids, "-o", f"{bucket.url}/", *more, at=sandbox, environment=environment)
    assert status == 0, ended.err
    root = unpacked(bucket.objects(), tmp_path / "found")
    parts = f"read_parquet('{root}/*/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
    query = f"""
        SELECT count(*), count(DISTINCT month), bool_and(strftime(date, '%Y-%m') = month),
               count(DISTINCT runId), min(harvestedAt) > '2026-01-01'
        FROM {parts}
    """
    [row] = duckdb.connect().execute(query).fetchall()
    months = {orjson.loads(line)["date"][:7] for line in sandbox.truth}
    assert row == (len(sandbox.truth), len(months), True, 1, True)


def test_azure_holds_the_truth(sandbox: Tenant, tmp_path: Path) -> None:
    """Azurite: a container, and a run that is killed once."""
    with azure_server(tmp_path / "azurite") as server:
        new_container(server, "lake")
        bucket = Bucket(server, "az://lake/usages")
        ids = sandbox.list_file(tmp_path)
        environment = server.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
        arguments = (
            "run",
            ids,
            "-o",
            f"{bucket.url}/",
            "--quota",
            "4000/10s",
            "--part-rows",
            "500",
            "--format",
            "parquet",
        )
        with program(*arguments, at=sandbox, environment=environment) as running:
            until_spooled(tmp_path / "state")
            time.sleep(0.6)
            running.kill()
        status, again = run(*arguments, at=sandbox, environment=environment)
        assert status == 0, again.err
        hold_truth(bucket.objects(), sandbox, tmp_path / "found")
