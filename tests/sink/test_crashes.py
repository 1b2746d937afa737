"""Nothing lost, nothing twice: whatever fails and wherever, the next runs end in exactly the truth."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harvester.errors import OutputFault, StoppedEarly, StopRun
from harvester.settings.model import Settings
from harvester.sink.verify import verify
from tests.sink.stage import (
    FaultyCommits,
    FaultyDisk,
    Plan,
    Play,
    PowerCut,
    canonical,
    lines,
    names,
    play,
    tool_says,
    true_failures,
    true_lines,
)

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"output": "out.ndjson"},
    "gzip": {"output": "out.ndjson.gz"},
    "zstd": {"output": "out.ndjson.zst"},
    "ordered": {"output": "out.ndjson", "ordered": True},
    "accounts": {"output": "out.ndjson", "shape": "accounts"},
    "parts": {"output": "out/", "part_rows": 12},
    "parts-gzip-ordered": {"output": "out/", "part_bytes": 200, "compress": "gzip", "ordered": True},
}


class Scene:
    """One output in a folder of its own, and what must hold of it.

    In memory where that can be: what a sync promises is played by `FaultyDisk`, a real one takes its time.
    """

    def __init__(self, kind: str) -> None:
        memory = Path("/dev/shm")
        folder = Path(tempfile.mkdtemp(prefix="harvester-", dir=memory if memory.is_dir() else None))
        self.folder = folder
        self.attic = folder / "attic"
        self.attic.mkdir()
        options = KINDS[kind]
        self.output = folder / options["output"]
        self.settings = {**options, "output": f"{folder}/{options['output']}"}
        self.is_folder: bool = options["output"].endswith("/")
        self.ledger = self.output / "_ledger" if self.is_folder else Path(f"{self.output}.ledger")

    def run(
        self, script: Play, plan: Plan, *, fresh: bool = False, power: int | None = None
    ) -> StopRun | PowerCut | None:
        """One run with faults; what ended it."""
        disk = FaultyDisk(plan, self.attic)
        ended: StopRun | PowerCut | None = None
        with FaultyCommits(plan):
            try:
                play(Settings(**self.settings, fresh=fresh), script, disk)
            except (StopRun, PowerCut) as error:
                ended = error
        if power is not None and isinstance(ended, PowerCut):
            disk.lose_power(random.Random(power))
        return ended

    @property
    def whole(self) -> bool:
        """Whether the output says that it is complete."""
        final: Path = self.output / "_SUCCESS" if self.is_folder else self.output
        return final.exists()

    def hold_truth(self, ids: list[str]) -> None:
        """The output is exactly the truth of `ids`, by our eyes and by `verify`'s and the standard tools'."""
        expected = true_lines(ids, self.settings.get("shape", "rows"))
        found = lines(self.output)
        assert canonical(found) == canonical(expected)
        if self.settings.get("ordered"):
            assert found == expected
        failures = (
            self.output / "_failures.ndjson" if self.is_folder else Path(f"{self.output}.failures.ndjson")
        )
        failed = [line["accountId"] for line in lines(failures)] if failures.exists() else []
        assert failed == true_failures(ids)
        assert failures.exists() == bool(failed)
        assert verify(self.output, lists=[ids] if self.is_folder else None).findings == []

    def hold_one_of(self, truths: list[list[str]]) -> None:
        """Where the output says that it is complete, it is: the truth of one of these lists, whole."""
        if not self.whole:
            return
        found = canonical(lines(self.output))
        shape = self.settings.get("shape", "rows")
        assert any(found == canonical(true_lines(ids, shape)) for ids in truths)
        if self.is_folder:
            told = orjson.loads((self.output / "_manifest.json").read_bytes())
            assert {part["name"] for part in told["parts"]} == {p.name for p in self.output.glob("part-*")}

    def hold_tools(self) -> None:
        """The standard tools read the output as we do."""
        for part in sorted(self.output.glob("part-*")) if self.is_folder else [self.output]:
            assert [orjson.loads(line) for line in tool_says(part).splitlines()] == lines(part)

    def clear(self) -> None:
        """Begin anew."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.attic.mkdir()

    def leftovers(self) -> list[str]:
        """Files that should not be there after a harvest."""
        final = ("part-", "_SUCCESS", "_manifest.json", "_failures.ndjson", "out.ndjson.failures.ndjson")
        folder = self.output if self.is_folder else self.folder
        return [
            path.name
            for path in folder.iterdir()
            if path.is_file()
            and path != self.output
            and not path.name.startswith(final)
            and not path.name.endswith(".failures.ndjson")
        ]


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    scene = Scene(request.param)
    yield scene
    shutil.rmtree(scene.folder)


def steps_of(scene: Scene, ids: list[str]) -> int:
    """How many steps a whole harvest takes; leaves nothing behind."""
    plan = Plan()
    assert scene.run(Play(ids), plan) is None
    scene.hold_truth(ids)
    scene.hold_tools()
    assert scene.leftovers() == []
    scene.clear()
    return plan.taken


