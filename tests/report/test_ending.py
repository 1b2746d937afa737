"""The end of a run is told in full, adds up, and holds no secret."""

from __future__ import annotations

import io
import json
import re
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import ClosedPipe, InternalFault, OutputFault, StoppedEarly
from harvester.ledger.records import Proof, Tally
from harvester.model import Quota, Reason
from harvester.report import summary
from harvester.report.closing import closing_of
from harvester.report.ending import show_closing
from harvester.report.figures import percent, plural, rate, size, span
from harvester.report.log import logging_to
from harvester.report.reasons import meaning
from harvester.report.redaction import MASK, Redactor
from harvester.report.result import Counts, Report
from harvester.report.summary import summary_document, summary_json, write_summary
from harvester.sink.activity import Activity
from tests.report.samples import BEGAN, Counted, Run, a_report, a_troubled_report


def ended(report: Report, *, log_format: str = "text") -> str:
    """What the end of `report` puts on stderr where that is no terminal."""
    stream = io.StringIO()
    redact = Redactor.of(report.settings.clients)
    with logging_to(stream, log_format=log_format, redact=redact) as lines:  # type: ignore[arg-type]  # a str
        show_closing(report, lines, stderr=stream)
    return stream.getvalue()


def test_every_key_of_the_summary_is_documented() -> None:
    """The table at the head of the module names each key, and no other."""
    keys = re.findall(r"^\| ((?:`\w+` ?)+)\|", summary.__doc__ or "", flags=re.MULTILINE)
    assert [key for group in keys for key in re.findall(r"\w+", group)] == list(
        summary_document(a_troubled_report())
    )


def test_the_summary_has_every_figure() -> None:
    """Counts, traffic, trouble and outputs stand in the document as they were."""
    document = summary_document(a_troubled_report())
    assert document["counts"] == {
        "distinct": 5,
        "repeated": 1,
        "harvested": 2,
        "empty": 1,
        "failed": 2,
        "notAttempted": 0,
        "finishedEarlier": 0,
    }
    assert document["unsuccessfulByReason"] == {"server_error": 1, "throttled": 1, "not_found": 1}
    assert (document["start"], document["end"]) == ("2026-08-01T12:00:00.000Z", "2026-08-01T12:00:24.000Z")
    assert (document["tenant"], document["status"], document["stop"]) == ("acme.api.identitynow.com", 3, None)
    assert document["quotaShare"] == round(5 / 200, 4)
    assert document["latencySeconds"].keys() == {"p50", "p90", "p95", "p99", "max"}
    assert document["failuresByReason"]["server_error"]["accountId"] == "id5"
    assert document["outputs"][0] == {
        "name": "usages.ndjson",
        "rows": 24,
        "accounts": 2,
        "bytes": 4321,
        "sha256": "ab" * 32,
    }
    assert sum(document["timeline"]["requests"]) == document["requests"] == 6


def test_a_summary_of_nothing_is_whole_too() -> None:
    """A run that stopped before its first request has a summary with every key."""
    report = a_report(
        Run(), Counted(distinct=3), status=5, stop=StoppedEarly("the deadline has come", "run it again")
    )
    document = summary_document(report)
    assert document.keys() == summary_document(a_troubled_report()).keys()
    assert document["stop"] == {
        "error": "StoppedEarly",
        "problem": "the deadline has come",
        "mend": "run it again",
    }
    assert (document["latencySeconds"], document["quotaShare"]) == (None, None)
    assert not report.complete


def test_the_proof_of_a_whole_output_is_in_the_summary() -> None:
    """What `verify` needs to prove that exactly the list was harvested."""
    part = Tally(1, "ff")
    report = a_troubled_report()
    with_proof = Report(
        **{n: getattr(report, n) for n in Report.__slots__ if n != "proof"},
        proof=Proof(part, part, part, part),
    )
    assert summary_document(with_proof)["accounts"]["distinct"] == {"count": 1, "digest": "ff"}


