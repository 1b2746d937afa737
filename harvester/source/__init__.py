"""Lists of accounts in: text, CSV and NDJSON, plain or compressed, from files, stdin and the API.

Whatever is wrong with a list is an InputError with its name and line.
"""

from harvester.source.ids import clean_id, in_shard, listed
from harvester.source.reader import listed_records, pumped, read_list

__all__ = ["clean_id", "in_shard", "listed", "listed_records", "pumped", "read_list"]
