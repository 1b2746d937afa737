"""Only what differs is written, and the state moves only when the output is whole."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import OutputFault, ResumeRefused, SettingFault, StoppedEarly
from harvester.ledger import Baseline
from harvester.settings.model import Settings
from harvester.sink.verify import verify
from harvester.sink.writer import open_writer
from tests.changes.nights import Mirror, fails_at, night_of, rows_at, sorted_lines, told
from tests.sink.stage import FaultyCommits, FaultyDisk, Plan, PowerCut, ignore, lines, names

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"output": "{night}.ndjson"},
    "gzip": {"output": "{night}.ndjson.gz"},
    "ordered": {"output": "{night}.ndjson", "ordered": True},
    "parts": {"output": "{night}/", "part_rows": 12},
    "parts-zstd-ordered": {"output": "{night}/", "part_bytes": 300, "compress": "zstd", "ordered": True},
}


class Scene:
    """A folder with a state and an output a night."""

    def __init__(self, kind: str) -> None:
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="changes-", dir=memory if memory.is_dir() else None))
        self.attic = self.folder / "attic"
        self.attic.mkdir()
        self.kind = KINDS[kind]
        self.state = self.folder / "usages.state"

    def output(self, night: int) -> Path:
        return Path(self.folder, self.kind["output"].format(night=night))

    def settings(self, night: int, **more: Any) -> Settings:
        output = f"{self.folder}/{self.kind['output'].format(night=night)}"
        return Settings(**{**self.kind, "output": output, "changes": self.state, **more})

    def faulty(
        self, night: int, ids: list[str], plan: Plan, *, power: int = 0, **how: Any
    ) -> BaseException | None:
        """One run with faults; what ended it."""
        disk = FaultyDisk(plan, self.attic)
        try:
            with FaultyCommits(plan):
                night_of(night, ids, self.settings(night), disk=disk, **how)
        except (PowerCut, StoppedEarly) as ended:
            disk.lose_power(random.Random(power))
            return ended
        return None

    def whole(self, night: int) -> bool:
        """Whether the output says that it is complete."""
        output = self.output(night)
        return (output / "_SUCCESS").exists() if self.kind["output"].endswith("/") else output.exists()

    def ended(self, night: int) -> bool:
        """Whether nothing is left to be done for it either."""
        output = self.output(night)
        ledger = output / "_ledger" if output.is_dir() else Path(f"{output}.ledger")
        return self.whole(night) and not ledger.exists()

    def snapshot(self) -> bytes:
        return self.state.read_bytes()


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    scene = Scene(getattr(request, "param", "plain"))
    yield scene
    shutil.rmtree(scene.folder)


@pytest.mark.parametrize("scene", KINDS, indirect=True)
def test_each_night_tells_exactly_the_difference(scene: Scene) -> None:
    """Over many nights, lists that grow and shrink, stops and failures: the difference, and nothing else."""
    mirror = Mirror()
    lists = [names(40), names(40), names(30), names(50), names(20, first=15), names(50)]
    for night, ids in enumerate(lists):
        for stop in (5, 8, None):
            night_of(night, ids, scene.settings(night), stop_after=stop, seed=night)
        expected = mirror.expected(night, ids)
        assert told(scene.output(night)) == sorted_lines(expected)
        if scene.settings(night).ordered:
            places = {one: place for place, one in enumerate(ids)}
            order = [places[line["accountId"]] for line in lines(scene.output(night))]
            assert order == sorted(order)
        assert (
            verify(scene.output(night), lists=[ids] if scene.output(night).is_dir() else None).findings == []
        )
        mirror.read(lines(scene.output(night)))
    assert {path.name for path in scene.folder.glob("usages*")} == {"usages.state"}


@pytest.mark.parametrize("scene", ["plain", "parts"], indirect=True)
@pytest.mark.parametrize("fault", ["power", "late", "broken"])
def test_a_fault_at_any_step_costs_nothing(scene: Scene, fault: str) -> None:
    """Whichever step fails or is the last, the state is the old one or the new, and the next run right."""
    ids = names(16)
    night_of(0, ids, scene.settings(0))
    mirror, before = Mirror(), scene.snapshot()
    mirror.read(lines(scene.output(0)))
    expected = sorted_lines(mirror.expected(1, ids))
    count = Plan()
    assert scene.faulty(1, ids, count) is None
    after = scene.snapshot()
    for step in range(count.taken):
        clear(scene, before)
        assert scene.faulty(1, ids, Plan(step, fault), power=step) is not None, step
        assert scene.whole(1) or contents(scene.state, ids) == contents_of(before, ids, scene), "too early"
        if not scene.ended(1):  # a harvest that has ended is not repeated: there would be no difference
            again = again_whole(scene, ids)
            assert again is None or "complete harvest" in str(again), step
        assert told(scene.output(1)) == expected, step
        assert contents(scene.state, ids) == contents_of(after, ids, scene), step


def clear(scene: Scene, state: bytes) -> None:
    """Back to the morning after the first night."""
    for path in scene.folder.iterdir():
        if path != scene.attic and path.name != "usages.state":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(scene.attic)
    scene.attic.mkdir()
    scene.state.write_bytes(state)


def again_whole(scene: Scene, ids: list[str]) -> OutputFault | None:
    try:
        night_of(1, ids, scene.settings(1))
    except OutputFault as fault:
        return fault
    return None


def contents(state: Path, ids: list[str]) -> dict[str, str]:
    baseline = Baseline(state)
    try:
        return baseline.contents(ids)
    finally:
        baseline.close()


def contents_of(state: bytes, ids: list[str], scene: Scene) -> dict[str, str]:
    copy = scene.attic / "copy"
    copy.write_bytes(state)
    return contents(copy, ids)


def test_a_state_that_another_harvest_moved_is_told(scene: Scene) -> None:
    """An unfinished harvest whose differences are out of date is refused; begun anew, it is right."""
    ids = names(30)
    night_of(0, ids, scene.settings(0))
    night_of(1, ids, scene.settings(1), stop_after=9)
    night_of(2, ids, scene.settings(2))
    with pytest.raises(ResumeRefused, match="--fresh"):
        night_of(1, ids, scene.settings(1))
    mirror = Mirror()
    for night in (0, 2):
        mirror.read(lines(scene.output(night)))
    night_of(3, ids, scene.settings(1, fresh=True))
    assert told(scene.output(1)) == sorted_lines(mirror.expected(3, ids))


@pytest.mark.parametrize("scene", ["plain", "parts"], indirect=True)
def test_beginning_anew_tells_from_what_was_published(scene: Scene) -> None:
    """Wherever a harvest was cut off, a fresh one tells the difference from the night that the state is of.

    One that lacked only its final names gets them first, and then the state is of that night.
    """
    ids = names(16)
    night_of(0, ids, scene.settings(0))
    before, mirror, later = scene.snapshot(), Mirror(), Mirror()
    mirror.read(lines(scene.output(0)))
    count = Plan()
    assert scene.faulty(1, ids, count) is None
    later.rows = dict(mirror.rows)
    later.read(lines(scene.output(1)))
    from_first, from_second = (sorted_lines(one.expected(2, ids)) for one in (mirror, later))
    found = []
    for step in range(count.taken):
        clear(scene, before)
        assert scene.faulty(1, ids, Plan(step, "late"), power=step) is not None
        night_of(2, ids, scene.settings(1, fresh=True))
        found.append(told(scene.output(1)))
        assert found[-1] in (from_first, from_second), step
    assert from_first != from_second
    assert from_first in found
    assert from_second in found


def test_accounts_that_fail_or_are_not_listed_keep_what_is_known(scene: Scene) -> None:
    """Neither is gone: nobody has seen that."""
    ids = names(40)
    night_of(0, ids, scene.settings(0))
    known = contents(scene.state, ids)
    night_of(1, ids[:20], scene.settings(1))
    now = contents(scene.state, ids)
    failed = [one for one in ids[:20] if fails_at(1, one)]
    assert failed
    for one in [*failed, *ids[20:]]:
        assert now.get(one) == known.get(one)
    told_of = {line["accountId"] for line in lines(scene.output(1))}
    assert not told_of & set(failed)
    assert any(rows_at(1, one) != rows_at(0, one) for one in ids[:20])


def test_a_state_of_other_rows_is_refused(scene: Scene) -> None:
    """Tenant, API version and first month decide what rows there are; nothing is written then."""
    night_of(0, names(5), scene.settings(0))
    for other in ({"since": "2026-03"}, {"api_version": "v3"}, {"base_url": "https://b.example"}):
        with pytest.raises(SettingFault, match=r"--changes: .* was made with --"):
            night_of(1, names(5), scene.settings(1, **other))
    assert sorted(path.name for path in scene.folder.iterdir() if path.is_file()) == [
        "0.ndjson",
        "usages.state",
    ]


async def test_a_state_is_used_by_one_run_at_a_time(scene: Scene) -> None:
    """A second run is told who holds it, whatever its output is called."""
    async with open_writer(scene.settings(0), ignore):
        with pytest.raises(OutputFault, match=r"usages\.state\.lock: process \d+ .* works with this state"):
            async with open_writer(scene.settings(1), ignore):
                pass


@pytest.mark.parametrize("content", [b"no database\n" * 50, None], ids=["text", "ledger"])
def test_a_file_that_is_no_state_is_refused(scene: Scene, content: bytes | None) -> None:
    """It is not changed, and the sentence says what it is not."""
    if content is None:
        night_of(0, names(20), scene.settings(0, changes=None), stop_after=8)
        Path(f"{scene.output(0)}.ledger").rename(scene.state)
    else:
        scene.state.write_bytes(content)
    before = scene.snapshot()
    with pytest.raises(OutputFault, match="no state of changes"):
        night_of(1, names(5), scene.settings(1))
    assert scene.snapshot() == before
    assert not scene.output(1).exists()


def test_only_rows_change(scene: Scene) -> None:
    """The shape accounts and Singer's format know no changes: said before anything is done."""
    for other in ({"shape": "accounts"}, {"format": "singer"}):
        with pytest.raises(SettingFault, match=r"^changes: "):
            scene.settings(0, **other)