def test_a_written_summary_is_private_whole_and_one_key_a_line(tmp_path: Path) -> None:
    """The file is JSON with a line a key, readable by its owner only, and replaces the one before."""
    path = tmp_path / "usages.ndjson.summary.json"
    path.write_text("the one before")
    report = a_troubled_report()
    write_summary(path, report)
    assert json.loads(path.read_text()) == json.loads(summary_json(report))
    assert len(path.read_text().splitlines()) == len(summary_document(report)) + 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_summary_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A missing folder is one sentence with the path and the setting; nothing is left behind."""
    with pytest.raises(OutputFault, match=r"s\.json: the summary can't be written .*--summary"):
        write_summary(tmp_path / "missing" / "s.json", a_troubled_report())
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputFault, match="taken"):
        write_summary(tmp_path / "taken", a_troubled_report())
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_summary_can_go_to_a_device() -> None:
    """A device is written to, not replaced by a file."""
    write_summary(Path("/dev/null"), a_troubled_report())
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


numbers = st.integers(0, 1000)


@given(numbers, numbers, numbers, numbers, numbers)
def test_counts_add_up_to_the_list(
    harvested: int, empty: int, failed: int, earlier: int, missing: int
) -> None:
    """Each distinct account is in exactly one count, and a complete harvest leaves none out."""
    run = Run()
    run.tally.settled, run.tally.empty, run.tally.failed = harvested + empty + failed, empty, failed
    distinct = harvested + empty + failed + earlier + missing
    counts = Counts.of(Counted(distinct, 0, earlier, harvested, empty, failed, 0))
    assert counts.not_attempted == missing
    counts.check(run.tally, complete=False)
    if missing:
        with pytest.raises(InternalFault, match="never asked for"):
            counts.check(run.tally, complete=True)
    else:
        counts.check(run.tally, complete=True)


@pytest.mark.parametrize(
    ("counted", "problem"),
    [
        (Counted(distinct=4, harvested=3, failed=2), "more accounts ended than there are"),
        (
            Counted(distinct=5, harvested=3, empty=1, failed=1),
            "the engine had 2 with rows, 1 without, 2 failed",
        ),
        (
            Counted(distinct=5, harvested=2, empty=2, failed=1),
            "the engine had 2 with rows, 1 without, 2 failed",
        ),
    ],
)
def test_counts_that_contradict_each_other_are_a_bug(counted: Counted, problem: str) -> None:
    """A writer and an engine that disagree end the run with a fault, not with a summary."""
    with pytest.raises(InternalFault, match=f"don't add up: {problem}"):
        Counts.of(counted).check(a_troubled_report().tally, complete=True)


def test_the_closing_elsewhere_is_aligned_text() -> None:
    """Where there is no terminal it is plain lines, with each failure explained and nothing secret."""
    lines = ended(a_troubled_report()).splitlines()
    assert lines[0] == "Finished in 24 s, but 2 accounts of 5 failed"
    assert lines[1:6] == [
        "  harvested          2  24 rows",
        "  empty              1  answered, but without usage",
        "  failed             2  in usages.ndjson.failures.ndjson",
        "  repeated IDs       1  harvested once",
        "  requests           6  0.25/s, 2.5 % of the quota 100/10s",
    ]
    text = "\n".join(lines)
    assert "1 failed because: no such account (404), for example id4" in text
    assert "a-secret" not in text
    assert MASK in text
    assert "\x1b" not in text


@pytest.mark.parametrize("columns", ["40", "80", "95", "120"])
def test_the_closing_on_a_terminal_is_a_table(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the same is set for its width."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with logging_to(stream) as lines:
        show_closing(a_troubled_report(), lines, stderr=stream)
    plain = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert max(map(len, plain.splitlines())) <= int(columns)
    words = " ".join(plain.split())
    assert words.startswith("Finished in 24 s, but 2 accounts of 5 failed harvested 2 24 rows")
    assert ("what to do:" in words) == (columns in {"40", "80"})
    assert words.count("trackingId") == 1  # the last word of the last column: nothing is cut off


def test_the_end_in_a_json_log_is_one_line() -> None:
    """The figures of the summary without its long lists, as a warning when accounts failed."""
    (line,) = map(json.loads, ended(a_troubled_report(log_format="json"), log_format="json").splitlines())
    assert (line["event"], line["level"], line["status"]) == ("run_ended", "warning", 3)
    assert line["counts"]["failed"] == 2
    assert not {"timeline", "outputs", "accounts"} & line.keys()


def test_a_quiet_run_ends_quietly() -> None:
    """With -q there is no closing."""
    assert ended(a_troubled_report(verbosity=-1)) == ""


def test_a_quiet_run_that_ends_early_says_why() -> None:
    """With -q, too, a person hears why there is no output and what to do; but not for a closed pipe."""
    stop = StoppedEarly("/data/usages.ndjson.partial: no space left", "make room")
    report = a_report(Run(), Counted(distinct=9), status=5, stop=stop, verbosity=-1)
    assert ended(report) == "Stopped after 0 ms: /data/usages.ndjson.partial: no space left\nMake room\n"
    closed = a_report(Run(), Counted(distinct=9), status=141, stop=ClosedPipe("closed"), verbosity=-1)
    assert ended(closed) == ""


def test_an_early_stop_says_why_and_what_next() -> None:
    """The headline has the reason, the last line the mend, and the rest is counted as not attempted."""
    stop = StoppedEarly("the deadline of 10 min has come", "run the same command again")
    closing = closing_of(a_report(Run(), Counted(distinct=9), status=5, stop=stop), str)
    assert closing.headline == "Stopped after 0 ms: the deadline of 10 min has come"
    assert closing.advice == "Run the same command again"
    assert ("not attempted", "9") in [figure[:2] for figure in closing.figures]


def test_a_good_end_is_short() -> None:
    """When all went well there is nothing about failures, pauses or outages."""
    run = Run()
    run.listed(1)
    run.request()
    run.account()
    run.clock.now += 61
    report = a_report(run, Counted(distinct=1, harvested=1, rows=12))
    assert ended(report).splitlines() == [
        "All 1 account harvested in 1 min 01 s",
        "  harvested       1  12 rows",
        "  empty           0  answered, but without usage",
        "  requests        1  1.0 % of the quota 100/10s",
        "  latency     50 ms  99 % within 50 ms, longest 50 ms",
        "  written    4.3 kB  usages.ndjson",
    ]


def test_every_reason_has_a_meaning_and_a_mend() -> None:
    """No reason leaves its reader alone."""
    for reason in Reason:
        assert meaning(reason).words != reason.replace("_", " ")
        assert meaning(reason).mend
    assert meaning("never_heard_of").words == "never heard of"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (plural(1, "row"), "1 row"),
        (plural(12404, "row"), "12,404 rows"),
        (percent(0.62345), "62.3 %"),
        (percent(0.99999), "99.9 %"),
        (percent(1.0), "100.0 %"),
        (span(0.35), "350 ms"),
        (span(4.21), "4.2 s"),
        (span(9.97), "10 s"),
        (span(59.7), "1 min 00 s"),
        (span(252), "4 min 12 s"),
        (span(7500), "2 h 05 min"),
        (span(273600), "3 d 4 h"),
        (size(512), "512 B"),
        (size(14_200_000), "14.2 MB"),
        (size(3 * 10**15), "3,000.0 TB"),
        (rate(9.94), "9.9/s"),
        (rate(998.2), "998/s"),
        (rate(0.05), "0.05/s"),
        (rate(0), "0.0/s"),
    ],
)
def test_figures_are_set_for_eyes(shown: str, expected: str) -> None:
    """Numbers are short, and never round up to more than is true."""
    assert shown == expected


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    """The summary's moments are RFC 3339 in UTC."""
    report = a_report(Run(), Counted())
    values: dict[str, Any] = {name: getattr(report, name) for name in Report.__slots__}
    moved = Report(**{**values, "ended": BEGAN + timedelta(seconds=1, microseconds=1500)})
    assert summary_document(moved)["end"] == "2026-08-01T12:00:01.001Z"
    assert moved.seconds == 1.0015


def test_several_clients_share_the_remark() -> None:
    """With more than one client the share is that of all quotas."""
    report = a_troubled_report()
    values: dict[str, Any] = {name: getattr(report, name) for name in Report.__slots__}
    both = Report(**{**values, "quotas": {"a": Quota(100, 10.0), "b": Quota(100, 10.0)}})
    assert "0.25/s, 1.2 % of the quotas of 2 clients" in closing_of(both, str).plain_lines()[5]


def test_the_unused_accounts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people harvest for stands in the closing; files as they would be typed in this folder."""
    monkeypatch.chdir(tmp_path)
    report = replace(
        a_troubled_report(),
        activity=Activity.of(None).document() | {"accounts": 3, "inactive": 1, "lastActive": {"2026-02": 1}},
        failures=str(tmp_path / "f.ndjson"),
    )
    said = "\n".join(closing_of(report, str).plain_lines())
    assert re.search(r"unused +2  no active day since May 2026, 1 of them none at all", said)
    assert "give f.ndjson as the list" in said
