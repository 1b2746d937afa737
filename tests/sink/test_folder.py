"""Folders: parts, shards, and what is refused or replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvester.errors import OutputFault
from harvester.events import Event, PartFinished
from harvester.model import Shard
from harvester.settings.model import Settings
from harvester.sink.verify import verify
from tests.sink.stage import Play, canonical, lines, names, play, true_failures, true_lines


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def manifest(folder: str = "out", tag: str = "") -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(Path(folder, f"_manifest{tag}.json").read_bytes())
    return told


def test_parts_are_as_large_as_asked_and_split_no_account() -> None:
    """No part has more rows than asked for, and an account's rows stand in one part."""
    play(Settings(output="out/", part_rows=12), Play(names(80)))
    parts = [lines(path) for path in sorted(Path("out").glob("part-*"))]
    assert len(parts) > 10
    assert all(0 < len(part) <= 12 for part in parts)
    where: dict[str, set[int]] = {}
    for number, part in enumerate(parts):
        for line in part:
            where.setdefault(line["accountId"], set()).add(number)
    assert all(len(numbers) == 1 for numbers in where.values())


def test_parts_by_bytes() -> None:
    """Plain parts are no larger than asked for, unless one account is."""
    play(Settings(output="out/", part_bytes=500), Play(names(80)))
    sizes = [path.stat().st_size for path in Path("out").glob("part-*")]
    assert len(sizes) > 10
    assert max(sizes) <= 500


def test_finished_parts_are_shown_while_the_harvest_goes_on() -> None:
    """A part gets its final name when it is whole; the open one is hidden; each is told once."""
    heard: list[Event] = []

    play(Settings(output="out/", part_rows=12), Play(names(80), stop_after=60), observer=heard.append)
    shown = {path.name for path in Path("out").glob("part-*")}
    assert shown == {event.name for event in heard if isinstance(event, PartFinished)}
    assert len(shown) > 5
    assert len(list(Path("out").glob(".part-*.partial"))) == 1
    assert not Path("out/_SUCCESS").exists()
    play(Settings(output="out/", part_rows=12), Play(names(80)), observer=heard.append)
    told = [event.name for event in heard if isinstance(event, PartFinished)]
    assert sorted(told) == sorted({part["name"] for part in manifest()["parts"]})


def test_the_manifest_tells_what_is_there() -> None:
    """Parts, rows, bytes, checksums and accounts, those answered without rows included."""
    play(Settings(output="out/", part_rows=20, base_url="https://a.example"), Play(names(80)))
    told = manifest()
    assert told["rows"] == len(true_lines(names(80))) == sum(part["rows"] for part in told["parts"])
    assert told["accounts"]["distinct"]["count"] == 80
    assert told["accounts"]["failed"]["count"] == len(true_failures(names(80)))
    assert told["options"]["--base-url"] == "https://a.example"
    assert told["failures"] == "_failures.ndjson"
    assert verify(Path("out"), lists=[names(80)]).whole


def test_a_complete_harvest_is_replaced_only_if_asked_for() -> None:
    """Refused without --fresh; with it, the old parts stand until the new ones are whole, then go."""
    play(Settings(output="out/"), Play(names(9)))
    old = sorted(path.name for path in Path("out").iterdir())
    with pytest.raises(OutputFault, match="out/: holds a complete harvest: replace it with --fresh"):
        play(Settings(output="out/"), Play(names(9)))
    play(Settings(output="out/", part_rows=5, fresh=True), Play(names(30), stop_after=20))
    assert sorted(path.name for path in Path("out").iterdir() if path.name in old) == old
    assert canonical(lines(Path("out"))) == canonical(true_lines(names(9)))
    play(Settings(output="out/", part_rows=5), Play(names(30)))
    assert canonical(lines(Path("out"))) == canonical(true_lines(names(30)))
    assert verify(Path("out"), lists=[names(30)]).whole


