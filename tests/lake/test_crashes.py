"""Whatever fails and wherever on the way to the lake, the next runs end in exactly the truth."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvester.errors import ResumeRefused, StopRun
from harvester.model import Shard
from harvester.settings.model import Settings
from harvester.sink.layout import choice
from harvester.sink.verify import verify
from tests.lake.stage import MemoryCloud, rows_of, rows_of_file, unpacked
from tests.sink.stage import (
    FaultyCommits,
    FaultyDisk,
    Plan,
    Play,
    PowerCut,
    canonical,
    play,
    true_failures,
    true_lines,
)

IDS = [f"account-{n}" for n in range(30)]

KINDS: dict[str, dict[str, Any]] = {
    "parquet-file": {"output": "out.parquet", "format": "parquet"},
    "parquet": {"output": "out/", "format": "parquet", "part_rows": 25},
    "months-gzip": {"output": "out/", "partition_by": "month", "compress": "gzip", "part_rows": 40},
    "months-parquet": {"output": "out/", "partition_by": "month", "format": "parquet", "part_rows": 40},
    "nights": {"output": "out/", "partition_by": "harvested", "part_rows": 25},
    "store": {"output": "s3://lake/usages/", "part_rows": 25},
    "store-zstd-nights": {"output": "s3://lake/u/", "compress": "zstd", "partition_by": "harvested"},
    "store-months-parquet": {
        "output": "s3://lake/u/",
        "format": "parquet",
        "partition_by": "month",
        "part_rows": 40,
    },
}


class Scene:
    """One output, local or in a store, in memory where that can be."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="harvester-", dir=memory if memory.is_dir() else None))
        self.attic = self.folder / "attic"
        self.attic.mkdir()
        self.options = KINDS[kind]
        self.remote = "://" in self.options["output"]
        self.cloud = MemoryCloud()
        monkeypatch.setattr(choice, "store_place", self.cloud.place)
        monkeypatch.setenv("XDG_STATE_HOME", str(self.folder / "state"))
        monkeypatch.setattr("harvester.sink.place.patience._FIRST", 0.001)

    @property
    def output(self) -> str:
        return self.options["output"] if self.remote else f"{self.folder}/{self.options['output']}"

    def run(self, script: Play, plan: Plan, *, fresh: bool = False, **more: Any) -> StopRun | PowerCut | None:
        """One run with faults; what ended it."""
        disk = FaultyDisk(plan, self.attic)
        self.cloud.plan = plan
        settings = Settings(
            **{**self.options, "output": self.output, "fresh": fresh, "max_outage": 0.0, **more}
        )
        with FaultyCommits(plan):
            try:
                play(settings, script, disk)
            except (StopRun, PowerCut) as error:
                if isinstance(error, PowerCut):
                    disk.lose_power(random.Random(7))
                return error
        return None

    def steps(self) -> int:
        """How many there are in a run without a fault."""
        plan = Plan()
        assert self.run(Play(IDS, batch=20), plan) is None
        self.clear()
        return plan.taken

    def clear(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder)
        self.attic.mkdir(parents=True)
        self.cloud.store = type(self.cloud.store)()

    def root(self, into: Path) -> Path:
        """The output as a local folder: what stands there, hidden files too."""
        if not self.remote:
            return Path(self.output)
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        return unpacked(self.cloud.objects(), into)

    def hold_truth(self, ids: list[str], into: Path) -> None:
        """Exactly the rows, the failures and a manifest of them, and nothing else."""
        root = self.root(into)
        if root.is_file():
            assert canonical(rows_of_file(root)) == canonical(true_lines(ids))
            left = sorted(path.name for path in self.folder.iterdir() if path.name not in ("attic", "state"))
            assert left == ["out.parquet", "out.parquet.failures.ndjson"]
            return
        assert canonical(rows_of(root)) == canonical(true_lines(ids))
        [success] = root.rglob("_SUCCESS")
        home = success.parent
        told = orjson.loads((home / "_manifest.json").read_bytes())
        parts = {path.relative_to(home).as_posix() for path in home.rglob("part-*")}
        assert {part["name"] for part in told["parts"]} == parts
        failed = [
            orjson.loads(line)["accountId"] for line in (home / "_failures.ndjson").read_bytes().splitlines()
        ]
        assert failed == true_failures(ids)
        files = {path.name for path in root.rglob("*") if path.is_file()}
        assert {name for name in files if not name.startswith("part-")} == {
            "_SUCCESS",
            "_manifest.json",
            "_failures.ndjson",
        }
        if self.remote:
            assert [path for path in (self.folder / "state").rglob("*") if path.is_file()] == []
        assert verify(home, lists=[ids]).findings == []

    def hold_whole_or_absent(self, into: Path) -> None:
        """Where there is a ``_SUCCESS``, all is there."""
        root = self.root(into)
        if root.is_dir() and list(root.rglob("_SUCCESS")):
            assert canonical(rows_of(root)) == canonical(true_lines(IDS))


