"""Account IDs in: text, CSV and NDJSON, plain or compressed, from files and stdin, whole or by shards."""

from harvester.source.reading import read_ids
from harvester.source.shards import in_shard

__all__ = ["in_shard", "read_ids"]
