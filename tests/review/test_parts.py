"""The small parts: cells, limits, file names, the file of exclusions."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import InputError, SettingError
from harvester.review import Exclusion, Limit, State, Totals, read_exclusions, status_of
from harvester.review.lines import csv_lines, guarded
from harvester.review.split import file_names
from harvester.review.states import Judgment, Why

# --- cells


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-x", "'-x"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("two\nlines", "two\nlines"),
        ("1=1", "1=1"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("invoice\u202excod.exe", "invoice\\u202excod.exe"),
        ("José \U0001f469\u200d\U0001f680", "José \U0001f469\u200d\U0001f680"),
    ],
)
def test_text_is_harmless_in_a_spreadsheet(text: str, safe: str) -> None:
    """No formula, no escape sequence, no reversed writing; everything else as it was."""
    assert guarded(text) == safe


def test_only_text_cells_are_guarded() -> None:
    """Numbers, truth values and account IDs are not; the guard can be taken off."""
    values: list[list[Any]] = [["-id"], [-5], [True], [None], ["-text"]]
    columns = ["accountId", "n", "flag", "gone", "text"]
    assert csv_lines(columns, values) == ["-id,-5,true,,'-text\n"]
    assert csv_lines(columns, values, guard=False) == ["-id,-5,true,,-text\n"]


@given(st.lists(st.text(), min_size=1, max_size=2))
def test_cells_survive_csv(cells: list[str]) -> None:
    """Whatever is in a cell, line breaks and quotes too, a CSV reader finds it again."""
    (line,) = csv_lines(["a", "b"][: len(cells)], [[cell] for cell in cells], guard=False)
    assert list(csv.reader(io.StringIO(line, newline=""))) == [cells]


# --- limits


def totals(**states: int) -> Totals:
    found = Totals()
    for name, number in states.items():
        for _ in range(number):
            found.add(Judgment(State(name), Why.HARVEST_FAILED if name == "unknown" else None))
    return found


@pytest.mark.parametrize(
    ("fail_above", "max_unknown", "states", "status"),
    [
        (None, None, {"unused": 5, "active": 5}, 0),
        ("5", None, {"unused": 5, "active": 5}, 0),
        ("4", None, {"unused": 5, "active": 5}, 1),
        ("50%", None, {"unused": 5, "active": 5, "unknown": 90}, 0),
        ("49.9%", None, {"unused": 5, "active": 5}, 1),
        (None, "50%", {"active": 5, "unknown": 5, "excluded": 90}, 0),
        (None, "50%", {"active": 4, "unknown": 5}, 3),
        ("0", "50%", {"unused": 4, "unknown": 5}, 3),
        (None, None, {"unknown": 5}, 3),
        (None, "100%", {"unknown": 5}, 3),
        (None, None, {"excluded": 5}, 0),
        ("0", None, {}, 0),
        ("0%", None, {}, 0),
    ],
)
def test_the_gate(
    fail_above: str | None, max_unknown: str | None, states: dict[str, int], status: int
) -> None:
    """0 within the limits, 1 above, 3 where too little could be judged, whatever else is true."""
    found = totals(**states)
    limits = {
        "fail_above": fail_above and Limit.of("fail_above", fail_above),
        "max_unknown": max_unknown and Limit.of("max_unknown", max_unknown, share_only=True),
    }
    assert status_of(found, found.not_used, **limits) == status  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "x", "5.5", "-1", "101%", "5 %", "1e3", "٣"])
def test_what_is_no_limit(text: str) -> None:
    """A setting error names the setting."""
    with pytest.raises(SettingError, match=r"^fail_above: "):
        Limit.of("fail_above", text)


def test_a_number_is_no_share() -> None:
    """--max-unknown takes a share only."""
    with pytest.raises(SettingError, match="write 5%"):
        Limit.of("max_unknown", "5", share_only=True)


def test_totals_say_all_six_counts() -> None:
    """On one line, and how many of those judged are not used."""
    assert str(totals(unused=1, active=2, unknown=1500)) == (
        "1,503 accounts: 0 excluded, 2 active, 1 unused, 0 new, 0 never, 1,500 unknown "
        "(33.3% of those judged are not used)"
    )
    assert str(totals(unknown=1)).endswith("1 unknown (none can be judged)")
    assert totals(unknown=2).reasons == {"unknown: harvest_failed": 2}


# --- names of files


@given(st.lists(st.text(), unique=True, max_size=30))
def test_names_are_safe_and_unique(values: list[str]) -> None:
    """On every file system: no separators, no surprises, not equal where case is ignored, not too long."""
    names = file_names(values, ".csv")
    assert names.keys() == set(values)
    assert len({name.casefold() for name in names.values()}) == len(values)
    for name in names.values():
        assert name.endswith(".csv")
        assert not set('/\\:*?"<>|\0\n ') & set(name)
        assert name[0] not in ".-"
        assert len(f"{name}.partial".encode()) < 255
    assert file_names(reversed(values), ".csv") == names


def test_names_can_be_read() -> None:
    """As near to the value as is safe; values that would collide get a hash, all of them."""
    names = file_names(["Béla Novák", "ada@acme.example", "", "con", "../../etc/passwd"], ".csv")
    assert list(names.values()) == [
        "Béla_Novák.csv", "ada@acme.example.csv", "none.csv", "_con.csv", "etc_passwd.csv",
    ]  # fmt: skip
    colliding = file_names(["A b", "a/B"], ".csv")
    assert all(len(name) == len("A_b-0123456789abcdef.csv") for name in colliding.values())


# --- exclusions


def exclusions(tmp_path: Path, content: bytes) -> dict[str, Exclusion]:
    path = tmp_path / "exclude.csv"
    path.write_bytes(content)
    return read_exclusions(path)


def test_exclusions_are_read(tmp_path: Path) -> None:
    """With or without header, reason and expiry; comments, blank lines, BOM and CRLF."""
    content = (
        '\ufeffaccountId,reason,until\r\n\r\n# known\r\na\r\nb, on leave \r\nc,"x, y",2026-12-31\r\nd,,\r\n'
    )
    assert exclusions(tmp_path, content.encode()) == {
        "a": Exclusion("a"),
        "b": Exclusion("b", "on leave"),
        "c": Exclusion("c", "x, y", date(2026, 12, 31)),
        "d": Exclusion("d"),
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a\n,reason\n", "exclude.csv:2: has no account ID"),
        (b"a\nb,x,31.12.2026\n", "exclude.csv:2: '31.12.2026' is not a date.*YYYY-MM-DD"),
        (b"a,b,2026-12-31,c\n", "exclude.csv:1: has 4 cells"),
        (b'a\n"b\n', "exclude.csv:.*is not valid CSV"),
        (b"a\xff\n", "is not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    """File and line, and what to write instead."""
    with pytest.raises(InputError, match=says):
        exclusions(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So is a file that cannot be read."""
    with pytest.raises(InputError, match="cannot be read"):
        read_exclusions(tmp_path / "nowhere.csv")
