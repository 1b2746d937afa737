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
from pyspark.sql import SparkSession

from harvester.spark import AccountUsages


def failing_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Passes rows on; the first attempt of the first task fails with its second batch."""
    context = TaskContext.get()
    assert context is not None
    for number, batch in enumerate(batches):
        if number and context.partitionId() == 0 and context.attemptNumber() == 0:
            raise RuntimeError("this task fails once")
        yield batch


def read(spark: SparkSession, job: dict[str, Any]) -> dict[str, Any]:
    """What came of one read."""
    try:
        frame = spark.read.format("account_usages").options(**job["options"]).load()
        if job.get("fail_once"):
            frame = frame.mapInArrow(failing_once, frame.schema)
        if "parquet" in job:
            frame.write.parquet(job["parquet"])
            return {}
        return {"rows": [[*row] for row in (frame.rdd if job.get("rdd") else frame).collect()]}
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
