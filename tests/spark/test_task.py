"""What a task does before, while and after it harvests its lane, without Spark around it."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvester.errors import AccessDenied, StoppedEarly, UsageError
from harvester.ledger import Entry
from harvester.model import AccountOutcome
from harvester.spark.data_source import AccountUsages
from harvester.spark.options import read_options
from harvester.spark.task import harvest_lane, record_batch, slots_of
from tests.spark.tenants import SECRET, clients_file, list_file, tenant


class Context:
    """Spark's TaskContext, as far as a task asks it."""

    def __init__(self, *, attempt: int = 0, partition: int = 0, **properties: Any) -> None:
        self._attempt = attempt
        self._partition = partition
        self._properties = {
            f"spark.{name.replace('_', '.')}": value for name, value in properties.items()
        } or {"spark.master": "local[8]"}

    def attemptNumber(self) -> int:  # noqa: N802
        return self._attempt

    def partitionId(self) -> int:  # noqa: N802
        return self._partition

    def getLocalProperty(self, name: str) -> str | None:  # noqa: N802
        return self._properties.get(name)


SLOTS: list[tuple[dict[str, Any], int | None]] = [
    ({"master": "local"}, 1),
    ({"master": "local[3]"}, 3),
    ({"master": "local[3,2]"}, 3),
    ({"master": "local-cluster[2,3,1024]"}, 6),
    ({"master": "local-cluster[2,3,1024]", "task_cpus": "2"}, 3),
    ({"master": "yarn", "executor_instances": "4", "executor_cores": "2"}, 8),
    ({"master": "spark://host:7077", "cores_max": "5"}, 5),
    ({"master": "yarn", "dynamicAllocation_enabled": "true", "dynamicAllocation_maxExecutors": "3"}, 3),
    ({"master": "yarn"}, None),
    ({"master": "spark://host:7077", "executor_instances": "4"}, None),
]


@pytest.mark.parametrize(("properties", "slots"), SLOTS, ids=str)
def test_slots_are_known_from_sparks_settings(properties: dict[str, Any], slots: int | None) -> None:
    """For each kind of cluster; where they say nothing, nothing is said."""
    context: Any = Context(**properties)
    assert slots_of(context) == slots


class Here:
    """A tenant, and the read of its list through two lanes."""

    def __init__(self, folder: Path, url: str, ids: Path, **options: str) -> None:
        given = {"ids": str(ids), "base_url": url, "clients": str(clients_file(folder)), **options}
        self.options = read_options(given)
        source = AccountUsages(given)
        self.partitions: list[Any] = list(source.reader(source.schema()).partitions())

    def rows(self, lane: int) -> list[dict[str, Any]]:
        """All rows of one lane."""
        share = self.partitions[lane]
        batches = harvest_lane(self.options, share.lane, share.accounts)
        return [row for batch in batches for row in batch.to_pylist()]


def test_a_retried_task_waits_a_window_of_its_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent: what the attempt before it sent may count that long. A first one does not."""
    monkeypatch.setenv("NORTH_KEY", SECRET)
    slept: list[float] = []
    with tenant(accounts=8) as sandbox:
        here = Here(tmp_path, sandbox.url, list_file(sandbox, tmp_path), quota="400/7s")

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            assert sandbox.tally.requests == 0

        monkeypatch.setattr("time.sleep", sleep)
        monkeypatch.setattr("pyspark.TaskContext.get", lambda: Context(attempt=1))
        assert here.rows(0)
        assert slept == [7.0]
        monkeypatch.setattr("pyspark.TaskContext.get", lambda: Context(attempt=0))
        assert here.rows(1)
        assert slept == [7.0]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (Context(master="yarn", speculation="true"), "spark.speculation is on"),
        (Context(sql_execution_id="7"), "the settings of Spark are not known here"),
    ],
    ids=["speculation", "rdd"],
)
def test_a_task_that_may_run_twice_at_a_time_is_refused(
    context: Context, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, before anything is sent."""
    monkeypatch.setenv("NORTH_KEY", SECRET)
    monkeypatch.setattr("pyspark.TaskContext.get", lambda: context)
    with tenant(accounts=8) as sandbox:
        here = Here(tmp_path, sandbox.url, list_file(sandbox, tmp_path))
        with pytest.raises(UsageError, match=message):
            here.rows(0)
        assert sandbox.tally.requests == 0


