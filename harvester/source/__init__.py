"""Account IDs in: text, CSV and NDJSON, plain or compressed, from files and stdin, whole or by shards."""

from harvester.source.reading import ids_of, read_ids
from harvester.source.shards import in_shard

__all__ = ["ids_of", "in_shard", "read_ids"]
