"""What verify proves of sound outputs, and what it finds in others."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import orjson
import pytest

from harvester.errors import InputError
from harvester.export import export, open_output
from harvester.ledger import LedgerReader
from harvester.model import ListedAccount, Shard
from harvester.source import listed
from harvester.verify import Verdict, verify
from harvester.verify.contents import row_of
from tests.export.ledgers import BEGUN, FACTS, accounts, finished, in_shard, unfinished
from tests.export.outputs import spec_of
from tests.verify.outputs import COUNT, NAMES, harvested

LIST = accounts(COUNT)
WITH_ROWS = [one for one, answer in LIST.items() if isinstance(answer, bytes) and answer != b"[]"]
FAILED = [one for one, answer in LIST.items() if isinstance(answer, str)]


def problems(verdict: Verdict) -> list[str]:
    return [str(finding) for finding in verdict.findings]


def given() -> Sequence[list[ListedAccount]]:
    """The list itself, without its ledger."""
    return list(listed(LIST))


# -- sound outputs


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_of_output_is_complete(tmp_path: Path, kind: str) -> None:
    """An output as a run leaves it: every account on the list is accounted for."""
    verdict = verify(harvested(tmp_path, kind))
    assert problems(verdict) == []
    assert verdict.complete
    assert verdict.listed == COUNT
    assert verdict.failed == len(FAILED)
    assert verdict.accounts == (COUNT - len(FAILED) if kind == "accounts" else len(WITH_ROWS))
    assert verdict.rows > 500
    assert verdict.notes == []


@pytest.mark.parametrize("kind", NAMES)
def test_a_given_list_serves_where_the_ledger_is_gone(tmp_path: Path, kind: str) -> None:
    """Without its ledger, an output is compared with the list and what it says of itself."""
    output = harvested(tmp_path, kind)
    next(tmp_path.glob("*.ledger")).unlink()
    verdict = verify(output, accounts=given())
    assert problems(verdict) == []
    assert verdict.listed == COUNT


def test_without_list_or_ledger_the_figures_must_hold(tmp_path: Path) -> None:
    """Without list and ledger, the summary's figures and checksum are compared."""
    output = harvested(tmp_path, "ndjson")
    next(tmp_path.glob("*.ledger")).unlink()
    verdict = verify(output)
    assert (problems(verdict), verdict.listed) == ([], None)


def test_nothing_is_changed(tmp_path: Path) -> None:
    """Verifying writes nothing next to the output."""
    output = harvested(tmp_path, "directory")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    verify(output)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_database_is_checked_as_what_it_is(tmp_path: Path) -> None:
    """An output that is the ledger itself is sound, settled, and counted."""
    output = finished(tmp_path / "usages.db", accounts(COUNT))
    verdict = verify(output)
    assert problems(verdict) == []
    assert (verdict.listed, verdict.failed) == (COUNT, len(FAILED))


def test_merged_shards(tmp_path: Path) -> None:
    """The output of several ledgers is compared with all of them, merged by position."""
    shards = [
        finished(
            tmp_path / f"shard-{one}.ledger",
            LIST,
            facts={**FACTS, "shard": f"{one}/2"},
            keep=in_shard(Shard(one, 2)),
            run_id=f"run-{one}",
        )
        for one in (1, 2)
    ]
    readers = [LedgerReader(one) for one in shards]
    output = open_output(spec_of(f"{tmp_path}/all.ndjson"), begun=BEGUN, observer=lambda _: None)
    export(readers, output)
    for reader in readers:
        reader.close()
    verdict = verify(tmp_path / "all.ndjson", ledgers=shards)
    assert (problems(verdict), verdict.listed) == ([], COUNT)
    alone = verify(tmp_path / "all.ndjson", ledgers=shards[:1])
    assert "is not on the list" in problems(alone)[0]
    shorter = dict(list(LIST.items())[:80])
    facts = {**FACTS, "shard": "2/2"}
    other = finished(tmp_path / "other.ledger", shorter, facts=facts, keep=in_shard(Shard(2, 2)))
    verdict = verify(tmp_path / "all.ndjson", ledgers=[shards[0], other])
    assert problems(verdict)[0].endswith("shard-1.ledger: this shard and the others are not of one list")


