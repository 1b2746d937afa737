"""What a run did over time: few samples, however long it takes."""

from __future__ import annotations

from typing import Final, NamedTuple

_MOST_SAMPLES: Final = 180
"""As many as a chart can show; even, as thinning keeps every second one. 64 s apart after three hours."""


class Sample(NamedTuple):
    """Totals since the run began. `granted` is as in `LaneFigures`; `paused` is in seconds."""

    requests: int = 0
    granted: int = 0
    throttled: int = 0
    settled: int = 0
    failed: int = 0
    rows: int = 0
    paused: float = 0.0


class Timeline:
    """Samples at `step`, `2·step`, … seconds after the start; `due` is when the next one must be taken."""

    __slots__ = ("due", "samples", "step")

    def __init__(self, step: float = 1.0) -> None:
        self.step = step
        self.due = step
        self.samples: list[Sample] = []

    def __repr__(self) -> str:
        return f"<Timeline {len(self.samples)} samples, {self.step:g} s apart>"

    def add(self, sample: Sample) -> None:
        """Add the sample that is due; the next one is due a step later."""
        self.samples.append(sample)
        if len(self.samples) == _MOST_SAMPLES:
            # The k-th sample belongs to time k·step, counted from 1: the even ones stay.
            self.samples = self.samples[1::2]
            self.step *= 2
        self.due = (len(self.samples) + 1) * self.step

    def increments(self, last: Sample) -> list[Sample]:
        """What each step added, and what the unfinished one did until `last`."""
        ends = [*self.samples, last]
        return [
            Sample._make(after - before for before, after in zip(begin, end, strict=True))
            for begin, end in zip([Sample(), *ends[:-1]], ends, strict=True)
        ]
