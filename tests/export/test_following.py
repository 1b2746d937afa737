"""Live outputs: they follow a ledger that another thread or process writes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harvester.errors import InputError, StoppedEarly, StopRun
from harvester.export import Control, Exported, Output, decoded, slices
from harvester.ledger import Ledger, LedgerReader
from harvester.model import ListedAccount, Settled, Shard
from tests.export.ledgers import (
    BEGUN,
    FACTS,
    Answer,
    accounts,
    finished,
    in_shard,
    settled,
    shards,
    unfinished,
    write,
)
from tests.export.outputs import (
    content,
    expected,
    expected_ndjson,
    made,
    opened,
    rows_in,
    rows_of,
    unpacked,
    written,
)

LISTED = accounts(300)


def shuffled(seed: int) -> Callable[[list[Settled]], Iterable[Settled]]:
    return lambda batch: Random(seed).sample(batch, len(batch))


class Exporting:
    """An export on a thread of its own; `positions` are those it told."""

    def __init__(self, ledger: Path | list[Path], output: Output, **options: Any) -> None:
        self.positions: list[int] = []
        self.exported: Exported | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._export, args=(ledger, output), kwargs=options)
        self._thread.start()

    def _export(self, ledger: Path | list[Path], output: Output, **options: Any) -> None:
        try:
            self.exported = written(ledger, output, follow=True, on_position=self.positions.append, **options)
        except StopRun as error:
            self.error = error

    def end(self) -> Exported | None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.exported


def followed(path: Path, output: Output, seed: int = 1) -> Exporting:
    """A harvest that is settled in any order, while it is exported."""

    async def main() -> Exporting:
        async with await Ledger.create(path, facts=FACTS) as ledger:
            await ledger.begin_run({"id": "run-1", "started": BEGUN, "version": "2"})
            exporting = Exporting(path, output)
            await write(ledger, LISTED, order=shuffled(seed), begin=False)
            await asyncio.to_thread(exporting.end)
            return exporting

    return asyncio.run(main())


@pytest.mark.parametrize(
    "name", ["out.ndjson", "out.csv", "out.ndjson.gz", "out.csv.zst", "out.singer", "out.parquet", "out/"]
)
def test_a_followed_output_equals_a_repeated_one(tmp_path: Path, name: str) -> None:
    """Byte by byte, though the accounts were settled in another order."""
    repeated = finished(tmp_path / "l.ledger", LISTED)
    made(repeated, f"{tmp_path}/repeated-{name}")
    exporting = followed(tmp_path / "live.ledger", opened(f"{tmp_path}/live-{name}"))
    exported = exporting.exported
    assert exporting.error is None
    assert exported is not None
    assert exported.complete
    assert exporting.positions == sorted(set(exporting.positions))
    assert exporting.positions[-1] == len(LISTED) - 1
    if name.endswith("/"):
        assert content(tmp_path / "live-out") == content(tmp_path / "repeated-out")
        assert rows_of(content(tmp_path / "live-out")) == expected(LISTED)
    else:
        live = (tmp_path / f"live-{name}").read_bytes()
        assert live == (tmp_path / f"repeated-{name}").read_bytes()
        assert rows_in(name, live) == expected(LISTED)
    assert not list(tmp_path.glob("live-*.partial"))


def with_a_second_shard(directory: Path, name: str, listed: dict[str, Answer]) -> Exporting:
    """One shard of two is finished; the other one reads its list, `listed`, while both are exported."""
    one, two = shards(directory, LISTED, 2)[0], directory / "two"

    async def main() -> Exporting:
        async with await Ledger.create(two, facts=FACTS | {"shard": "2/2"}) as ledger:
            await ledger.begin_run({"id": "run-2", "started": BEGUN, "version": "2"})
            exporting = Exporting([one, two], opened(f"{directory}/{name}"))
            await write(ledger, listed, keep=in_shard(Shard(2, 2)), order=shuffled(1), begin=False)
            await asyncio.to_thread(exporting.end)
            return exporting

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["out.ndjson", "out.parquet"])
def test_shards_can_be_followed(tmp_path: Path, name: str) -> None:
    """As if one run had harvested both."""
    made(finished(tmp_path / "whole", LISTED), f"{tmp_path}/whole-{name}")
    assert with_a_second_shard(tmp_path, name, LISTED).error is None
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


@pytest.mark.parametrize("name", ["out.ndjson", "out.parquet"])
def test_a_shard_that_reads_another_list_is_refused(tmp_path: Path, name: str) -> None:
    """Before a row of either is written."""
    exporting = with_a_second_shard(tmp_path, name, accounts(250))
    assert isinstance(exporting.error, InputError)
    assert (exporting.positions, list(tmp_path.glob("out*"))) == ([], [])


async def partly(path: Path, settle: Iterable[int]) -> Ledger:
    """A harvest under way, in which these positions are settled."""
    ledger = await Ledger.create(path, facts=FACTS)
    await ledger.begin_run({"id": "run-1", "started": BEGUN})
    await ledger.add([ListedAccount(position, one) for position, one in enumerate(LISTED)])
    await ledger.end_list()
    await more(ledger, settle)
    return ledger


async def more(ledger: Ledger, positions: Iterable[int]) -> None:
    answers = list(LISTED.items())
    batch = []
    for position in positions:
        account_id, answer = answers[position]
        assert answer is not None
        batch.append(settled(position, account_id, answer))
    await ledger.settle(batch)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # threads know no events of asyncio
            await asyncio.sleep(0.01)


async def test_only_what_is_settled_without_a_gap_is_written(tmp_path: Path) -> None:
    """As soon as it is; the reader of a file under way sees it, too."""
    ledger = await partly(tmp_path / "l", [*range(10), *range(11, 200)])
    exporting = Exporting(tmp_path / "l", opened(tmp_path / "out.ndjson"))
    await until(lambda: bool(exporting.positions))
    partial = tmp_path / "out.ndjson.partial"
    assert exporting.positions == [9]
    assert partial.read_bytes() == expected_ndjson(dict(list(LISTED.items())[:10]))
    await more(ledger, [10])
    await until(lambda: exporting.positions[-1] == 199)
    assert partial.read_bytes() == expected_ndjson(dict(list(LISTED.items())[:200]))
    assert not (tmp_path / "out.ndjson").exists()
    await more(ledger, range(200, len(LISTED)))
    exported = await asyncio.to_thread(exporting.end)
    assert exported is not None
    assert (tmp_path / "out.ndjson").read_bytes() == expected_ndjson(LISTED)
    await ledger.close()


@pytest.mark.parametrize("options", [{}, {"compress": "gzip"}, {"format": "singer"}])
async def test_a_stream_ends_with_the_last_account_settled(tmp_path: Path, options: dict[str, Any]) -> None:
    """When the run ends early, its reader has every row before the first gap, in a valid stream."""
    ledger = await partly(tmp_path / "l", [*range(150), 160])
    control = Control()
    with (tmp_path / "out").open("wb") as file:
        exporting = Exporting(tmp_path / "l", opened(f"/dev/fd/{file.fileno()}", control, **options))
        await until(lambda: bool(exporting.positions) and exporting.positions[-1] == 149)
        control.end()
        exported = await asyncio.to_thread(exporting.end)
    assert exported is not None
    assert (exported.complete, exported.files) == (False, ())
    first = dict(list(LISTED.items())[:150])
    assert exported.rows == len(expected(first))
    data = unpacked("x.gz" if "compress" in options else "x", (tmp_path / "out").read_bytes())
    if "format" in options:
        assert rows_in("x.singer", data) == expected(first)
        assert b"STATE" not in data
    else:
        assert data == expected_ndjson(first)
    await ledger.close()


@pytest.mark.parametrize("name", ["out.ndjson", "out.parquet", "out/"])
async def test_a_file_of_a_run_that_ends_early_is_not_made(tmp_path: Path, name: str) -> None:
    """Whether it was under way or not; the old one stays."""
    if not name.endswith("/"):
        (tmp_path / name).write_bytes(b"old")
    before = content(tmp_path)
    ledger = await partly(tmp_path / "l", range(150))
    control = Control()
    exporting = Exporting(tmp_path / "l", opened(f"{tmp_path}/{name}", control))
    control.end()
    exported = await asyncio.to_thread(exporting.end)
    assert exported is not None
    assert not exported.complete
    assert exported.files == ()
    await ledger.remove()
    assert {key: data for key, data in content(tmp_path).items() if key != "l"} == before


async def test_stopping_an_export_raises_why(tmp_path: Path) -> None:
    """At once, and nothing is left of the file."""
    ledger = await partly(tmp_path / "l", range(10))
    control = Control()
    exporting = Exporting(tmp_path / "l", opened(tmp_path / "out.ndjson", control))
    await until(lambda: bool(exporting.positions))
    why = StoppedEarly("enough")
    control.stop(why)
    assert await asyncio.to_thread(exporting.end) is None
    assert exporting.error is why
    await ledger.remove()
    assert content(tmp_path) == {}


def test_following_a_harvest_that_nobody_continues_ends(tmp_path: Path) -> None:
    """After `max_outage`, with status 5."""
    path = unfinished(tmp_path / "l", LISTED | {"more": None})
    ticks = iter(range(1000))
    with pytest.raises(StoppedEarly, match=r"no run has continued this harvest for 3 s"):
        written(
            path,
            opened(tmp_path / "out.ndjson"),
            follow=True,
            max_outage=3.0,
            clock=lambda: float(next(ticks)),
        )
    assert not list(tmp_path.glob("out*"))


def test_an_unfinished_harvest_is_refused(tmp_path: Path) -> None:
    """Unless what is settled is enough: with gaps, but in order."""
    path = unfinished(tmp_path / "l", LISTED | {"account-00007": None, "more": None})
    with pytest.raises(InputError, match=r"is unfinished.*--unfinished"):
        made(path, tmp_path / "out.ndjson")
    assert not list(tmp_path.glob("out*"))
    exported = written(path, opened(tmp_path / "out.ndjson"), unfinished=True)
    assert not exported.complete
    assert (tmp_path / "out.ndjson").read_bytes() == expected_ndjson(LISTED | {"account-00007": None})


async def test_a_list_that_is_added_between_two_queries_is_not_taken_for_settled(tmp_path: Path) -> None:
    """Or accounts would be passed over that are not requested yet."""
    loop = asyncio.get_running_loop()
    async with await Ledger.create(tmp_path / "l", facts=FACTS) as ledger:
        with LedgerReader(tmp_path / "l") as reader:
            query = reader.database.row

            def row(*values: Any) -> Any:
                found = query(*values)
                reader.database.row = query  # type: ignore[method-assign]
                asyncio.run_coroutine_threadsafe(write(ledger, {"a": None, "b": None}), loop).result(20)
                return found

            reader.database.row = row  # type: ignore[method-assign,assignment]
            assert await asyncio.to_thread(reader.entries, -1, 10) == []
            assert len(reader.entries(-1, 10, settled_only_prefix=False)) == 2


# --- the Python API


async def test_rows_come_as_they_are_settled(tmp_path: Path) -> None:
    """In order, as dicts, and no further than the caller gets."""
    ledger = await partly(tmp_path / "l", range(100))
    found: list[dict[str, Any]] = []
    first = len(expected(dict(list(LISTED.items())[:100])))
    async for entries in slices(tmp_path / "l"):
        for entry in entries:
            found += decoded(entry)
        if len(found) == first:
            await more(ledger, range(100, len(LISTED)))
    assert [(row["accountId"], row.get("date"), row.get("count")) for row in found] == [
        (one, date, None if count is None else int(count)) for one, date, count in expected(LISTED)
    ]
    assert next(row for row in found if "ratio" in row)["count"] == 123456789012345678901234567890
    assert list(found[0]) == ["accountId", "date", "count"]
    await ledger.close()


async def test_a_caller_may_leave_early(tmp_path: Path) -> None:
    """Or be canceled: the thread and the reader are gone."""
    ledger = await partly(tmp_path / "l", range(10))
    async for _ in slices(tmp_path / "l"):
        break
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            async for _ in slices(tmp_path / "l"):
                pass
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("export")])
    await ledger.remove()
    assert content(tmp_path) == {}