def test_columns_are_no_difference(scene: Scene) -> None:
    """Where a row comes from is told with each line, gone ones too, and compared with nothing."""
    ids, columns = names(30), ("harvestedAt", "runId")
    night_of(0, ids, scene.settings(0, columns=columns))
    mirror = Mirror()
    mirror.read([{k: v for k, v in line.items() if k not in columns} for line in lines(scene.output(0))])
    night_of(1, ids, scene.settings(1, columns=columns))
    found = lines(scene.output(1))
    assert {"gone", "new", "changed"} == {line["change"] for line in found}
    assert all(set(columns) <= line.keys() for line in found)
    plain = [{k: v for k, v in line.items() if k not in columns} for line in found]
    assert sorted_lines(plain) == sorted_lines(mirror.expected(1, ids))


def test_any_id_can_be_remembered(scene: Scene) -> None:
    """IDs with quotes, line ends, NUL or beyond ASCII are told apart, and their rows found again."""
    ids = ["a\0b", "a", "a\0c", 'quote"', "line\nend", "Ünïcode😀", "  blank"]
    night_of(0, ids, scene.settings(0))
    night_of(5, ids, scene.settings(1))
    mirror = Mirror()
    mirror.read(lines(scene.output(0)))
    assert told(scene.output(1)) == sorted_lines(mirror.expected(5, ids))