@pytest.fixture
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    scene = Scene(request.param, monkeypatch)
    yield scene
    shutil.rmtree(scene.folder)


@pytest.mark.parametrize("scene", KINDS, indirect=True)
@pytest.mark.parametrize("kind", ["power", "late", "broken"])
def test_a_fault_at_any_step_loses_nothing(scene: Scene, kind: str, tmp_path: Path) -> None:
    """The power goes, or disk, ledger or store fail: the next run ends in the truth, strays gone."""
    steps = scene.steps()
    chance = random.Random(f"{kind}{steps}")
    for step in sorted({*chance.sample(range(steps), min(steps, 5)), *range(steps - 5, steps)}):
        scene.clear()
        ended = scene.run(Play(IDS, batch=20), Plan(step, kind))
        scene.hold_whole_or_absent(tmp_path / "store")
        if ended is not None:
            again = scene.run(Play(IDS, batch=20), Plan())
            assert again is None or "holds a complete harvest" in str(again), step
        scene.hold_truth(IDS, tmp_path / "store")


@pytest.mark.parametrize("scene", KINDS, indirect=True)
def test_a_harvest_goes_on_and_its_list_may_grow(scene: Scene, tmp_path: Path) -> None:
    """Stopped half-way, then resumed with IDs appended."""
    assert scene.run(Play(IDS[:20], stop_after=12), Plan()) is None
    script = Play(IDS)
    assert scene.run(script, Plan()) is None
    scene.hold_truth(IDS, tmp_path / "store")
    assert len(script.begun) == 18


@pytest.mark.parametrize("scene", [kind for kind in KINDS if kind != "parquet-file"], indirect=True)
def test_a_whole_harvest_is_refused_then_replaced_in_one_step(scene: Scene, tmp_path: Path) -> None:
    """The old one stands until the new one is whole; then only the new one is there."""
    assert scene.run(Play(IDS[:15]), Plan()) is None
    assert "holds a complete harvest" in str(scene.run(Play(IDS), Plan()))
    assert scene.run(Play(IDS, stop_after=25), Plan(), fresh=True) is None
    root = scene.root(tmp_path / "store")
    assert canonical(rows_of(root)) == canonical(true_lines(IDS[:15]))
    assert list(root.rglob("_SUCCESS"))
    assert scene.run(Play(IDS), Plan()) is None
    scene.hold_truth(IDS, tmp_path / "store")


@pytest.mark.parametrize("scene", ["parquet-file", "parquet", "store-months-parquet"], indirect=True)
def test_ids_appended_to_a_harvest_that_lacked_only_its_names(scene: Scene, tmp_path: Path) -> None:
    """Killed as it was published: it goes on behind what it had, or says how it can't."""
    steps = scene.steps()
    for step in range(steps - 8, steps):
        scene.clear()
        if scene.run(Play(IDS, batch=20), Plan(step, "power")) is None:
            continue
        longer = [*IDS, "one-more", "and-another"]
        ended = scene.run(Play(longer, batch=20), Plan())
        if ended is None:
            scene.hold_truth(longer, tmp_path / "store")
        else:
            assert isinstance(ended, StopRun)
            assert isinstance(ended, ResumeRefused) or "complete harvest" in str(ended)
            assert scene.run(Play(longer, batch=20), Plan(), fresh=True) is None
            scene.hold_truth(longer, tmp_path / "store")


@pytest.mark.parametrize("scene", ["store", "store-months-parquet"], indirect=True)
def test_shards_of_a_list_share_a_prefix(scene: Scene, tmp_path: Path) -> None:
    """Each is whole by itself; the last to end writes the manifest of all."""
    for index in (1, 2):
        assert not (scene.root(tmp_path / "store") / "_SUCCESS").exists()
        assert scene.run(Play(IDS[index - 1 :: 2]), Plan(), shard=Shard(index, 2)) is None
    root = scene.root(tmp_path / "store")
    assert canonical(rows_of(root)) == canonical(true_lines(IDS))
    assert verify(root, lists=[IDS]).findings == []
    assert orjson.loads((root / "_manifest.json").read_bytes())["shards"] == 2
