"""Metrics as text, by Prometheus' own library: imported here only, and only when metrics are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harvester.report.metrics.families import RunMetrics

_LAST_SUCCESS = "harvester_last_success_timestamp_seconds"


class _Collector:
    """The families as the library wants them."""

    def __init__(self, run: RunMetrics) -> None:
        self._run = run

    def collect(self) -> Iterator[Any]:
        """Each family that has a sample."""
        from prometheus_client.core import Metric  # noqa: PLC0415  # slow to import, and seldom wanted

        for family in self._run.families():
            metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
            for sample in family.samples:
                labels = {"harvest": self._run.harvest, **sample.labels}
                metric.add_sample(family.name + sample.suffix, labels, sample.value)
            if metric.samples:
                yield metric


def text_of(run: RunMetrics, accept: str = "") -> tuple[bytes, str]:
    """The run in the format that `accept` asks for, else the classic one, and its content type."""
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415  # as above

    encode, content_type = choose_encoder(accept)
    return encode(_Collector(run)), content_type


def last_success_in(path: Path) -> float | None:
    """When a run last succeeded, as the file says that the one before has left; None where it does not."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  # as above

    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # none yet, or not ours
        return None
    values = [one.value for family in families for one in family.samples if one.name == _LAST_SUCCESS]
    return values[0] if values else None
