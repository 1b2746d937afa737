"""The last thing a person sees of a run: a short table of figures, and the failures grouped by reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from harvester.report.figures import percent, plural, rate, size, span
from harvester.report.log import one_line
from harvester.report.months import named, unused_for
from harvester.report.reasons import meaning
from harvester.report.result import Report
from harvester.report.summary import activity_document
from harvester.report.tally import FailureGroup

_MOST_OUTPUTS = 5
_UNUSED_MONTHS = 3


class Figure(NamedTuple):
    """One line of the table: what, how many, and a remark."""

    label: str
    number: str
    remark: str = ""


class Group(NamedTuple):
    """The accounts that failed for one reason."""

    words: str
    number: str
    example: str
    mend: str


@dataclass(frozen=True, slots=True)
class Closing:
    """What is said at the end. All texts are one line each and hold no secret."""

    headline: str
    figures: list[Figure]
    groups: list[Group]
    advice: str
    good: bool

    def plain_lines(self) -> list[str]:
        """The closing where there is no terminal."""
        label = max(len(figure.label) for figure in self.figures)
        number = max(len(figure.number) for figure in self.figures)
        lines = [self.headline]
        lines += [
            f"  {figure.label:<{label}}  {figure.number:>{number}}  {figure.remark}".rstrip()
            for figure in self.figures
        ]
        lines += [f"  {line}" for line in self.group_lines()]
        return [*lines, self.advice] if self.advice else lines

    def group_lines(self) -> list[str]:
        """The failures by reason, where there is no room for a table of them."""
        lines: list[str] = []
        for group in self.groups:
            lines.append(f"{group.number} failed because: {group.words}, for example {group.example}")
            lines.append(f"  what to do: {group.mend}")
        return lines


def closing_of(report: Report, redact: Callable[[str], str]) -> Closing:
    """What is to be said of a run."""

    def safe(text: str) -> str:
        return redact(one_line(text))

    groups = sorted(report.tally.failures.items(), key=lambda item: -item[1].count)
    return Closing(
        headline=safe(headline(report)),
        figures=[Figure(f.label, f.number, safe(f.remark)) for f in _figures(report)],
        groups=[Group(*map(safe, _group(reason, group))) for reason, group in groups],
        advice=safe(_advice(report)),
        good=report.status == 0,
    )


def headline(report: Report) -> str:
    """How the run ended, in one sentence."""
    counts = report.counts
    if report.stop is not None:
        return f"Stopped after {span(report.seconds)}: {report.stop.problem}"
    if counts.failed:
        failed = plural(counts.failed, "account")
        return f"Finished in {span(report.seconds)}, but {failed} of {counts.distinct:,} failed"
    return f"All {plural(counts.distinct, 'account')} harvested in {span(report.seconds)}"


def _advice(report: Report) -> str:
    if report.stop is not None:
        return report.stop.mend[:1].upper() + report.stop.mend[1:]
    if report.counts.failed and report.failures:
        return f"To try the failed ones again, give {_near(report.failures)} as the list of another run"
    return ""


def _figures(report: Report) -> list[Figure]:
    return [
        *_account_figures(report),
        *_unused_figures(report),
        *_request_figures(report),
        *_output_figures(report),
    ]


def _account_figures(report: Report) -> list[Figure]:
    counts = report.counts
    failures = "" if report.failures is None or not counts.failed else f"in {_near(report.failures)}"
    optional = [
        ("failed", counts.failed, failures),
        ("not attempted", counts.not_attempted, "the same command goes on with them"),
        ("finished earlier", counts.finished_earlier, "by the run this one went on from"),
        ("repeated IDs", counts.repeated, "harvested once"),
    ]
    return [
        Figure("harvested", f"{counts.harvested:,}", plural(report.tally.rows, "row")),
        Figure("empty", f"{counts.empty:,}", "answered, but without usage"),
        *(Figure(label, f"{number:,}", remark) for label, number, remark in optional if number),
    ]


def _unused_figures(report: Report) -> list[Figure]:
    """What most people harvest for."""
    activity = activity_document(report)
    if activity is None or not activity["accounts"]:
        return []
    unused = unused_for(activity, _UNUSED_MONTHS)
    if unused.accounts is None:
        return []
    never = f", {activity['inactive']:,} of them none at all" if activity["inactive"] else ""
    return [Figure("unused", f"{unused.accounts:,}", f"no active day since {named(unused.since)}{never}")]


def _request_figures(report: Report) -> list[Figure]:
    tally = report.tally
    figures = [Figure("requests", f"{tally.requests:,}", _pace(report))]
    if tally.retries:
        figures.append(Figure("retried", f"{tally.retries:,}", _by_reason(tally.retries_by_reason)))
    if tally.throttled:
        seconds = tally.paused_seconds()
        paused = f", paused for {span(seconds)}" if seconds else ""
        figures.append(Figure("throttled", f"{tally.throttled:,}", f"answered 429{paused}"))
    if tally.outages:
        figures.append(Figure("outages", f"{tally.outages:,}", f"away for {span(tally.outage_total())}"))
    p50, p99 = tally.latency.quantile(0.50), tally.latency.quantile(0.99)
    if p50 is not None and p99 is not None:
        longest = f"99 % within {span(p99)}, longest {span(tally.latency.largest)}"
        figures.append(Figure("latency", span(p50), longest))
    return figures


def _pace(report: Report) -> str:
    tally = report.tally
    span_seconds = tally.last_request - (tally.first_request or tally.last_request)
    pace = [] if span_seconds < 1 else [rate(tally.granted / span_seconds)]
    share, quotas = report.quota_share, list(report.quotas.values())
    if share is not None:
        each = f"the quota {quotas[0]}" if len(quotas) == 1 else f"the quotas of {len(quotas)} clients"
        pace.append(f"{percent(min(share, 1.0))} of {each}")
    return ", ".join(pace)


def _near(path: str) -> str:
    """A path as it would be typed here: without the current folder."""
    return path.removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118  # a text, not a file


def _by_reason(counts: dict[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{number:,} {reason.replace('_', ' ')}" for reason, number in ranked)


def _output_figures(report: Report) -> list[Figure]:
    if len(report.outputs) > _MOST_OUTPUTS:
        total = size(sum(output.bytes for output in report.outputs))
        files = f"in {plural(len(report.outputs), 'file')} in {report.settings.output}"
        return [Figure("written", total, files)]
    return [Figure("written", size(output.bytes), output.name) for output in report.outputs]


def _group(reason: str, group: FailureGroup) -> tuple[str, str, str, str]:
    known = meaning(reason)
    detail = f" ({group.detail})" if group.detail else ""
    return known.words, f"{group.count:,}", f"{group.account_id}{detail}", known.mend
