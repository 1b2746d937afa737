"""Turns bytes into blocks of whole lines: decoded, with one kind of newline, bounded in length."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from harvester.errors import InputError

LONGEST_LINE = 1024 * 1024
"""In characters. No list has longer ones; a file without newlines must not fill the memory."""

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_HINT = "save the list as UTF-8 text (in Excel: CSV UTF-8)"
_MARKS = re.compile(r"^\ufeff+", re.MULTILINE)


class Block(NamedTuple):
    r"""Whole lines, with ``\n`` between them and none after the last. `line` is the first one's number."""

    line: int
    text: str


def blocks(chunks: Iterator[bytes], name: str) -> Iterator[Block]:
    r"""All whole lines of each chunk, as soon as the chunk is there.

    Takes UTF-8 with or without its byte order mark, and UTF-16 with one. Lines also end in
    ``\r\n`` or ``\r``. A byte order mark at the beginning of any line is dropped: that is where
    `cat a.csv b.csv` leaves one.
    """
    line, carry = 1, ""
    for text in _decoded(chunks, name):
        head, newline, tail = text.rpartition("\n")
        if not newline:
            carry += tail
        else:
            whole = _bounded(carry + head, line, name)
            yield Block(line, _without_marks(whole))
            line += whole.count("\n") + 1
            carry = tail
        _bounded(carry, line, name)
    if carry:
        yield Block(line, _without_marks(carry))


def _without_marks(text: str) -> str:
    return _MARKS.sub("", text) if "\ufeff" in text else text


def _decoded(chunks: Iterator[bytes], name: str) -> Iterator[str]:
    head = next(chunks, b"")
    while len(head) == 1 and (more := next(chunks, b"")):  # a byte order mark has two bytes or more
        head += more
    if head.startswith(_SPREADSHEETS):
        raise InputError(name, "is a spreadsheet or zip archive, not text", "save it as CSV, or unpack it")
    encoding = "utf-16" if head.startswith(_UTF16_MARKS) else "utf-8-sig"
    problem = f"is binary, or text that is not {encoding.upper().removesuffix('-SIG')}"
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    line = 1
    ending = ((b"", True),)
    for data, final in chain(((chunk, False) for chunk in chain((head,), chunks)), ending):
        try:
            text = decoder.decode(data, final=final)
        except UnicodeDecodeError as error:
            raise InputError(name, problem, _HINT, line=line + _newlines_before(error)) from error
        if "\0" in text:
            raise InputError(name, problem, _HINT, line=line + text.count("\n", 0, text.index("\0")))
        line += text.count("\n")
        yield text


def _newlines_before(error: UnicodeDecodeError) -> int:
    sound = error.object[: error.start].decode(error.encoding, "replace")
    return sound.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def _bounded(text: str, line: int, name: str) -> str:
    if len(text) > LONGEST_LINE:
        for number, one in enumerate(text.split("\n"), line):
            if len(one) > LONGEST_LINE:
                hint = "give one account ID per line"
                raise InputError(name, "the line is longer than 1 MiB", hint, line=number)
    return text
