"""The Spark data source `account_usages`: harvester's own engine in each partition, a lane per partition.

::

    spark.dataSource.register(AccountUsages)
    spark.read.format("account_usages").option("ids", "ids.txt").option("clients", "clients.toml").load()

::

    options       what was asked for, checked in the driver: settings and lanes
    accounts      the list, read in the driver, and each lane's share of it
    data_source   what Spark sees: the schema, the partitions
    task          what a task does in an executor: it harvests one lane and hands over its rows

Secrets are named in the driver and read in the executors.
"""

from harvester.spark.data_source import AccountUsages

__all__ = ["AccountUsages"]
