"""Manners on GitHub Actions: a summary on the run's page, one annotation where something went wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from harvester.errors import ClosedPipe, StoppedEarly
from harvester.report.github import tell_fault, tell_report
from harvester.report.redaction import Redactor
from harvester.report.result import Report
from tests.ops.tenants import harvester, pat, sandbox_process
from tests.report.samples import Counted, Run, a_report, a_troubled_report

REDACT = Redactor(["a-secret-of-some-length"])


def told(report: Report, tmp_path: Path, **environ: str) -> tuple[str, str]:
    """What is in the step's summary and on stderr afterwards."""
    page, stderr = tmp_path / "summary.md", io.StringIO()
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)} | environ
    tell_report(report, REDACT, environ, stderr)
    return page.read_text() if page.exists() else "", stderr.getvalue()


def test_a_good_run_has_a_summary_and_no_annotation(tmp_path: Path) -> None:
    """The table of figures stands on the page; nothing is marked as wrong."""
    page, stderr = told(a_report(Run(), Counted(distinct=2, harvested=2, rows=24)), tmp_path)
    assert page.startswith("### ✅ harvester\n")
    assert "| harvested | 2 |" in page
    assert stderr == ""


def test_failed_accounts_are_one_warning(tmp_path: Path) -> None:
    """Status 3 is a warning with the mend; the reasons are a table; secrets and markup are masked."""
    page, stderr = told(a_troubled_report(), tmp_path)
    assert stderr.startswith("::warning title=harvester::Finished in 24 s, but 2 accounts of 5 failed")
    assert stderr.count("\n") == 1
    assert "| 1 | no such account (404) | id4" in page
    assert "a-secret" not in page + stderr
    assert "\x1b" not in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} <= {4, 5}


def test_a_stopped_run_is_one_error(tmp_path: Path) -> None:
    """A run that stopped early is an error, and says that the same command goes on."""
    stop = StoppedEarly("100 % of the disk\nis full", "make room and run it again")
    _, stderr = told(a_report(Run(), Counted(distinct=9), status=5, stop=stop), tmp_path)
    assert stderr.startswith("::error title=harvester::Stopped after")
    assert "100 %25 of the disk" in stderr
    assert stderr.count("\n") == 1


def test_a_reader_that_had_enough_is_no_error(tmp_path: Path) -> None:
    """`| head` ends a run quietly here too."""
    report = a_report(Run(), Counted(distinct=9), status=141, stop=ClosedPipe("closed"))
    assert told(report, tmp_path)[1] == ""


def test_nothing_is_told_elsewhere(tmp_path: Path) -> None:
    """Without GitHub's variables there is neither page nor annotation."""
    page, stderr = told(a_troubled_report(), tmp_path, GITHUB_ACTIONS="", GITHUB_STEP_SUMMARY="")
    assert (page, stderr) == ("", "")


def test_the_summary_is_appended(tmp_path: Path) -> None:
    """Other steps' words on the page stay."""
    (tmp_path / "summary.md").write_text("# before\n")
    assert told(a_troubled_report(), tmp_path)[0].startswith("# before\n### ⚠️ harvester")


def test_a_page_that_cannot_be_written_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is a warning in the log."""
    told(a_troubled_report(), tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path))
    assert "GITHUB_STEP_SUMMARY" in caplog.text


def test_an_error_is_one_line_whatever_it_says(tmp_path: Path) -> None:
    """A text with line breaks or secrets in it can't end the command or leak."""
    stderr = io.StringIO()
    environ = {"GITHUB_ACTIONS": "true"}
    tell_fault("it is 50 %\n::set-env a-secret-of-some-length", 2, environ, redact=REDACT, stderr=stderr)
    assert stderr.getvalue() == "::error title=harvester::it is 50 %25\\x0a::set-env [secret]\n"


def test_the_whole_program_has_these_manners(tmp_path: Path) -> None:
    """A harvest with a failure, a list that is not there, a wrong option: one annotation each."""
    page = tmp_path / "page.md"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)}
    with sandbox_process("--accounts", "3", "--quota", "none") as url:
        variables = pat(url) | github
        done = harvester("run", "-o", "u.ndjson", folder=tmp_path, stdin="no-such-id\n", **variables)
        assert (done.returncode, done.stderr.count("::warning title=harvester::")) == (3, 1)
        for arguments in (["nosuch.txt"], ["--nosuch"]):
            wrong = harvester("run", *arguments, folder=tmp_path, **variables)
            assert (wrong.returncode, wrong.stderr.count("::error title=harvester::")) == (2, 1)
        as_json = harvester("run", "nosuch.txt", "--log-format", "json", folder=tmp_path, **variables)
        assert (as_json.returncode, as_json.stderr.count("::error title=harvester::")) == (2, 1)
    assert done.stdout == ""
    assert page.read_text().count("### ") == 4
