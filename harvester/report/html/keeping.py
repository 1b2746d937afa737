"""The report of a run that has just ended: what `--report FILE` leaves."""

from __future__ import annotations

import json
from logging import INFO, WARNING
from pathlib import Path

from harvester.errors import OutputFault
from harvester.report.html.page import require_drawing, write_page
from harvester.report.log import say
from harvester.report.result import Report
from harvester.report.summary import summary_json
from harvester.settings.model import Settings


def report_possible(settings: Settings) -> None:
    """See before a run, if it is to leave a report, that it can.

    Raises:
        SettingFault: the extra `report` is not installed.
        OutputFault: the report's folder is not there, or its name is a folder's.
    """
    path = settings.report
    if path is None:
        return
    require_drawing("--report")
    if not path.parent.is_dir():
        raise OutputFault(f"{path}: the report's folder {path.parent} is not there", "make it first")
    if path.is_dir():
        raise OutputFault(f"{path}: the report would be a file, and this is a folder", "name a file in it")


def leave_report(report: Report) -> None:
    """Write the report that the settings ask for, if they do. Where it fails a warning says so.

    By then the harvest has ended: a picture of it changes neither its output nor its status.
    """
    path = report.settings.report
    if path is None:
        return
    try:
        # as it is written, so that no secret gets into the page either
        write_page(path, json.loads(summary_json(report)), report.settings.file_mode)
    except Exception as error:  # noqa: BLE001  # whatever a drawing library may raise
        _say_missed(path, error)
    else:
        say(INFO, "report_written", f"the report is in {path}", path=str(path))


def _say_missed(path: Path, error: Exception) -> None:
    say(
        WARNING,
        "report_missed",
        f"{path}: the report could not be drawn ({error}); `harvester report SUMMARY` tries it again",
        path=str(path),
        detail=str(error),
    )
