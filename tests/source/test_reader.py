"""Lists of account IDs: what is read from them, and what is said about those that cannot be read."""

from __future__ import annotations

import gzip
import io
import os
import stat
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from harvester.errors import InputError, UsageError
from harvester.model import ListedAccount, Shard
from harvester.source import read_list
from harvester.source.ids import BATCH

NOTHING = io.BytesIO()


def is_plain(text: str) -> bool:
    """Whether the text is an ID in each of the formats, and nothing else in any."""
    special = text[0] in '#{[<"=' or text.lower() in {
        "id",
        "accountid",
        "account_id",
        "account-id",
        "sep=,",
        "sep=;",
    }
    return not special and "\ufffd" not in text and "+" not in text and "," not in text and ";" not in text


plain_ids = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")),
    min_size=1,
    max_size=40,
).filter(is_plain)


def ids_in(batches: Iterable[list[ListedAccount]]) -> list[str]:
    """The IDs of all batches; their positions must count from 0 without a gap."""
    accounts = [account for batch in batches for account in batch]
    assert [account.position for account in accounts] == list(range(len(accounts)))
    return [account.id for account in accounts]


def from_stdin(data: bytes, **options: Any) -> list[str]:
    """All IDs that reading these bytes from stdin gives."""
    return ids_in(read_list(["-"], stdin=io.BytesIO(data), **options))


def from_files(*paths: Path, **options: Any) -> list[str]:
    """All IDs that reading these files gives."""
    return ids_in(read_list([str(path) for path in paths], stdin=NOTHING, **options))


def fault(data: bytes, **options: Any) -> str:
    """The sentence that reading these bytes from stdin ends with."""
    with pytest.raises(InputError) as caught:
        from_stdin(data, **options)
    return str(caught.value)


class Dribble(io.RawIOBase):
    """Gives a few bytes at each read, as a slow pipe does."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self._turn = data, sizes, 0

    def readable(self) -> bool:
        """It is a source."""
        return True

    def read1(self, _size: int) -> bytes:
        """The next few bytes."""
        size = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        out, self._data = self._data[:size], self._data[size:]
        return out


def dribbled(data: bytes, sizes: list[int], **options: Any) -> list[str]:
    """All IDs that these bytes give when they come in pieces of these sizes."""
    stream: Any = Dribble(data, sizes)
    return ids_in(read_list(["-"], stdin=stream, **options))


# -- formats


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("\ufeffa\r\nü\r\n".encode("utf-16-le"), ["a", "ü"]),
        ("\ufeffa\nb".encode("utf-16-be"), ["a", "b"]),
        (b"# comment\n\n  a \t\n   # also\n\n b\n", ["a", "b"]),
        (b"a\na\n", ["a", "a"]),
        (b"a b\n", ["a b"]),
        (b"id1,x\n", ["id1,x"]),
    ],
)
def test_text(data: bytes, expected: list[str]) -> None:
    """One ID a line, trimmed, whatever the newlines and marks; blank lines and comments are passed over."""
    assert from_stdin(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"accountId,name\na,x\nb,y\n", ["a", "b"]),
        (b"name;account_id\nx;a\n", ["a"]),
        (b"name\tid\nx\ta\n", ["a"]),
        (b"id,accountId\nno,a\n", ["a"]),
        (b"Account ID,name\na,x\n", ["a"]),
        (b"accountId\na\nb\n", ["a", "b"]),
        (b'"id","note"\n"a","one\ntwo"\n"b","c, d"\n', ["a", "b"]),
        (b'"id"\n"a"\n', ["a"]),
        (b"# exported\n\nid,name\n a ,x\n\n,,\nb\n", ["a", "b"]),
        (b"\xef\xbb\xbfid,name\r\na,x\r\n", ["a"]),
        (b"id,name\na,x,\n", ["a"]),
    ],
)
def test_csv(data: bytes, expected: list[str]) -> None:
    """The ID column is found by its header; delimiter, quotes and empty rows are coped with."""
    assert from_stdin(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"accountId":"a","status":404}\n{"accountId":"b"}\n', ["a", "b"]),
        (b'{"id":"a","name":"x"}\n\n{"id":7}\n', ["a", "7"]),
        (b'{"id":"no","accountId":"a"}\n', ["a"]),
        (b'"a"\n" b "\n', ["a", "b"]),
        (b'\r\n{"id":"a"}\r\n', ["a"]),
    ],
)
def test_ndjson(data: bytes, expected: list[str]) -> None:
    """Objects with an ID, such as a failures file or a listing has, and bare strings are both lists."""
    assert from_stdin(data) == expected


def test_suffix_decides_before_content(tmp_path: Path) -> None:
    """A name says what a file is, also under a compression's suffix and in capitals."""
    for name, data in {
        "a.CSV": b"id\nx\n",
        "b.ndjson.gz": gzip.compress(b'"y"\n'),
        "c.tsv": b"n\tid\n1\tz\n",
    }.items():
        (tmp_path / name).write_bytes(data)
    assert from_files(*sorted(tmp_path.iterdir())) == ["x", "y", "z"]