@pytest.mark.parametrize(
    ("scene", "fault"),
    [(kind, "power") for kind in KINDS]
    + [(kind, fault) for kind in ("plain", "parts") for fault in ("late", "full")],
    indirect=["scene"],
)
def test_a_fault_at_any_step_costs_nothing(scene: Scene, fault: str) -> None:
    """Whichever step fails or is the last before the power goes, the next run ends in the truth."""
    ids = names(12)
    for step in range(steps_of(scene, ids)):
        script = Play(ids)
        ended = scene.run(script, Plan(step, fault), power=step)
        assert isinstance(ended, StoppedEarly if fault == "full" else PowerCut), step
        scene.hold_one_of([ids])
        assert scene.whole or scene.ledger.exists() or not script.sealed, "the ledger outlives the last step"
        again = scene.run(Play(ids), Plan())
        assert again is None or (scene.is_folder and "complete harvest" in str(again)), step
        scene.hold_truth(ids)
        assert scene.leftovers() == [], step
        scene.clear()
    scene.run(Play(ids, stop_after=7), Plan())
    scene.run(Play(ids), Plan())
    scene.hold_tools()


@pytest.mark.parametrize("scene", ["parts"], indirect=True)
@pytest.mark.parametrize("fault", ["power", "late"])
def test_a_fault_at_any_step_of_replacing_a_folder(scene: Scene, fault: str) -> None:
    """What a folder holds is the old harvest or the new one, whenever the power goes as it is replaced."""
    old, new = names(4), names(7, first=100)
    assert scene.run(Play(old), Plan()) is None
    count = Plan()
    assert scene.run(Play(new), count, fresh=True) is None
    for step in range(count.taken):
        shutil.rmtree(scene.output)
        assert scene.run(Play(old), Plan()) is None
        assert isinstance(scene.run(Play(new), Plan(step, fault), fresh=True, power=step), PowerCut)
        scene.hold_one_of([old, new])
        assert scene.run(Play(new), Plan(), fresh=True) is None
        scene.hold_truth(new)
        assert scene.leftovers() == [], step


class Harvests(RuleBasedStateMachine):
    """Runs with faults, power cuts, appended IDs, fresh beginnings, against what is known to be durable."""

    @initialize(kind=st.sampled_from(sorted(KINDS)), count=st.integers(1, 40))
    def begin(self, kind: str, count: int) -> None:
        self.scene = Scene(kind)
        self.ids = names(count)
        self.durable: set[str] = set()
        self.truths: list[list[str]] = []

    def teardown(self) -> None:
        if hasattr(self, "scene"):
            shutil.rmtree(self.scene.folder)

    @rule(count=st.integers(1, 10))
    def append(self, count: int) -> None:
        """IDs are appended to the list, one of them a repeat."""
        self.ids = [*self.ids, *names(count, first=len(self.ids)), self.ids[0]]

    @rule(
        stop_after=st.none() | st.integers(0, 40),
        step=st.integers(0, 60),
        kind=st.sampled_from(["power", "late", "full", "broken"]),
        seed=st.integers(0, 1000),
        fresh=st.sampled_from([False, False, False, True]),
    )
    def run_with_fault(self, stop_after: int | None, step: int, kind: str, seed: int, *, fresh: bool) -> None:
        """A run that ends early by itself, by a fault, or not at all."""
        self._run(Play(self.ids, stop_after, random.Random(seed)), Plan(step, kind), fresh=fresh, power=seed)

    @rule(fresh=st.booleans())
    def run_to_the_end(self, *, fresh: bool) -> None:
        """A run without faults ends in exactly the truth."""
        ended = self._run(Play(self.ids), Plan(), fresh=fresh)
        if ended is None:
            self.scene.hold_truth(self._distinct())
            assert self.scene.leftovers() == []
        else:
            assert self.scene.is_folder
            assert not fresh

    @precondition(lambda self: hasattr(self, "scene"))
    @invariant()
    def whole_or_absent(self) -> None:
        """What says that it is complete is the whole truth of some list that was given."""
        self.scene.hold_one_of(self.truths)

    def _distinct(self) -> list[str]:
        return list(dict.fromkeys(self.ids))

    def _run(
        self, script: Play, plan: Plan, *, fresh: bool, power: int | None = None
    ) -> StopRun | PowerCut | None:
        ended = self.scene.run(script, plan, fresh=fresh, power=power)
        if not isinstance(ended, OutputFault) and not fresh:
            assert not self.durable & set(script.begun), "what was durable is not asked for again"
        if fresh:
            self.durable = set()
        self.durable |= script.durable
        if script.sealed:
            self.truths.append(self._distinct())
            if ended is None or not self.scene.ledger.exists():
                self.durable = set()
        if isinstance(ended, StoppedEarly | PowerCut):
            assert plan.happened
        if isinstance(ended, OutputFault):
            assert "complete harvest" in str(ended)
            assert self.scene.whole
        return ended


TestHarvests = Harvests.TestCase
TestHarvests.settings = settings(
    max_examples=30, stateful_step_count=10, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
