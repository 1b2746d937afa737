"""From the lines of a closed part to the files that people get: partitions, Parquet, compression."""

from harvester.sink.finish.recipe import Recipe, recipe_for

__all__ = ["Recipe", "recipe_for"]