def test_id_field_names_the_column_or_property() -> None:
    """--id-field picks the column or property, and makes a list without a suffix a CSV."""
    assert from_stdin(b"id,Native\n1,a\n", id_field="native") == ["a"]
    assert from_stdin(b'{"id":"1","native":"a"}\n', id_field="native") == ["a"]


def test_format_asked_for_wins() -> None:
    """--input-format overrides what the content looks like."""
    assert from_stdin(b'{"a"\n', input_format="text") == ['{"a"']
    assert from_stdin(b"a,x\nb,id\n", input_format="csv", id_field="a") == ["b"]


def test_several_inputs_in_order(tmp_path: Path) -> None:
    """Inputs follow each other as named; stdin can stand among them, formats may differ."""
    (tmp_path / "one").write_text("a\n")
    (tmp_path / "two").write_text('{"id":"c"}\n')
    names = [str(tmp_path / "one"), "-", str(tmp_path / "two")]
    assert ids_in(read_list(names, stdin=io.BytesIO(b"b"))) == ["a", "b", "c"]


def test_stdin_is_read_when_nothing_is_named() -> None:
    """No input means stdin, and its stream stays open."""
    stdin = io.BytesIO(b"a\n")
    assert ids_in(read_list([], stdin=stdin)) == ["a"]
    assert not stdin.closed


def test_a_terminal_is_not_waited_for() -> None:
    """Without input and with a terminal as stdin, the message says what to do."""

    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(UsageError, match="pipe one in"):
        list(read_list([], stdin=Terminal()))


def test_stdin_can_be_named_once() -> None:
    """A second - would find stdin at its end: that is told before anything is read."""
    with pytest.raises(UsageError, match="named twice"):
        next(read_list(["-", "-"], stdin=io.BytesIO(b"a\n")))


def test_batches_are_bounded() -> None:
    """No batch is larger than promised, and none is empty."""
    sizes = [len(b) for b in read_list(["-"], stdin=io.BytesIO(b"".join(b"%d\n" % i for i in range(12_345))))]
    assert sum(sizes) == 12_345
    assert 0 < min(sizes) <= max(sizes) <= BATCH


# -- compression


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_by_content(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Both gzip and zstd are known by their first bytes; members and frames join without a seam."""
    whole = pack(b"a\nb") + pack(b"c\nd\n") + pack(b"") + pack(b"e")
    (tmp_path / "list.txt").write_bytes(whole)
    assert from_files(tmp_path / "list.txt") == ["a", "bc", "d", "e"]
    assert dribbled(whole, [1]) == ["a", "bc", "d", "e"]


def test_gzip_padding_is_passed_over() -> None:
    """Zero bytes after a gzip member, as tapes leave them, are no data."""
    assert from_stdin(gzip.compress(b"a\n") + bytes(1000)) == ["a"]


def test_a_misnamed_file_is_read(tmp_path: Path) -> None:
    """A list that only claims to be compressed is read as it is."""
    (tmp_path / "list.txt.gz").write_text("a\n")
    assert from_files(tmp_path / "list.txt.gz") == ["a"]


@pytest.mark.parametrize(("pack", "kind"), [(gzip.compress, "gzip"), (zstandard.compress, "zstd")])
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_data_are_told(pack: Callable[[bytes], bytes], kind: str, share: float) -> None:
    """However much of a compressed list is cut off, the end is never taken for the list's."""
    whole = pack(b"".join(b"%d\n" % i for i in range(3000)))
    cut = whole[: 4 + int((len(whole) - 4) * share)]
    assert f"ends in the middle of its {kind} data" in fault(cut)


@pytest.mark.parametrize(
    "pack", [gzip.compress, lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data)]
)
def test_damaged_data_are_told(pack: Callable[[bytes], bytes]) -> None:
    """A flipped bit in compressed data is a fault, not an ID."""
    whole = bytearray(pack(b"".join(b"%d\n" % (i * i) for i in range(3000))))
    whole[len(whole) // 2] ^= 0xFF
    assert "data is damaged" in fault(bytes(whole))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_is_not_unpacked_into_memory(pack: Callable[[bytes], bytes]) -> None:
    """A hundred megabytes that pack into a few kilobytes are refused within a few of memory."""
    bomb = pack(b"a" * 100_000_000)
    tracemalloc.start()
    try:
        assert "longer than 1 MiB" in fault(bomb)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


# -- slow and long


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"a\n", b"b\n"),
        (b"accountId,x\na,1\n", b"b,2\n"),
        (b'{"id":"a"}\n', b'{"id":"b"}\n'),
    ],
)
@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
def test_a_slow_pipe_gives_at_once(first: bytes, second: bytes, packing: str) -> None:
    """The first ID comes while the pipe is still open and the second is not yet written."""
    read_end, write_end = os.pipe()
    packers: dict[str, Any] = {
        "plain": None,
        "gzip": zlib.compressobj(wbits=31),
        "zstd": zstandard.ZstdCompressor().compressobj(),
    }
    sync_flush = {"gzip": zlib.Z_SYNC_FLUSH, "zstd": zstandard.COMPRESSOBJ_FLUSH_BLOCK}
    pack = packers[packing]

    def send(data: bytes) -> None:
        os.write(write_end, pack.compress(data) + pack.flush(sync_flush[packing]) if pack else data)

    with os.fdopen(read_end, "rb") as stdin:
        batches = read_list(["-"], stdin=stdin)
        send(first)
        assert [one.id for one in next(batches)] == ["a"]
        send(second)
        assert [one.id for one in next(batches)] == ["b"]
        if pack:
            os.write(write_end, pack.flush())
        os.close(write_end)
        assert list(batches) == []


