"""The README's reference of metrics, log events and errors, read from the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from harvester import errors
from harvester.events import ClientDropped, RateChanged
from harvester.model import Quota
from harvester.report import event_log
from harvester.report.metrics.families import RunMetrics, Sample
from tests.report.samples import Run

ROOT = Path(__file__).parents[2]


# --- metrics


def metrics_page() -> str:
    """Every metric, with its type, labels and meaning."""
    run = Run()
    for reason in (None, "server_error"):
        run.request(reason=reason)
    run.retry()
    run.account(0, name="id1", reason="not_found")
    for event in (RateChanged("a", 1.0), ClientDropped("a", "401")):
        run.tally.observe(event)
    metrics = RunMetrics("nightly", run.tally, {"a": Quota(100, 10.0)}, lambda: 0, 0.0, _ABOUT, 0.0)
    metrics.end(0, 0.0)
    rows = [
        f"| `{family.name}` | {family.kind} | {_labels(family.samples)} | {family.help} |"
        for family in metrics.families()
    ]
    return "\n".join([_METRICS_INTRODUCTION, *rows])


def _labels(samples: Sequence[Sample]) -> str:
    names = dict.fromkeys(label for sample in samples for label in sample.labels)
    return " ".join(f"`{name}`" for name in names)


_ABOUT = dict.fromkeys(("version", "tenant", "api_version", "output", "shard"), "")

_METRICS_INTRODUCTION = """\
`harvester run --metrics FILE.prom` writes these at the beginning, every 15 seconds and at the end, for
node_exporter's textfile collector; `--metrics-port N` serves them at `/metrics` while the run goes on. Each
has the label `harvest`, the file's name without its suffix, which sets the jobs of one machine apart.
Counters begin anew with each run; only `harvester_last_success_timestamp_seconds` is carried over from the
file of the run before. What has no value yet (a reason that never occurred) is absent.
`config/prometheus-alerts.yml` has alerts on them.

| metric | type | labels | meaning |
| --- | --- | --- | --- |"""


# --- the log


def log_page() -> str:
    """Every event of the log: the table at the head of `report.event_log`, as it stands."""
    _, _, rest = (inspect.getdoc(event_log) or "").partition("\n\n")
    return f"{_LOG_INTRODUCTION}\n{rest}"


_LOG_INTRODUCTION = """\
With `--log-format json` each line on stderr is one object: `time` (RFC 3339, UTC), `level` (`debug`, `info`,
`warning`, `error`), `event`, `message` (for people; it may change), and the event's own fields. Names and
fields of events are stable. Lines of libraries have the event `log` and the field `logger`.
"""


# --- errors


class Said(NamedTuple):
    """One place that raises an error: its exit status (empty: no end of the run), message and mend."""

    status: str
    kind: str
    problem: str
    mend: str


@lru_cache
def errors_page() -> str:
    """Every error that the program can end with, as the code has it; ‹…› stands for what differs."""
    found = sorted({one for path in sorted((ROOT / "harvester").rglob("*.py")) for one in _said_in(path)})
    lines = [_ERRORS_INTRODUCTION]
    for status in sorted({one.status for one in found}):
        lines += [f"\n**{_TITLES[status]}**\n", "| message | what to do |", "| --- | --- |"]
        lines += [f"| {_cell(one.problem)} | {_cell(one.mend)} |" for one in found if one.status == status]
    return "\n".join(lines)


_ERRORS_INTRODUCTION = """\
Each error is one sentence on stderr: what is wrong, where, and what to do about it. ‹…› stands for a name, a
number or a reason. With `--log-format json` it is the event `error` with `status`, `problem` and `mend`.
What can happen to a single account, while the others go on, is in the failures file and under `reason` in the
summary: see the table of reasons in the README."""

_TITLES = {
    "1": "Status 1: a bug",
    "2": "Status 2: wrong usage or configuration, nothing was written",
    "4": "Status 4: not authenticated or not authorised",
    "5": "Status 5, and 130/143 for a signal: stopped early, the same command goes on from there",
}

_STATUS = {
    name: str(kind.exit_status)
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.StopRun)
}
_STATUS |= {"Interrupted": "5", "BadValue": "2", "Complaint": "2"}  # the last two become SettingFaults
del _STATUS["ClosedPipe"]  # ends without a word
_SUBJECT_FIRST = {"SettingFault", "InputFault", "Complaint"}
_DEEPEST = 3
"""How far a name is followed to the text that it was given."""


def _said_in(path: Path) -> Iterator[Said]:
    """The errors made in one file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            local = dict(constants)
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    local[node.targets[0].id] = node.value
            yield from (said for node in ast.walk(function) if (said := _said(node, local)) is not None)


def _said(node: ast.AST, names: dict[str, ast.expr]) -> Said | None:
    """The error that this call makes, if it makes one with words of its own."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _STATUS):
        return None
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        return None
    kind = node.func.id
    texts = [_text(argument, names) for argument in node.args][kind == "Interrupted" :]
    if kind in _SUBJECT_FIRST and len(texts) > 1:
        line = ":‹line›" if any(one.arg == "line" for one in node.keywords) else ""
        texts = [f"{texts[0]}{line}: {texts[1]}", *texts[2:]]
    elif kind == "BadValue":
        if texts[1:] == [""]:
            return None  # a note about a place that was looked at
        texts[0] = f"‹setting›: ‹value› {texts[0]}"
    if not texts or not re.search(r"\w", re.sub(r"‹.*?›", "", texts[0].removeprefix("‹setting›: "))):
        return None  # only hands on what another one says
    return Said(_STATUS[kind], kind, texts[0], texts[1] if len(texts) > 1 else "")


def _text(node: ast.expr, names: dict[str, ast.expr], depth: int = 0) -> str:
    """A text as it will read; what is only known when it runs is named in ‹›."""
    parts: list[ast.expr] = []
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=values):
            parts = values
        case ast.FormattedValue(value=value):
            parts = [value]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [left, right]
        case ast.IfExp(body=body, orelse=orelse):
            return " / ".join(text for one in (body, orelse) if (text := _text(one, names, depth)))
        case ast.Name(id=name) if name in names and depth < _DEEPEST:
            return _text(names[name], {k: v for k, v in names.items() if k != name}, depth + 1)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return f"‹{name.strip('_').lower().replace('_', ' ')}›"
        case _:
            return "‹…›"
    return "".join(_text(part, names, depth) for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