def test_a_night_of_changes(tmp_path: Path) -> None:
    """An output of changes need not have every account, but only accounts of the list, in its order."""
    output = harvested(tmp_path, "ndjson", changes=True)
    assert problems(verify(output)) == []
    lines = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(lines[len(lines) // 2 :] + lines[: len(lines) // 2]))
    assert any("repeated, or is not in the order" in one for one in problems(verify(output)))


# -- every way to be wrong, in every kind


def groups(lines: list[bytes]) -> list[list[bytes]]:
    """Lines by account."""
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        found.setdefault(
            line.split(b'"accountId":"')[1].split(b'"')[0] if b"{" in line[:1] else line.split(b",")[0], []
        ).append(line)
    return list(found.values())


def flat(found: list[list[bytes]]) -> list[bytes]:
    return list(chain.from_iterable(found))


def without_one(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    return flat(found[:4] + found[5:])


def one_twice(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    return flat([*found[:9], found[4], *found[9:]])


def two_swapped(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    return flat([*found[:4], found[5], found[4], *found[6:]])


def one_foreign(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    return flat([*found[:4], [line.replace(b"account-", b"foreign-") for line in found[4]], *found[4:]])


def one_row_less(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    return flat([*found[:4], found[4][1:], *found[5:]])


def a_month_twice(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    return flat([*found[:4], [found[4][0], *found[4]], *found[5:]])


def other_figure(lines: list[bytes]) -> list[bytes]:
    found = groups(lines)
    changed = (
        found[4][0].replace(b'"count":', b'"count":9')
        if b"{" in found[4][0]
        else found[4][0].replace(b"-01,", b"-01,9")
    )
    return flat([*found[:4], [changed, *found[4][1:]], *found[5:]])


Damage = Callable[[list[bytes]], list[bytes]]
DAMAGES: dict[Damage, str] = {
    without_one: f"{WITH_ROWS[4]}: is missing from the output",
    one_twice: f"{WITH_ROWS[4]} is repeated",
    two_swapped: f"{WITH_ROWS[4]} is repeated, or is not in the order of the list",
    one_foreign: f"{WITH_ROWS[4].replace('account', 'foreign')} is not on the list",
    one_row_less: f"{WITH_ROWS[4]} has ",
    a_month_twice: f"{WITH_ROWS[4]} has a month twice",
    other_figure: f"{WITH_ROWS[4]} has different rows from those harvested",
}


def damage(output: Path, how: Damage) -> None:
    """Damage a text file behind its header, if it has one."""
    data = output.read_bytes()
    packed = output.suffix == ".gz"
    lines = (gzip.decompress(data) if packed else data).splitlines(keepends=True)
    head = 0 if lines[0].startswith(b"{") else 1
    whole = b"".join(lines[:head] + how(lines[head:]))
    output.write_bytes(gzip.compress(whole) if packed else whole)


@pytest.mark.parametrize("how", DAMAGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", ["ndjson", "gzip", "csv"])
def test_damage_is_found_by_the_ledger(tmp_path: Path, kind: str, how: Damage) -> None:
    """Each kind of damage is named, with its account, even where the checksum is not at hand."""
    output = harvested(tmp_path, kind)
    damage(output, how)
    Path(f"{output}.summary.json").unlink()
    found = problems(verify(output))
    assert any(DAMAGES[how] in one for one in found), found
    assert len(found) <= 2


@pytest.mark.parametrize("how", DAMAGES, ids=lambda one: one.__name__)
def test_damage_is_found_by_a_list_and_the_summary(tmp_path: Path, how: Damage) -> None:
    """Without its ledger, damage shows by the list's order or by the summary's figures and checksum."""
    output = harvested(tmp_path, "ndjson")
    next(tmp_path.glob("*.ledger")).unlink()
    damage(output, how)
    found = problems(verify(output, accounts=given()))
    assert any("bytes, but" in one or "SHA-256" in one for one in found)
    if how in {one_twice, two_swapped}:
        assert any("not in the order of the list" in one for one in found)
    if how is one_foreign:
        assert any("is not on the list" in one for one in found)


@pytest.mark.parametrize("kind", NAMES)
def test_one_changed_byte_is_found(tmp_path: Path, kind: str) -> None:
    """Any byte that is not as it was written is found, in every kind of output."""
    output = harvested(tmp_path, kind)
    file = max(output.glob("part-*")) if output.is_dir() else output
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert any("SHA-256" in one and str(file) in one for one in problems(verify(output)))


def test_an_account_missing_from_a_directory_of_parts(tmp_path: Path) -> None:
    """An account that is missing from a part is named, and its part has too few rows."""
    output = harvested(tmp_path, "directory")
    damage(min(output.glob("part-*")), without_one)
    found = problems(verify(output))
    assert f"{WITH_ROWS[4]}: is missing from the output" in found
    assert any("were written" in one for one in found)


@pytest.mark.parametrize("kind", ["ndjson", "directory"])
def test_another_list_is_found(tmp_path: Path, kind: str) -> None:
    """A list with an account more than was harvested does not match, though none of its rows are missing."""
    output = harvested(tmp_path, kind)
    longer = listed([*LIST, "one-more"])
    found = problems(verify(output, accounts=longer))
    assert found == [f"the list: has {COUNT + 1} accounts, but that of the harvest had {COUNT}"]


# -- what belongs to an output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("_SUCCESS", "is not complete: it has no _SUCCESS"),
        ("_manifest.json", "is not complete: it has no _manifest.json"),
        ("part", "is missing, but the manifest names it"),
    ],
)
def test_a_directory_that_lacks_something(tmp_path: Path, name: str, said: str) -> None:
    """A directory without its marker, manifest or a part is not complete."""
    output = harvested(tmp_path, "directory")
    (sorted(output.glob("part-*"))[1] if name == "part" else output / name).unlink()
    assert any(said in one for one in problems(verify(output)))


def test_a_part_of_another_output(tmp_path: Path) -> None:
    """A part that the manifest does not name would be loaded along with the others."""
    output = harvested(tmp_path, "directory")
    (output / "part-00099.ndjson").write_bytes(b"")
    assert any("it belongs to another output" in one for one in problems(verify(output)))


def test_a_manifest_cannot_lead_elsewhere(tmp_path: Path) -> None:
    """Only files in the directory itself are parts."""
    output = harvested(tmp_path, "directory")
    path = output / "_manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"name": "part-', b'"name": "../part-', 1))
    assert any("is missing, but the manifest names it" in one for one in problems(verify(output)))


def test_days(tmp_path: Path) -> None:
    """An output by days is verified day by day; the ledger is that of the latest."""
    (tmp_path / "first").mkdir()
    old = harvested(tmp_path / "first", "directory", partition_by="harvested")
    new = harvested(tmp_path, "directory", partition_by="harvested")
    day = next(new.glob("harvested=*"))
    next(old.glob("harvested=*")).rename(new / "harvested=2026-11-01")
    verdict = verify(new)
    assert (problems(verdict), verdict.listed) == ([], COUNT)
    (day / "_SUCCESS").unlink()
    assert any(day.name in one for one in problems(verify(new)))


def test_an_unfinished_harvest(tmp_path: Path) -> None:
    """An output of a harvest that is not finished is not complete."""
    listed_ = {one: None if number > 100 else answer for number, (one, answer) in enumerate(LIST.items())}
    ledger = unfinished(tmp_path / "usages.ndjson.ledger.partial", listed_)
    with LedgerReader(ledger) as reader:
        output = open_output(spec_of(f"{tmp_path}/usages.ndjson"), begun=BEGUN, observer=lambda _: None)
        export([reader], output, unfinished=True)
    found = problems(verify(tmp_path / "usages.ndjson"))
    assert found == [f"the ledger: has {COUNT - 101} accounts that are not settled yet"]


def test_the_ledger_of_another_harvest(tmp_path: Path) -> None:
    """A run killed between output and ledger leaves last night's ledger: that is said, with what to do."""
    output = harvested(tmp_path, "ndjson")
    ledger = tmp_path / "usages.ndjson.ledger"
    ledger.unlink()
    finished(ledger, LIST, run_id="run-0")
    assert any("run the same command again" in one for one in problems(verify(output)))


def test_failures_must_be_those_of_the_ledger(tmp_path: Path) -> None:
    """A failures file that lacks an account does not account for it."""
    output = harvested(tmp_path, "ndjson")
    path = Path(f"{output}.failures.ndjson")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert any(
        f"{path}:3: has {FAILED[3]} where {FAILED[2]} failed" in one for one in problems(verify(output))
    )
    next(tmp_path.glob("*.ledger")).unlink()
    assert any(f"but {len(FAILED)} failed" in one for one in problems(verify(output, accounts=given())))
    path.unlink()
    assert any("no failures file" in note for note in verify(output).notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": 5}, "did not finish (status 5)"),
        ({"counts": {"distinct": 9, "harvested": 1, "empty": 1, "failed": 1}}, "but they add up to 3"),
        ({"outputs": []}, "is the summary of another output"),
    ],
)
def test_a_summary_that_contradicts(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """What the summary says of itself must hold."""
    output = harvested(tmp_path, "ndjson")
    path = Path(f"{output}.summary.json")
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **change}))
    assert any(said in one for one in problems(verify(output)))


@pytest.mark.parametrize(
    ("kind", "tail", "said"),
    [
        ("ndjson", b'{"accountId":"account-', "ends in the middle of a line"),
        ("ndjson", b"nonsense\n", "is not a line of an output"),
        ("ndjson", b'{"id":"x"}\n', "is not a line of an output"),
        ("csv", b"a,b\n", "is not a line of an output"),
        ("gzip", b"nonsense", "data is damaged"),
    ],
)
def test_a_file_that_is_not_valid(tmp_path: Path, kind: str, tail: bytes, said: str) -> None:
    """A broken line or damaged compression ends the file with a finding, not with a traceback."""
    output = harvested(tmp_path, kind)
    output.write_bytes(output.read_bytes() + tail)
    assert any(said in one or "columns, the header" in one for one in problems(verify(output)))


def test_a_parquet_file_that_is_not_valid(tmp_path: Path) -> None:
    """A Parquet file whose end is gone is a finding."""
    output = harvested(tmp_path, "parquet")
    output.write_bytes(output.read_bytes()[:-20])
    assert any("is not valid Parquet" in one for one in problems(verify(output)))


def test_a_damaged_database(tmp_path: Path) -> None:
    """An output that is a ledger with a damaged page is found, one way or the other."""
    output = finished(tmp_path / "usages.db", accounts(2000))
    data = bytearray(output.read_bytes())
    for page in range(8, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    output.write_bytes(data)
    assert not verify(output).complete


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.ndjson", "no such output"), ("bare.ndjson", "neither a ledger nor a summary")],
)
def test_nothing_to_verify(tmp_path: Path, name: str, said: str) -> None:
    """Without output, or without anything to compare it with, there is nothing to prove: wrong usage."""
    (tmp_path / "bare.ndjson").write_bytes(b"")
    with pytest.raises(InputError, match=said):
        verify(tmp_path / name)


def test_findings_are_bounded(tmp_path: Path) -> None:
    """However much is wrong, a hundred findings are kept and the rest is counted."""
    output = tmp_path / "usages.ndjson"
    finished(tmp_path / "usages.ndjson.ledger", accounts(1000))
    output.write_bytes(b"")
    verdict = verify(output)
    assert len(verdict.findings) == 100
    assert verdict.more + 100 == len(
        [one for one in accounts(1000).values() if isinstance(one, bytes) and one != b"[]"]
    )


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    """Many more accounts take no more memory."""

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        ledger = finished(folder / "usages.ndjson.ledger", accounts(count))
        with LedgerReader(ledger) as reader:
            spec = spec_of(f"{folder}/usages.ndjson")
            export([reader], open_output(spec, begun=BEGUN, observer=lambda _: None))
        tracemalloc.start()
        try:
            assert verify(folder / "usages.ndjson").complete
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(4000) < 1.5 * peak(1500)


@pytest.mark.parametrize(
    ("written", "harvested_as"),
    [(3.0, 3), ("1e0", 1.0), ("17", 17), (2.5, "2.5"), (None, ""), (1e300, 10**300)],
)
def test_a_count_is_compared_by_its_value(written: object, harvested_as: object) -> None:
    """Parquet writes whole numbers as doubles where others are not whole, and text as the tenant does."""
    assert row_of("2026-10-01", written) == row_of("2026-10-01", harvested_as)
    assert row_of("2026-10-01", 3.0) != row_of("2026-10-01", 4)