def test_a_nonblocking_stdin_is_waited_for() -> None:
    """A stdin that some parent left non-blocking is slow, not ended."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    def write_late() -> None:
        with os.fdopen(write_end, "wb") as out:
            out.write(b"a\n")

    writer = threading.Timer(0.05, write_late)
    writer.start()
    with os.fdopen(read_end, "rb") as stdin:
        assert ids_in(read_list(["-"], stdin=stdin)) == ["a"]
    writer.join()


class Endless(io.RawIOBase):
    """A list of so many lines without ever holding them."""

    def __init__(self, lines: int) -> None:
        self._chunks = (b"".join(b"%032d\n" % i for i in range(n, n + 1000)) for n in range(0, lines, 1000))

    def read1(self, _size: int) -> bytes:
        """The next thousand lines."""
        return next(self._chunks, b"")


def test_memory_does_not_grow_with_the_list() -> None:
    """Ten times the list takes no more memory."""

    def peak(lines: int) -> int:
        stream: Any = Endless(lines)
        tracemalloc.start()
        try:
            assert sum(map(len, read_list(["-"], stdin=stream))) == lines
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)
    assert peak(100_000) < 1.5 * peak(10_000)


@given(
    st.lists(plain_ids, min_size=1, max_size=30),
    st.lists(st.integers(1, 7), min_size=1),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
@example(["ü", "a"], [1], "\r\n")
def test_any_split_reads_the_same(ids: list[str], sizes: list[int], newline: str) -> None:
    """However the bytes are split on their way, the IDs are the same: text, CSV and NDJSON."""
    text = newline.join(ids).encode()
    assert dribbled(text, sizes, input_format="text") == ids
    quoted = newline.join('"{}",x'.format(one.replace('"', '""')) for one in ids)
    assert dribbled(f"id,x{newline}{quoted}".encode(), sizes) == ids
    lines = newline.encode().join(orjson.dumps({"id": one, "x": 1}) for one in ids)
    assert dribbled(lines, sizes) == ids


# -- faults


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "stdin: has no account ID in it"),
        (b"\n# only a comment\n", "stdin: has no account ID in it"),
        (b"id,name\n", "stdin: has no account ID in it"),
        (b"a\nb\n\x00\n", "stdin:3: is binary, or text that is not UTF-8"),
        (b"a\nb\xff\n", "stdin:2: is binary, or text that is not UTF-8"),
        (b"a\r\nb\rc\xff", "stdin:3: is binary"),
        (b"a\n\xc3", "stdin:2: is binary"),
        (b"\xff\xfea\x00\n\x00\x00\xd8", "stdin:2: is binary, or text that is not UTF-16"),
        (b"PK\x03\x04rest", "stdin: is a spreadsheet or zip archive"),
        (b'{"id":"a"}\n{"id":\n', "stdin:2: is not valid JSON"),
        (b'{\n"id":"a"\n}\n', "jq -c ."),
        (b'{"id":"a"}\nplain\n', "each line must be a JSON object or string"),
        (b'[{"id":"a"}]\n', "stdin:1: is a JSON array: make it one object per line"),
        (b'[\n{"id":"a"}\n]\n', "jq -c '.[]'"),
        (
            b'{"name":"a","x":1}\n',
            "stdin:1: has no accountId or account_id or id, only name, x: name the property",
        ),
        (b'{"id":null}\n', "stdin:1: id is null, not an account ID"),
        (b'{"id":true}\n', "stdin:1: id is true, not an account ID"),
        (b'{"id":1.5}\n', "stdin:1: id is 1.5, not an account ID"),
        (b'\n{"id":" "}\n', "stdin:2: id is empty"),
        (
            b'{"id":"\\ud800"}\n',
            "stdin:1: the account ID '\\ud800' contains U+D800, an invisible or broken character",
        ),
        (b"id,name\na,x\n,y\n", "stdin:3: column 1, the account ID's, is empty"),
        (b"name,id\nx,a\ny\n", "stdin:3: the row ends before column 2"),
        (b"id,name\na,b,c\n", "stdin:2: the row has 3 columns, the header 2"),
        (b'id,name\na,"b"c\n', "stdin:2: is not valid CSV"),
        (b'id,name\na,x\nb,"c\nd\n', "stdin:3: is not valid CSV"),
        (b'"first name","last name"\n', "only first name, last name: name the column with --id-field"),
        (b"a\n" + b"x" * 5000 + b"\n", "stdin:2: the account ID is longer than 4096 characters"),
        (b"a\n" + b"x" * 2_000_000, "stdin:2: the line is longer than 1 MiB"),
    ],
)
def test_faults_say_where_and_what(data: bytes, said: str) -> None:
    """Each list that cannot be read is told by one sentence with its line."""
    message = fault(data)
    assert said in message
    assert "\n" not in message


def test_a_named_csv_must_have_its_column(tmp_path: Path) -> None:
    """A file called .csv without a usable column is refused, and its columns are named."""
    path = tmp_path / "people.csv"
    path.write_text("name;mail\nx;y\n")
    with pytest.raises(
        InputError, match=r"people\.csv:1: .*only name, mail: name the column with --id-field"
    ):
        from_files(path)


def test_all_files_are_looked_at_before_the_first_is_read(tmp_path: Path) -> None:
    """A missing file is reported before stdin is waited for."""
    with pytest.raises(InputError, match="no such file"):
        read_list(["-", str(tmp_path / "none")], stdin=NOTHING)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    """Missing files and folders are named, with what to do."""
    with pytest.raises(InputError, match="no such file"):
        from_files(tmp_path / "none")
    with pytest.raises(InputError, match="is a directory"):
        from_files(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        list(read_list(["a\0b"], stdin=NOTHING))


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without permission is told as such (root may read everything, so the answer is played)."""
    path = tmp_path / "list"
    path.write_text("a")

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match="Permission denied"):
        from_files(path)


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    """A pipe with a name cannot be read twice, and isn't."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    writer = threading.Thread(target=path.write_text, args=("a\n",))
    writer.start()
    assert from_files(path) == ["a"]
    writer.join()


def test_an_abandoned_read_closes_its_file(tmp_path: Path) -> None:
    """Who stops reading leaves no file open (warnings are errors here)."""
    path = tmp_path / "list"
    path.write_text("a\n" * 100_000)
    batches = read_list([str(path)], stdin=NOTHING)
    assert len(list(islice(batches, 2))) == 2
    del batches


# -- shards


def test_shards_are_even_and_keep_positions() -> None:
    """A shard has about an N-th of the list, at the positions of the whole list."""
    data = b"".join(b"%d\n" % i for i in range(4000))
    whole = ids_in(read_list(["-"], stdin=io.BytesIO(data)))
    shards = [
        [one for batch in read_list(["-"], stdin=io.BytesIO(data), shard=Shard(k, 4)) for one in batch]
        for k in range(1, 5)
    ]
    merged = sorted(account for shard in shards for account in shard)
    assert [(one.position, one.id) for one in merged] == list(enumerate(whole))
    assert all(900 < len(shard) < 1100 for shard in shards)
    assert sum(len(list(read_list(["-"], stdin=io.BytesIO(b"a\n"), shard=Shard(k, 2)))) for k in (1, 2)) == 1
