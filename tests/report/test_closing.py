"""The last lines of a run say how it ended, fit the screen, and advise what fits."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import ClosedPipe, Interrupted, StoppedEarly
from harvester.model import FailureGroup, OutputFile, Reason
from harvester.report.closing import closing_of, show_closing
from harvester.report.log import logging_to
from harvester.report.reasons import meaning
from harvester.report.redaction import MASK, Redactor
from harvester.report.summary import Report, summary_document
from tests.report.samples import HUNDRED, SECRET, Run, a_report, a_troubled_report, counts_of
from tests.report.screen import terminal


def ended(report: Report, **how: Any) -> str:
    """What the end of `report` puts on stderr where that is no terminal."""
    stream = io.StringIO()
    with logging_to(stream, log_format=how.get("log_format", "text"), redact=Redactor([SECRET])) as lines:
        show_closing(report, lines, **how)
    return stream.getvalue()


def a_good_report(accounts: int = 1, **changed: Any) -> Report:
    """A run in which all went well."""
    run = Run()
    run.listed(accounts)
    for _ in range(accounts):
        run.request()
        run.account()
    run.clock.now += 61
    return a_report(run, counts_of(accounts, accounts), **changed)


def test_a_good_end_is_short() -> None:
    """When all went well there is nothing about failures, pauses or outages, and one account is one."""
    assert ended(a_good_report()).splitlines() == [
        "  harvested       1  12 rows",
        "  empty           0  answered, without usage",
        "  requests        1  1.0% of the quota 100/10s",
        "  latency     50 ms  99% within 50 ms, longest 50 ms",
        "  written    4.3 kB  usages.ndjson",
        "Harvested 1 account in 1 min 01 s",
        "To see which accounts nobody uses: harvester unused usages.ndjson.ledger",
    ]


def test_the_words_are_those_of_the_design() -> None:
    """Harvested, empty, unreported, failed, not attempted: each in its line, with what it means."""
    run = Run()
    run.listed(10, repeated=3, earlier=4)
    run.account()
    report = a_report(
        run, counts_of(10, 3, 2, unreported=1), stop=StoppedEarly("the deadline has passed", "x")
    )
    lines = [re.split(r" {2,}", line.strip(), maxsplit=2) for line in ended(report).splitlines()]
    assert lines[:7] == [
        ["harvested", "3", "12 rows"],
        ["empty", "2", "answered, without usage"],
        ["unreported", "1", "their sources report no usage"],
        ["not attempted", "4", "the same command continues with them"],
        ["settled earlier", "4", "by an earlier run of this harvest"],
        ["repeated IDs", "3", "harvested once"],
        ["requests", "0"],
    ]


def test_failures_are_explained_and_hold_no_secret() -> None:
    """Each reason with its number, an example and advice; escape sequences and secrets do not get through."""
    text = ended(a_troubled_report())
    assert text.splitlines()[:2] == [
        r"1 failed: no such account (404), for example id4 (no\nsuch \x1b[31maccount)",
        "  they were deleted, or the IDs belong to identities or to another tenant",
    ]
    assert text.splitlines()[-2:] == [
        "Finished in 24 s: 2 of 5 accounts failed",
        "To retry the failed accounts, run the same command with --retry-failed",
    ]
    assert SECRET not in text
    assert MASK in text


LONG = "the answer of the tenant goes on and on about what it thinks is the matter with this account " * 4


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_the_end_fits_the_screen_and_breaks_no_word(columns: int) -> None:
    """Whatever failed, the headline is among the last lines, all on one screen of 80 by 24."""
    reasons = {str(reason): FailureGroup(9, "2c918087" * 4, LONG) for reason in Reason}
    run = Run()
    run.listed(1000, repeated=5, earlier=10)
    for reason in (None, "throttled", "server_error"):
        run.request(reason=reason)
    run.retry()
    report = a_report(run, counts_of(1000, 500, 50, len(reasons) * 9), failures_by_reason=reasons, status=3)
    with terminal(columns, 24 if columns >= 80 else 60) as screen, logging_to(screen.stream) as lines:
        show_closing(report, lines)
        shown = screen.shown()
    assert len(shown) <= (23 if columns >= 80 else 30)
    assert shown[0].startswith("9 failed: ")
    words = " ".join(" ".join(shown).split())
    assert "Finished in 0 ms: 144 of 1,000 accounts failed To retry the failed accounts" in words
    assert "13 more reasons in the summary" in words
    known = {*ended(report).split(), "…"}
    broken = [word for line in shown[:10] for word in line.split() if word not in known]
    assert broken == [] or columns < 80


def test_a_quiet_run_ends_quietly_unless_it_ended_early() -> None:
    """With -q there is no closing; but a person hears why there is no output, except for a closed pipe."""
    assert ended(a_troubled_report(), verbosity=-1) == ""
    stop = StoppedEarly("/data/usages.ndjson.ledger.partial: no space left", "make room")
    report = a_report(Run(), counts_of(9), status=5, stop=stop)
    assert ended(report, verbosity=-1) == f"Stopped after 0 ms: {stop.problem}\nMake room\n"
    closed = a_report(Run(), counts_of(9), status=141, stop=ClosedPipe("closed"))
    for verbosity in (-1, 0, 1):
        assert ended(closed, verbosity=verbosity) == ""


def test_an_interrupted_run_says_so_once() -> None:
    """Not "stopped: stopped by", and by the signal's name."""
    for signum, name in ((2, "SIGINT"), (15, "SIGTERM"), (1, "SIGHUP")):
        stop = Interrupted(signum, f"stopped by {name}", "run the same command again to continue")
        report = a_report(Run(), counts_of(9), stop=stop, status=stop.exit_status)
        closing = closing_of(summary_document(report))
        assert closing.headline == f"Interrupted by {name} after 0 ms: 9 accounts not attempted"
        assert closing.advice == "Run the same command again to continue"