def test_more_lanes_than_slots_are_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the first task; nothing is said where there are enough."""
    monkeypatch.setenv("NORTH_KEY", SECRET)
    with tenant(accounts=8) as sandbox:
        here = Here(tmp_path, sandbox.url, list_file(sandbox, tmp_path))
        for partition, master in ((0, "local[1]"), (1, "local[1]"), (0, "local[2]")):
            monkeypatch.setattr(
                "pyspark.TaskContext.get", lambda p=partition, m=master: Context(partition=p, master=m)
            )
            here.rows(1)
    assert capsys.readouterr().err.count("there are 2 lanes but 1 task slot: the other") == 1


def test_an_account_without_rows_has_a_row_of_its_own() -> None:
    """Types are Spark's; a time of day is cut off, and a count may be written as 17.0 or be missing."""

    def entry(position: int, outcome: AccountOutcome, rows: bytes | None, reason: str | None = None) -> Entry:
        count = len(orjson.loads(rows or b"[]"))
        kept = orjson.dumps({"position": 10 * position})
        return Entry(position, f"id-{position}", outcome, rows, count, 1.5, None, None, None, kept, reason)

    rows = (
        b'[{"date":"2026-10-01T00:00:00Z","count":17.0},\n{"date":"2026-09-01","count":9223372036854775808},\n'
        b'{"count":3,"new":"x"}]'
    )
    batch = record_batch(
        [
            entry(0, AccountOutcome.HARVESTED, rows),
            entry(1, AccountOutcome.EMPTY, b"[]"),
            entry(2, AccountOutcome.UNREPORTED, None),
            entry(3, AccountOutcome.FAILED, None, "not_found"),
        ]
    )
    at = datetime.fromtimestamp(1.5, UTC)
    assert [tuple(row.values()) for row in batch.to_pylist()] == [
        ("id-0", date(2026, 10, 1), 17, "harvested", None, 0, at),
        ("id-0", date(2026, 9, 1), None, "harvested", None, 0, at),
        ("id-0", None, 3, "harvested", None, 0, at),
        ("id-1", None, None, "empty", None, 10, at),
        ("id-2", None, None, "unreported", None, 20, at),
        ("id-3", None, None, "failed", "not_found", 30, at),
    ]


def test_whoever_wants_no_more_rows_ends_the_harvest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `LIMIT` does: no thread and no file is left, and the rest of the list is not requested."""
    monkeypatch.setenv("NORTH_KEY", SECRET)
    local = tmp_path / "local"
    local.mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(local))
    with tenant(accounts=2000) as sandbox:
        here = Here(tmp_path, sandbox.url, list_file(sandbox, tmp_path), quota="400/1s")
        share = here.partitions[0]
        batches = harvest_lane(here.options, share.lane, share.accounts)
        next(batches)
        assert [path.name[:10] for path in local.iterdir()] == ["harvester-"]
        batches.close()  # type: ignore[attr-defined]
        assert sandbox.tally.usages < 1000
    assert list(local.iterdir()) == []
    assert "harvester" not in [thread.name for thread in threading.enumerate()]


def test_a_version_that_is_not_served_fails_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its accounts have no other lane there; those of the version that is served are harvested."""
    monkeypatch.setenv("NORTH_KEY", SECRET)
    with tenant(accounts=1200, versions=("v2024",)) as sandbox:
        ids = list_file(sandbox, tmp_path)
        here = Here(tmp_path, sandbox.url, ids, api_version="v2024,v2026", quota="800/2s")
        assert here.rows(0)
        with pytest.raises(StoppedEarly, match="none of the first 100 accounts"):
            here.rows(1)


def test_a_lane_that_is_refused_fails_its_task_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made of it but the error; the rows of a list must not be missing silently."""
    monkeypatch.setenv("NORTH_KEY", "wrong")
    with tenant(accounts=50) as sandbox:
        here = Here(tmp_path, sandbox.url, list_file(sandbox, tmp_path))
        with pytest.raises(AccessDenied) as caught:
            here.rows(0)
    assert "wrong" not in str(caught.value)
    assert logging.getLogger("harvester").propagate  # logging is as it was
