"""Lists as they come from Excel, `cat` and web pages: understood where there is one meaning, else refused."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import InputError
from harvester.source import read_list
from tests.source.test_reader import fault, from_files, from_stdin

BOM = "\ufeff"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a space before the quote
        ('name, "accountId"\nfoo, "ef38"\nbar,  "a,b"\n', ["ef38", "a,b"]),
        # Excel's directive, also quoted, also in another case; the delimiter is then no guess
        ("sep=;\nid;name\nef38;x\n", ["ef38"]),
        ('"sep=;"\r\n"id";"name"\r\n"ef38";"x,y"\r\n', ["ef38"]),
        ("SEP=|\nname|id\nx;y|ef38\n", ["ef38"]),
        ("sep=\t\nid\tname\nef38\tx\n", ["ef38"]),
        ("sep=;\nid;name\na;x\nsep=;\nid;name\nb;y\n", ["a", "b"]),
        # cat a.csv b.csv
        (f"{BOM}id,name\na,x\n{BOM}id,name\nb,y\n", ["a", "b"]),
        (f'id,name\na,x\n{BOM}"id","name"\nb,y\n', ["a", "b"]),
        ("id,name\na,x\nid,name\nb,y\n", ["a", "b"]),
        ("id,name\na,x\nname,id\ny,b\n", ["a", "b"]),
        ("name,id\nx,a\nmail,ID\ny,b\n", ["a", "b"]),
        (f"{BOM}accountId\na\n{BOM}accountId\nb\n", ["a", "b"]),
        # cat a.txt b.txt, and a header line in a list of plain IDs
        (f"{BOM}a\n{BOM}b\n", ["a", "b"]),
        ("a\naccountId\nb\n", ["a", "b"]),
        # zero-width characters of web pages, non-breaking spaces, marks of direction
        ("\u200bef38\u200b\nef\u00a039\u00a0\n\u202aef40\u202c\n", ["ef38", "ef\u00a039", "ef40"]),
        ("id,name\n\u200bef38,x\n", ["ef38"]),
        ('{"id":"\u200bef38"}\n\u200b{"id":"b"}\n', ["ef38", "b"]),
        ("\u200b\n\u200b# comment\na\n", ["a"]),
        # Ctrl-Z at the end of a DOS file, and in the middle after `copy /a`
        ("a\r\nb\r\n\x1a", ["a", "b"]),
        ("id,name\r\na,x\r\n\x1a", ["a"]),
        ('{"id":"a"}\n\x1a\n', ["a"]),
        ("a\n\x1ab\n", ["a", "b"]),
        # a comment after a CSV header, also one with an open quote; a name may begin with #
        ("id,name\n# it's \"quoted\na,x\n", ["a"]),
        ("id,name\n#b,y\na,x\n", ["a"]),
        ("name,id\n# exported, by me\n#sales,a\n", ["a"]),
        ('id,note\na,"one\n# two"\nb,\n', ["a", "b"]),
        ('{"id":"a"}\n# comment\n', ["a"]),
        # what Excel is made to show as text
        ('id,name\n="00123",x\n', ["00123"]),
        ('="00123"\n', ["00123"]),
        # quotes of another program's list
        ('a\n"b"\n', ["a", "b"]),
        # half a character in a property that does not matter
        ('{"id":"a","note":"\\ud83d"}\n', ["a"]),
    ],
)
def test_understood(text: str, expected: list[str]) -> None:
    """Each of these lists has only one meaning, and the IDs are those that a person would read."""
    assert from_stdin(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.23E+15\n", "stdin:1: 1.23E+15 is a number that a spreadsheet has rounded"),
        ("id,name\na,x\n1,23E+15,y\n", "stdin:3: the row has 3 columns"),
        ("id;name\na;x\n1,23E+15;y\n", "stdin:3: 1,23E+15 is a number that a spreadsheet has rounded"),
        ("id,name\n#N/A,x\n", "stdin:2: #N/A is a spreadsheet's error value"),
        ("a\n#REF!\n", "stdin:2: #REF! is a spreadsheet's error value"),
        ("a\nid,Name\nb,x\n", "stdin:2: a CSV begins here, with the header id,Name"),
        ("a\nsep=;\n", "stdin:2: a CSV begins here, with the header sep=;"),
        ("id,name\na,x\nid;mail\nb;y\n", "stdin:3: looks like the header of another list"),
        ("id,name\na,x\nmail,id\nb,y\n", "stdin:3: looks like the header of another list"),
        ("id,name\na,x\nsep=;\nb,y\n", "stdin:3: looks like the header of another list"),
        ("sep=;\nid,name\na,x\n", "stdin:2: the header has no column accountId or account_id or id"),
        (
            "ef\u200b38\n",
            "stdin:1: the account ID 'ef\\u200b38' contains U+200B",
        ),
        (
            f"a\nb{BOM}c\n",
            "stdin:2: the account ID 'b\\ufeffc' contains U+FEFF, an invisible or broken character",
        ),
        (
            "ef38\tBob\n",
            "contains U+0009, an invisible or broken character: put each",
        ),
        (
            'id,name\n"a\nb",x\n',
            "stdin:2: the account ID 'a\\nb' contains U+000A, an invisible or broken character",
        ),
        ("<!DOCTYPE html>\n<html>\n", "stdin: is HTML or XML, not a list"),
        ('id,name\n"a" ,x\n', "stdin:2: is not valid CSV"),
    ],
)
def test_refused(text: str, said: str) -> None:
    """What may mean two things, or nothing, is refused with its line, and never requested as an ID."""
    message = fault(text.encode())
    assert said in message
    assert "\n" not in message


def test_a_header_in_a_txt_file(tmp_path: Path) -> None:
    """A .txt with a header of several columns is read as the CSV that it is."""
    path = tmp_path / "list.txt"
    path.write_text("id,Name\na,x\nb,y\n")
    assert from_files(path) == ["a", "b"]


def test_a_failures_file_is_a_list(tmp_path: Path) -> None:
    """The failures of one run are the input of the next, also when nothing failed."""
    path = tmp_path / "usages.failures.ndjson"
    path.write_text('{"accountId":"a","status":404,"reason":"not_found","detail":"x","attempts":1}\n')
    assert from_files(path) == ["a"]
    path.write_text("")
    assert from_files(path) == []


def test_an_old_excel_file() -> None:
    """A spreadsheet's own format is not a list."""
    assert "is a spreadsheet" in fault(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest")


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are any bytes")
@pytest.mark.parametrize("raw", [b"list-\xff.txt", b"list\n\x1b[31m.txt"])
def test_odd_paths(tmp_path: Path, raw: bytes) -> None:
    """A path that is not UTF-8, or has control characters, is read, and can be named in a message."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)
    with pytest.raises(InputError, match="no such file") as caught:
        read_list([path], stdin=io.BytesIO())
    assert str(caught.value).encode().isascii()
    assert str(caught.value).isprintable()
    Path(path).write_text("a\n")
    assert from_files(Path(path)) == ["a"]
    Path(path).write_text("1.5E+10\n")
    with pytest.raises(InputError) as caught:
        from_files(Path(path))
    assert str(caught.value).isprintable()


def test_a_comma_storm_is_read_in_no_time() -> None:
    """The search for headers in the middle does not blow up on a line of a million delimiters."""
    data: Any = b"id,x\n" + b"a" + b"," * 1_000_000 + b"\nb,y\n"
    assert from_stdin(data) == ["a", "b"]
