"""What is read from the code for the reference is all there."""

from __future__ import annotations

import re

from harvester.model import Reason
from tests.docs.pages import errors_page


def test_every_error_has_its_mend() -> None:
    """Next to no error leaves people alone with what is wrong."""
    rows = [line.split(" | ") for line in errors_page().splitlines() if line.startswith("| ")]
    alone = [row[0] for row in rows if not row[-1].strip(" |")]
    assert len(rows) > 100
    assert len(alone) <= 6, alone


def test_the_page_has_errors_of_each_status() -> None:
    """1, 2, 4 and 5 are there; reasons of single accounts are not, they stop no run."""
    page = errors_page()
    assert re.findall(r"^\*\*Status (\d)", page, flags=re.MULTILINE) == ["1", "2", "4", "5"]
    assert Reason.CONNECTION_LOST not in page
