"""An output whose summary is that of a later run, which ended early and left the output as it was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import InputError
from harvester.ledger import Ledger
from harvester.source import listed
from harvester.verify import verify
from tests.export.ledgers import FACTS, accounts, unfinished, write
from tests.verify.outputs import COUNT, harvested

LIST = accounts(COUNT)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """That of a finished night. The next one was stopped: it left its ledger and its summary."""
    found = harvested(tmp_path, "ndjson")
    ledger, summary = tmp_path / "usages.ndjson.ledger", tmp_path / "usages.ndjson.summary.json"
    ledger.unlink()
    asyncio.run(recorded(ledger, json.loads(summary.read_bytes())))
    unfinished(later(ledger), LIST | {"more": None}, run_id="run-2")
    stopped(summary, ledger=str(later(ledger)))
    return found


def later(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".partial")


async def recorded(path: Path, summary: dict[str, Any]) -> None:
    """A finished ledger as a run leaves it, with the summary in it."""
    async with await Ledger.create(later(path), facts=FACTS) as ledger:
        await write(ledger, LIST)
        await ledger.end_run({"summary": summary})
        await ledger.publish(path, copy=path.with_name("copy"))
        await ledger.remove()


def stopped(path: Path, **more: Any) -> None:
    counts = {"distinct": COUNT + 1, "harvested": 84, "notAttempted": COUNT - 83}
    document = {"runId": "run-2", "status": 143, "counts": counts, "outputs": [], "failures": None}
    path.write_text(json.dumps(document | more))


def test_an_output_is_judged_by_its_own_ledger(output: Path) -> None:
    """That a later run was stopped is only noted."""
    verdict = verify(output)
    assert (verdict.findings, verdict.listed) == ([], COUNT)
    assert [note.partition(": ")[2] for note in verdict.notes] == [
        "is of a later run, which ended early (status 143) and wrote no output"
    ]


def test_damage_is_found_all_the_same(output: Path) -> None:
    """By the ledger, and by the checksum in the summary that it has of its own run."""
    data = output.read_bytes()
    output.write_bytes(data.replace(b'"count":', b'"count": ', 1))  # the same value
    assert [finding.problem.partition(",")[0] for finding in verify(output).findings] == [
        f"has {len(data) + 1} bytes"
    ]
    output.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    assert any("rows, but" in finding.problem for finding in verify(output).findings)


def test_a_ledger_of_another_name_is_found(output: Path) -> None:
    """The finished one is next to the unfinished one that the summary names."""
    ledger = output.with_name("own.ledger")
    output.with_name("usages.ndjson.ledger").rename(ledger)
    later(output.with_name("usages.ndjson.ledger")).rename(later(ledger))
    stopped(output.with_name("usages.ndjson.summary.json"), ledger=str(later(ledger)))
    verdict = verify(output)
    assert (verdict.findings, verdict.listed) == ([], COUNT)


def test_without_a_finished_ledger_a_list_is_needed(output: Path) -> None:
    """With ``--no-keep-ledger``: the unfinished one says nothing of this output."""
    output.with_name("usages.ndjson.ledger").unlink()
    verdict = verify(output, accounts=list(listed(LIST)))
    assert (verdict.findings, verdict.listed, len(verdict.notes)) == ([], COUNT, 1)
    with pytest.raises(InputError, match="neither a ledger nor a summary of its own"):
        verify(output)


def test_a_summary_of_other_outputs_is_a_finding(output: Path) -> None:
    """Somebody else's, or one of a run that has published something."""
    other = [{"name": "other.ndjson", "rows": 1, "bytes": 1, "accounts": 1}]
    stopped(output.with_name("usages.ndjson.summary.json"), outputs=other)
    assert any("does not mention" in finding.problem for finding in verify(output).findings)
