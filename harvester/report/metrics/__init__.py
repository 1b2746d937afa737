"""Metrics for Prometheus: `families` makes them of the tally, `exposition` their text, `keeping` shows it."""

from harvester.report.metrics.keeping import metrics_kept

__all__ = ["metrics_kept"]
