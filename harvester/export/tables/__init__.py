"""Outputs that are tables: Delta, Iceberg, PostgreSQL. A harvest is merged into them in one commit.

A table has a row for each account and month, with the columns ``accountId``, ``date``, ``count``, ``month``
(``YYYY-MM``, by which lakes are partitioned), those of ``--columns``, and one for each other property that
the API has returned so far. The rows of accounts that a harvest has answers for become exactly what it
found; a month that the API does not return any more stays, and so does every other account. Whether a row
differs is judged without ``--columns``: they say when and by which run its values were first found.
"""
