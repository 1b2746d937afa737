"""The data source as Spark sees it: its name, its schema, its partitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from harvester.errors import UsageError
from harvester.report.log import LOGGER, logging_to
from harvester.report.text import plural
from harvester.spark.accounts import accounts_of, shares
from harvester.spark.options import Lane, ReadOptions, read_options
from harvester.spark.task import SCHEMA, harvest_lane, scratch

_SCHEMA: Final = from_arrow_schema(SCHEMA)


class AccountUsages(DataSource):
    """The usage rows of a list of accounts, and the outcome of each account.

    An account has its rows, or one row without date and count; `outcome` is harvested, empty, unreported or
    failed, and `reason` says why it failed. The options are in docs/lake.md.
    """

    @classmethod
    def name(cls) -> str:
        """What `format` calls it."""
        return "account_usages"

    def schema(self) -> StructType:
        """The columns. Spark asks for them first, so what is wrong with an option is said here.

        Raises:
            SettingError: an option is unknown, missing, or not accepted.
        """
        read_options(dict(self.options))
        return _SCHEMA

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader of all lanes.

        Raises:
            SettingError: as `schema`; UsageError: another schema was given.
        """
        if schema != _SCHEMA:
            raise UsageError("the columns are given: account_usages has a schema of its own", "leave it out")
        return UsageReader(read_options(dict(self.options)))


@dataclass(frozen=True)
class LaneShare(InputPartition):
    """A lane and its accounts, packed."""

    lane: Lane
    accounts: bytes


class UsageReader(DataSourceReader):
    """Splits the list in the driver and harvests a lane in each task."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options

    def partitions(self) -> list[InputPartition]:
        """One for each lane that gets an account.

        Raises:
            UsageError: the list cannot be read.
        """
        options, settings = self._options, self._options.settings
        ids = accounts_of(options.ids, settings.get("input_format", "auto"), settings.get("id_field"))
        found = shares(ids, [lane.quota for lane in options.lanes], scratch())
        partitions: list[InputPartition] = [
            LaneShare(lane, packed)
            for lane, (count, packed) in zip(options.lanes, found, strict=True)
            if count
        ]
        with logging_to():
            LOGGER.info(
                "%s accounts on %s: a task for each, all at the same time if there are that many slots",
                f"{sum(count for count, _ in found):,}",
                plural(len(partitions), "lane"),
            )
        return partitions

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one lane; none where the list is empty, for which Spark makes a partition up."""
        if isinstance(partition, LaneShare):
            yield from harvest_lane(self._options, partition.lane, partition.accounts)
