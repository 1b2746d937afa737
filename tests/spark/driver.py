"""A program for Spark, as a user writes one; the tests start it, since a JVM goes with its process.

``driver.py JOBS``: a JSON file with `master`, `conf`, and `reads`, each of which has `options`, and perhaps
`conf` (of the session, for this read), `fail_once` (a task of the first lane fails when it has got rows),
`parquet` (where to write to), or `rdd` (the DataFrame is used as one). Prints a JSON line for each read, with
its rows or its error, and one with the application's ID.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import desc

from harvester.spark import AccountUsages


def failing_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Passes rows on; the first attempt of the first task fails with its second batch."""
    context = TaskContext.get()
    assert context is not None
    for number, batch in enumerate(batches):
        if number and context.partitionId() == 0 and context.attemptNumber() == 0:
            raise RuntimeError("this task fails once")
        yield batch


def rows_of(frame: DataFrame) -> list[list[Any]]:
    return [[str(value) if name == "date" and value else value for name, value in row.asDict().items()]
            for row in frame.collect()]  # fmt: skip


def read(spark: SparkSession, job: dict[str, Any]) -> dict[str, Any]:
    """What came of one read."""
    try:
        frame = spark.read.format("account_usages").options(**job["options"]).load()
        plan = frame._jdf.queryExecution().toString()
        if job.get("fail_once"):
            frame = frame.mapInArrow(failing_once, frame.schema)
        if job.get("rdd"):
            frame.rdd.count()
        if "parquet" in job:
            frame.write.parquet(job["parquet"])
            frame = spark.read.parquet(job["parquet"])
        return {"rows": rows_of(frame.orderBy("position", desc("date"))), "plan": plan}
    except PySparkException as error:
        return {"error": str(error)}


def say(**line: Any) -> None:
    sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")


def main() -> None:
    jobs = orjson.loads(Path(sys.argv[1]).read_bytes())
    builder = SparkSession.builder.master(jobs["master"])
    for name, value in jobs["conf"].items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    say(application=spark.sparkContext.applicationId)
    spark.dataSource.register(AccountUsages)
    for job in jobs["reads"]:
        for name, value in job.get("conf", {}).items():
            spark.conf.set(name, value)
        say(read=read(spark, job))
    spark.stop()


if __name__ == "__main__":
    main()
