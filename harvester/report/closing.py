"""The last lines of a run: failures by reason, a short table of figures, how it ended, what to do next.

How it ended comes at the end, where it is still on the screen, and everything is bounded: the whole fits
a terminal of 80 by 24, however many reasons there are and however long they are.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import ERROR, INFO, WARNING
from typing import Any, Final, Literal, NamedTuple

from harvester.errors import RESUMABLE, ClosedPipe, Interrupted
from harvester.report.log import Lines, say
from harvester.report.reasons import meaning
from harvester.report.summary import Report, summary_document
from harvester.report.text import cut, percent, plural, rate, safe, size, span, wrap

_MOST_REASONS: Final = 3
_MOST_LINES_EACH: Final = 2
_WIDEST: Final = 110
_ANY_WIDTH: Final = 1000
"""Where there is no terminal, lines are not wrapped; a detail of the tenant can still be very long."""
_INDENT: Final = 2
_MORE: Final = " …"
_LISTS: Final = frozenset({"timeline", "outputs"})
"""Keys of the summary that are too long for a log line."""
_LEVELS: Final = {0: INFO, 141: INFO} | dict.fromkeys((3, 5, 129, 130, 143), WARNING)


class Figure(NamedTuple):
    """One line of the table: what, how many, and a remark."""

    label: str
    number: str
    remark: str = ""


class Group(NamedTuple):
    """The accounts that failed for one reason."""

    number: str
    words: str
    example: str
    advice: str


@dataclass(frozen=True, slots=True)
class Closing:
    """What is said at the end. Every text is one line, safe to show and without secrets."""

    groups: Sequence[Group]
    """The most frequent reasons first, all of them."""
    figures: Sequence[Figure]
    headline: str
    advice: str
    status: int

    def lines(self, width: int | None = None) -> list[str]:
        """The closing for a terminal of `width` columns (None: none), wrapped between words only."""
        last = [line for text in (self.headline, self.advice) if text for line in wrap(text, width, _INDENT)]
        return [*self._group_lines(width), *self._figure_lines(width), *last]

    def _group_lines(self, width: int | None) -> list[str]:
        lines: list[str] = []
        for group in self.groups[:_MOST_REASONS]:
            failed = f"{group.number} failed: {group.words}, for example {group.example}"
            lines += _at_most(failed, _MOST_LINES_EACH, width, 2 * _INDENT)
            lines += _at_most(f"  {group.advice}", 1, width, 2 * _INDENT)
        more = len(self.groups) - _MOST_REASONS
        return [*lines, f"{plural(more, 'more reason')} in the summary"] if more > 0 else lines

    def _figure_lines(self, width: int | None) -> list[str]:
        label = max(len(figure.label) for figure in self.figures)
        number = max(len(figure.number) for figure in self.figures)
        lines = (f"  {f.label:<{label}}  {f.number:>{number}}  {f.remark}".rstrip() for f in self.figures)
        return [cut(line, width or _ANY_WIDTH) for line in lines]


def _at_most(text: str, lines: int, width: int | None, indent: int) -> list[str]:
    """`text` wrapped into at most so many lines; the last one shows that there was more."""
    wrapped = wrap(text, width and width - len(_MORE), indent)
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1] + _MORE]
    return [cut(line, width or _ANY_WIDTH) for line in wrapped]


def show_closing(
    report: Report, lines: Lines, *, log_format: Literal["text", "json"] = "text", verbosity: int = 0
) -> None:
    """Write the end of a run to the log's stream: as text, or as one JSON line.

    With `-q`, only why a run ended early is written, and a JSON line that is a warning or an error. Whoever
    closed stdout has seen enough: nothing is written as text.
    """
    summary = summary_document(report)
    if log_format == "json":
        fields = {key: value for key, value in summary.items() if key not in _LISTS}
        say(_LEVELS.get(report.status, ERROR), "run_ended", headline(summary), **fields)
        return
    if isinstance(report.stop, ClosedPipe):
        return
    closing = closing_of(summary, lines.redact)
    width = lines.width
    if verbosity >= 0:
        lines.write("\n".join(closing.lines(None if width is None else min(width, _WIDEST))))
    elif report.stop is not None:
        lines.write("\n".join(filter(None, (closing.headline, closing.advice))))


def closing_of(summary: Mapping[str, Any], redact: Callable[[str], str] = str) -> Closing:
    """What there is to say about a run, from its summary (see `summary`)."""

    def shown(text: str) -> str:
        return redact(safe(text))

    counts = summary["counts"]
    answered = counts["harvested"] + counts["empty"] + counts["unreported"] > 0
    groups = []
    for reason, group in sorted(summary["failuresByReason"].items(), key=lambda item: -item[1]["count"]):
        known, detail = meaning(reason), group["detail"]
        example = f"{group['accountId']} ({detail})" if detail else group["accountId"]
        advice = known.advice(others_answered=answered)
        groups.append(Group(f"{group['count']:,}", shown(known.words), shown(example), shown(advice)))
    figures = [*_account_figures(summary), *_request_figures(summary), *_output_figures(summary)]
    return Closing(
        groups=groups,
        figures=[figure._replace(remark=shown(figure.remark)) for figure in figures],
        headline=shown(headline(summary)),
        advice=shown(_advice(summary)),
        status=summary["status"],
    )


def headline(summary: Mapping[str, Any]) -> str:
    """How the run ended, in one sentence."""
    counts, stop, took = summary["counts"], summary["stop"], span(summary["seconds"])
    if stop and stop["error"] == Interrupted.__name__:
        left = plural(counts["notAttempted"], "account")
        name = signal.Signals(summary["status"] - 128).name
        return f"Interrupted by {name} after {took}: {left} not attempted"
    if stop:
        return f"Stopped after {took}: {stop['problem']}"
    if counts["failed"]:
        return f"Finished in {took}: {counts['failed']:,} of {plural(counts['distinct'], 'account')} failed"
    return f"Harvested {plural(counts['distinct'], 'account')} in {took}"


def _advice(summary: Mapping[str, Any]) -> str:
    counts, ledger, failures = summary["counts"], summary["ledger"], summary["failures"]
    if summary["stop"]:
        hint: str = summary["stop"]["hint"]
        if hint == RESUMABLE and not ledger:
            hint = "nothing is kept of this harvest: to be able to continue one, add --ledger FILE"
        return hint[:1].upper() + hint[1:]
    if counts["failed"] and ledger:
        return "To retry the failed accounts, run the same command with --retry-failed"
    if counts["failed"] and failures:
        return f"To retry the failed accounts, give {_near(failures)} as the list of another run"
    if counts["harvested"] and ledger:
        return f"To see which accounts nobody uses: harvester unused {_near(ledger)}"
    return ""


def _account_figures(summary: Mapping[str, Any]) -> list[Figure]:
    counts, failures = summary["counts"], summary["failures"]
    optional = [
        ("unreported", counts["unreported"], "their sources report no usage"),
        ("failed", counts["failed"], f"in {_near(failures)}" if failures else ""),
        ("not attempted", counts["notAttempted"], "the same command continues with them"),
        ("settled earlier", summary["settledEarlier"], "by an earlier run of this harvest"),
        ("repeated IDs", summary["repeated"], "harvested once"),
    ]
    return [
        Figure("harvested", f"{counts['harvested']:,}", plural(summary["rows"], "row")),
        Figure("empty", f"{counts['empty']:,}", "answered, without usage"),
        *(Figure(label, f"{number:,}", remark) for label, number, remark in optional if number),
    ]


def _request_figures(summary: Mapping[str, Any]) -> list[Figure]:
    latency, paused = summary["latencySeconds"], summary["secondsPaused"]
    throttled = f"answered with 429, paused for {span(paused)}" if paused else "answered with 429"
    outages = f"tenant not reachable for {span(summary['secondsOfOutage'])}"
    figures = [Figure("requests", f"{summary['requests']:,}", _pace(summary))]
    if summary["retries"]:
        reasons = Counter(summary["retriesByReason"]).most_common()
        remark = ", ".join(f"{number:,} {reason.replace('_', ' ')}" for reason, number in reasons)
        figures.append(Figure("retried", f"{summary['retries']:,}", remark))
    if summary["throttled"] or paused:
        figures.append(Figure("throttled", f"{summary['throttled']:,}", throttled))
    if summary["outages"]:
        figures.append(Figure("outages", f"{summary['outages']:,}", outages))
    if latency:
        remark = f"99% within {span(latency['p99'])}, longest {span(latency['max'])}"
        figures.append(Figure("latency", span(latency["p50"]), remark))
    return figures


def _pace(summary: Mapping[str, Any]) -> str:
    per_second, share = summary["grantedPerSecond"], summary["quotaShare"]
    pace = [] if per_second is None else [rate(per_second)]
    if share is not None:
        # a lane without one is not the harvest's: managers were read through it
        quotas = [quota for lane in summary["lanes"].values() if (quota := lane["quota"])]
        each = f"the quota {quotas[0]}" if len(quotas) == 1 else f"the quotas of {len(quotas)} lanes"
        pace.append(f"{percent(min(share, 1.0))} of {each}")
    return ", ".join(pace)


def _output_figures(summary: Mapping[str, Any]) -> list[Figure]:
    outputs, changes = summary["outputs"], summary.get("changes")
    figures = []
    if changes is not None:
        remark = f"rows since the last harvest; {changes['new']:,} new, {changes['gone']:,} gone"
        figures.append(Figure("changed", f"{changes['changed']:,}", remark))
    if len(outputs) > 1:
        where = f"in {plural(len(outputs), 'file')} in {_near(summary['output'])}"
        figures.append(Figure("written", size(summary["bytesWritten"]), where))
    for output in outputs if len(outputs) == 1 else ():
        # A table has no bytes of its own: what counts are the rows that were new or changed.
        written = size(output["bytes"]) if output["sha256"] else plural(output["rows"], "row")
        figures.append(Figure("written", written, _near(output["name"])))
    return figures


def _near(path: str) -> str:
    """A path as it would be typed here: without the current directory."""
    try:
        here = os.getcwd()  # noqa: PTH109  # a text, not a file
    except OSError:  # removed meanwhile
        return path
    return path.removeprefix(os.path.join(here, ""))  # noqa: PTH118  # as above