def test_advice_fits_what_happened() -> None:
    """One 403 among 599 successes is no missing scope; 600 are."""
    forbidden = {"forbidden": FailureGroup(1, "id7", "HTTP 403")}
    some = a_report(Run(), counts_of(600, 599, 0, 1), failures_by_reason=forbidden)
    assert "the scope is there" in closing_of(summary_document(some)).groups[0].advice
    every = a_report(Run(), counts_of(600, 0, 0, 600), failures_by_reason=forbidden)
    assert closing_of(summary_document(every)).groups[0].advice.startswith("grant the scope")


def test_failed_accounts_are_retried_from_what_there_is() -> None:
    """The ledger if it is kept, else the failures file; without either there is nothing to advise."""
    for ledger, failures, advice in (
        ("u.ledger", "f.ndjson", "run the same command with --retry-failed"),
        (None, "f.ndjson", "give f.ndjson as the list of another run"),
        (None, None, ""),
    ):
        assert closing_of(
            summary_document(a_troubled_report(ledger=ledger, failures=failures))
        ).advice.endswith(advice)


def test_every_reason_has_a_meaning_and_a_hint() -> None:
    """No reason leaves its reader alone; an unknown one speaks for itself."""
    for reason in Reason:
        assert meaning(reason).words != reason.replace("_", " ")
        for others in (True, False):
            assert 0 < len(meaning(reason).advice(others_answered=others)) <= 76
    assert meaning("never_heard_of").words == "never heard of"


def test_several_lanes_share_the_remark() -> None:
    """With more than one lane the share is that of all quotas; with none there is none."""
    both = "\n".join(
        closing_of(summary_document(a_troubled_report(quotas={"a": HUNDRED, "b": HUNDRED}))).lines()
    )
    assert re.search(r"requests +7  0\.2\d/s, 1\.2% of the quotas of 2 lanes", both)
    none = "\n".join(closing_of(summary_document(a_troubled_report(quotas={"a": None}))).lines())
    assert re.search(r"requests +7  0\.2\d/s$", none, flags=re.MULTILINE)


def test_many_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a directory are one line; paths are as they would be typed here."""
    monkeypatch.chdir(tmp_path)
    parts = tuple(OutputFile(f"part-{n}.ndjson", 1, 1, 1000, "") for n in range(7))
    report = a_good_report(2, outputs=parts, output=f"{tmp_path}/usages/")
    assert re.search(r"written +7\.0 kB  in 7 files in usages/\n", ended(report))


def test_the_end_in_a_json_log_is_one_line() -> None:
    """The figures of the summary without its long lists, as a warning when accounts failed."""
    (line,) = map(json.loads, ended(a_troubled_report(), log_format="json").splitlines())
    assert (line["event"], line["level"], line["status"]) == ("run_ended", "warning", 3)
    assert line["counts"]["failed"] == 2
    assert not {"timeline", "outputs"} & line.keys()
    assert SECRET not in json.dumps(line)


def test_a_stderr_that_is_full_does_not_change_the_end() -> None:
    """The closing is lost, and nothing is raised."""
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115  # closing it would raise, too
    with logging_to(full) as lines:
        show_closing(a_troubled_report(), lines)
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_a_night_without_changes_says_so() -> None:
    """With --changes, the closing has the numbers, also if they are 0."""
    text = ended(a_good_report(changes={"new": 2, "changed": 0, "gone": 1}))
    assert "changed         0  rows since the last harvest; 2 new, 1 gone\n" in text
