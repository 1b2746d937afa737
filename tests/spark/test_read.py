"""The data source in Spark itself: on two threads of one process, and on two executors of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyspark
import pytest
from pyarrow import parquet

from harvester.model import Quota
from harvester.sandbox.server import Sandbox
from tests.spark.tenants import SECRET, clients_file, expected, list_file, most_in_a_window, tenant

pytestmark = [
    pytest.mark.skipif(
        shutil.which("java") is None and "JAVA_HOME" not in os.environ,
        reason="NOT TESTED IN SPARK: there is no Java (apt-get install default-jre-headless)",
    ),
    pytest.mark.xdist_group("spark"),  # one cluster at a time
    pytest.mark.timeout(300),  # three JVMs, on a machine that may be busy
]
ROOT = Path(__file__).parents[2]
CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",  # compiling takes longer than these few rows
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100",  # rows reach the next step while the lane goes on
    "spark.sql.legacy.setCommandRejectsSparkCoreConfs": "false",  # a read may change one
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


def run(folder: Path, master: str, *reads: dict[str, Any], **variables: str) -> tuple[list[Any], str]:
    """Run the driver program; what it printed about each read, and its stderr. Its events go to a folder."""
    (folder / "events").mkdir()
    events = {"enabled": "true", "dir": f"{folder}/events", "compress": "false"}
    conf = CONF | {f"spark.eventLog.{name}": value for name, value in events.items()}
    conf["spark.local.dir"] = f"{folder}/local"
    jobs = folder / "jobs.json"
    jobs.write_bytes(orjson.dumps({"master": master, "conf": conf, "reads": reads}))
    kept = ("PATH", "HOME", "JAVA_HOME", "TMPDIR")
    environ = {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        **variables,
    }
    command = [sys.executable, "-m", "tests.spark.driver", str(jobs)]
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = [orjson.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    work = Path(pyspark.__file__).parent / "work" / lines[0]["application"]
    shutil.rmtree(work, ignore_errors=True)  # what executors in processes of their own leave behind
    return [line["read"] for line in lines[1:]], ended.stderr


def in_order(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows as `expected` has them: partitions have no order, the rows of an account have."""
    found = [[one, date and str(date), *others] for one, date, *others in rows]
    return [[*row[:4], row[5]] for row in sorted(found, key=lambda row: row[5])]


def told(folder: Path) -> str:
    """All that Spark recorded of the application: plans, settings, tasks."""
    found = "".join(path.read_text() for path in (folder / "events").rglob("*") if path.is_file())
    assert "SparkListenerTaskEnd" in found
    return found


@pytest.fixture
def there() -> Iterator[Sandbox]:
    """A tenant with every outcome."""
    with tenant(accounts=180, hopeless=4, hopeless_statuses=(404,), quota=Quota(100, 6.0)) as sandbox:
        yield sandbox


def test_a_read_on_one_machine(there: Sandbox, tmp_path: Path) -> None:
    """Rows and outcomes are the truth, whatever the lanes; what cannot work is said in one sentence."""
    there.gateway.change_quota(None)
    given = {"ids": str(list_file(there, tmp_path)), "base_url": there.url, "quota": "none"}
    (good, shard, rdd, speculation), said = run(
        tmp_path,
        "local[2]",
        {"options": {**given, "api_version": "v2024,v2025,v2026"}},
        {"options": {**given, "shard": "1/2"}},
        {"options": given, "rdd": True},
        {"options": given, "conf": {"spark.speculation": "true"}},
        SAIL_CLIENT_ID="robot",
        SAIL_CLIENT_SECRET=SECRET,
    )
    assert in_order(good["rows"]) == expected(there)
    assert {row[3] for row in good["rows"]} == {"harvested", "empty", "unreported", "failed"}
    assert all(bool(row[4]) == (row[3] == "failed") and row[6] for row in good["rows"])
    assert "180 accounts on 3 lanes" in said
    assert "there are 3 lanes but 2 task slots" in said
    assert "shard: the list is split by lane already: leave it out" in shard["error"]
    assert "the settings of Spark are not known here" in rdd["error"]
    assert "spark.speculation is on" in speculation["error"]
    assert set(there.tally.asked.values()) == {1}  # the refused reads have sent nothing
    assert SECRET not in said + told(tmp_path)


def test_a_read_on_two_executors(there: Sandbox, tmp_path: Path) -> None:
    """A list in Parquet, a task that fails once: rows are the truth, and no window is overfilled.

    Clients may send all of a window at once, and the share of the one that fails fits into one: a retry that
    does not wait overfills it. The other has a quota of its own.
    """
    records = [orjson.loads(line) for line in list_file(there, tmp_path).read_bytes().splitlines()]
    (tmp_path / "list").mkdir()
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "list" / "part.parquet")
    options = {
        "ids": str(tmp_path / "list"),
        "base_url": there.url,
        "clients": str(clients_file(tmp_path)),
        "quota": "100/6s",
        "burst": "100",
    }
    job = {"options": options, "fail_once": True, "parquet": str(tmp_path / "table")}
    (ended,), said = run(tmp_path, "local-cluster[2,1,1024]", job, NORTH_KEY=SECRET)
    assert ended == {}
    assert "this task fails once" in said
    found = parquet.read_table(tmp_path / "table")
    assert in_order(row.values() for row in found.to_pylist()) == expected(there)
    assert there.tally.throttled == 0
    assert (
        60 <= sum(times > 1 for times in there.tally.asked.values()) <= 100
    )  # the share that was begun anew
    assert most_in_a_window(there, "north-1/v2024", 6.0) <= 100
    assert most_in_a_window(there, "south-1/v2024", 2.0) <= 45  # what was sent apart may arrive together
    assert SECRET not in said + told(tmp_path)