def test_parts_whose_ledger_is_gone_are_refused() -> None:
    """They can't be told from data that would be there twice; --fresh removes them."""
    play(Settings(output="out/", part_rows=5), Play(names(30), stop_after=20))
    Path("out/_ledger").unlink()
    with pytest.raises(OutputFault, match="holds parts of a harvest whose ledger is gone"):
        play(Settings(output="out/"), Play(names(30)))
    play(Settings(output="out/", fresh=True), Play(names(30)))
    assert canonical(lines(Path("out"))) == canonical(true_lines(names(30)))


def test_other_files_in_the_folder_are_left_alone() -> None:
    """Only what a harvest wrote is ever removed."""
    Path("out").mkdir()
    for name in ("README", "part-time.csv", ".hidden"):
        Path("out", name).write_text("mine")
    play(Settings(output="out/"), Play(names(9)))
    play(Settings(output="out/", fresh=True), Play(names(9)))
    assert {Path("out", name).read_text() for name in ("README", "part-time.csv", ".hidden")} == {"mine"}


# -- shards


def shard(index: int, ids: list[str], count: int = 3, **more: Any) -> Settings:
    """The settings of one shard; its share of the list is every third ID here."""
    return Settings(output="out/", part_rows=10, shard=Shard(index, count), **more)


def test_shards_stand_side_by_side_and_are_whole_together() -> None:
    """Each has its own manifest; the last one writes the overall one; only then is there _SUCCESS."""
    ids = names(60)
    for index in (2, 3, 1):
        assert not Path("out/_SUCCESS").exists()
        play(shard(index, ids), Play(ids[index - 1 :: 3]))
    assert canonical(lines(Path("out"))) == canonical(true_lines(ids))
    assert manifest()["accounts"]["distinct"]["count"] == 60
    assert manifest()["rows"] == len(true_lines(ids))
    assert manifest(tag=".2of3")["shard"] == "2/3"
    assert verify(Path("out"), lists=[ids]).findings == []
    failed = [line["accountId"] for path in Path("out").glob("_failures.*of3.ndjson") for line in lines(path)]
    assert sorted(failed) == sorted(true_failures(ids))


def test_shards_may_run_at_once() -> None:
    """Each has its own lock and ledger; two that finish at once still write the overall _SUCCESS."""
    ids = names(60)

    async def one(index: int) -> None:
        await asyncio.to_thread(play, shard(index, ids), Play(ids[index - 1 :: 3]))

    async def main() -> None:
        await asyncio.gather(one(1), one(2), one(3))

    asyncio.run(main())
    assert verify(Path("out"), lists=[ids]).findings == []


def test_one_shard_can_be_replaced() -> None:
    """While it is, the folder is not whole; the others stay."""
    ids = names(60)
    for index in (1, 2, 3):
        play(shard(index, ids), Play(ids[index - 1 :: 3]))
    with pytest.raises(OutputFault, match="holds a complete harvest"):
        play(shard(2, ids), Play(ids[1::3]))
    play(shard(2, ids, fresh=True), Play([*ids[1::3], "one-more"]))
    assert verify(Path("out"), lists=[[*ids, "one-more"]]).findings == []


@pytest.mark.parametrize("other", [None, Shard(1, 2)])
def test_other_sharding_is_refused(other: Shard | None) -> None:
    """One folder holds one list, whole or in shards of one count."""
    play(shard(1, []), Play(names(9)[::3]))
    with pytest.raises(OutputFault, match="holds shard 1of3, to which this run can't be added"):
        play(Settings(output="out/", shard=other), Play(names(9)))


def test_a_shard_is_refused_beside_a_whole_harvest() -> None:
    """Its rows would be there twice."""
    play(Settings(output="out/"), Play(names(9)))
    with pytest.raises(OutputFault, match="holds a harvest without shards"):
        play(shard(1, []), Play(names(9)))
