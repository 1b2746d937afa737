"""A merge that is killed at any instant: the table is as it was or as it is to be, and can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.export.tables.harvests import after, ledger, night, usage
from tests.export.tables.killed import Killer
from tests.export.tables.kits import Kit, merge

_KILLS = 5


def test_a_killed_first_load_leaves_no_table_or_all_of_it(kit: Kit, tmp_path: Path, killer: Killer) -> None:
    """Killed later and later, until it is there; then repeated to its end."""
    listed = night(30)
    first = ledger(tmp_path / "a.ledger", listed)
    step = 40
    killer.merge(kit, first, step=step)
    assert kit.rows() == {}
    while not (found := kit.rows()):
        step *= 2
        killer.merge(kit, first, step=step)
    assert found == after({}, listed)
    merge(kit, first)
    assert kit.rows() == kit.rows_by_others() == after({}, listed)


def test_a_killed_merge_leaves_the_table_old_or_new(kit: Kit, tmp_path: Path, killer: Killer) -> None:
    """Each night is killed at another step, and repeated; Delta's commit also some time into it."""
    nights = [night(30)]
    merge(kit, ledger(tmp_path / "0.ledger", nights[0], "run-0"))
    outcomes = []
    steps, took = killer.merge(kit, _night(tmp_path, nights))
    kills: list[dict[str, Any]] = [
        {"step": 1 + (steps - 2) * number // (_KILLS - 1)} for number in range(_KILLS)
    ]
    if kit.form == "delta":
        kills += [{"seconds": took * part} for part in (0.2, 0.5, 0.8)]
    for kill in kills:
        old = after({}, *nights)
        now = _night(tmp_path, nights)
        killer.merge(kit, now, **kill)
        found = kit.rows()
        assert found in (old, after({}, *nights))
        outcomes.append(found == old)
        merge(kit, now)
        assert kit.rows() == after({}, *nights)
    assert outcomes[0]
    assert kit.rows_by_others() == after({}, *nights)


def _night(directory: Path, nights: list[dict[str, Any]]) -> Path:
    """The ledger of one more night: a third of the accounts change, and one is new."""
    number = len(nights)
    changed = {f"account-{one:05}": usage([11, 10], 20 + number) for one in range(number % 3, 30, 3)}
    nights.append({**changed, f"new-{number}": usage([11])})
    return ledger(directory / f"{number}.ledger", nights[-1], f"run-{number}")
