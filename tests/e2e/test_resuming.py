"""What a user changes between two runs on one output."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.e2e.processes import PROGRAM, Tenant, run, surroundings, tenant
from tests.e2e.truth import assert_complete, content_of, ledger_of, truth_of

SOON = ("--deadline", "1s")


@pytest.fixture(scope="module")
def slow() -> Iterator[Tenant]:
    """A tenant of which a run sees only a part before its deadline."""
    with tenant("--accounts", "300", "--latency", "5ms") as there:
        yield there


def begun(there: Tenant, folder: Path, *options: str) -> tuple[Path, Path]:
    """The list and the output of a run that was stopped early."""
    ids, output = there.list_file(folder), folder / "usages.ndjson"
    status, said = run("run", ids, "-o", output, *SOON, "--quota", "1200/10s", *options, at=there)
    assert status == 5, said.err
    assert unfinished(output).exists()
    assert not output.exists()
    return ids, output


def unfinished(output: Path) -> Path:
    """The ledger of an unfinished harvest."""
    return output.with_name(f"{output.name}.ledger.partial")


def settled(output: Path) -> int:
    """Accounts that the last run's summary says are settled."""
    counts = orjson.loads(output.with_name(f"{output.name}.summary.json").read_bytes())["counts"]
    return int(counts["distinct"] - counts["notAttempted"])


def test_a_changed_list_is_followed(slow: Tenant, tmp_path: Path) -> None:
    """New accounts are added, those that are gone dropped, the new order adopted; responses are kept."""
    ids, output = begun(slow, tmp_path)
    before, known = slow.requested, settled(output)
    ours = list(reversed(slow.ids[20:]))
    ids.write_bytes(b"\n".join([*ours[:50], b"unknown-1", *ours[50:]]) + b"\n")
    status, said = run("run", ids, "-o", output, "--quota", "none", at=slow)
    assert status in (0, 3), said.err
    assert "20" in said.err
    assert content_of(output) == truth_of(slow, ours)
    assert slow.requested - before <= 281 - (known - 20)


def test_a_different_list_is_refused(slow: Tenant, tmp_path: Path) -> None:
    """A list that shares less than half of the unfinished harvest's accounts is another list: status 2."""
    ids, output = begun(slow, tmp_path)
    before = slow.requested
    ids.write_bytes(b"".join(b"other-%d\n" % number for number in range(300)) + b"\n".join(slow.ids[:149]))
    status, said = run("run", ids, "-o", output, "--quota", "none", at=slow)
    assert status == 2, said.err
    assert "--fresh" in said.err.splitlines()[-1]
    assert slow.requested == before
    slow.list_file(tmp_path)
    status, said = run("run", ids, "-o", output, "--quota", "none", at=slow)
    assert status == 0, said.err
    assert_complete(slow, output)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--since", "2026-05"),
        ("--shard", "1/2"),
        ("--sorters", "date"),
        ("--count", None),
        ("--skip-unreported", None),
    ],
)
def test_an_option_that_changes_the_data_is_refused(
    slow: Tenant, tmp_path: Path, option: str, value: str | None
) -> None:
    """The sentence names it, and nothing is requested."""
    ids, output = begun(slow, tmp_path)
    before = slow.requested
    changed = [option] if value is None else [option, value]
    status, said = run("run", ids, "-o", output, "--quota", "none", *changed, at=slow)
    assert status == 2, said.err
    assert option in said.err.splitlines()[-1]
    assert "--fresh" in said.err.splitlines()[-1]
    assert slow.requested == before


def test_options_of_the_export_may_change(slow: Tenant, tmp_path: Path) -> None:
    """Format, shape, columns and concurrency belong to the run, not to the harvest."""
    ids, output = begun(slow, tmp_path)
    different = ("--shape", "accounts", "--concurrency", "3", "--attempts", "9", "--page-size", "100")
    status, said = run("run", ids, "-o", output, "--quota", "none", *different, at=slow)
    assert status == 0, said.err
    lines = [orjson.loads(line) for line in output.read_bytes().splitlines()]
    assert [line["accountId"].encode() for line in lines] == slow.ids
    again = tmp_path / "again.ndjson"
    assert run("export", output, "-o", again)[0] == 0
    assert again.read_bytes() == truth_of(slow)


def test_fresh_starts_over(slow: Tenant, tmp_path: Path) -> None:
    """--fresh takes another list, and nothing of before is left."""
    _, output = begun(slow, tmp_path)
    other = tmp_path / "other.txt"
    other.write_bytes(b"\n".join(slow.ids[40:60]) + b"\n")
    status, said = run("run", other, "-o", output, "--fresh", "--quota", "none", at=slow)
    assert status == 0, said.err
    assert content_of(output) == truth_of(slow, slow.ids[40:60])
    assert not unfinished(output).exists()


def test_the_old_output_remains_until_the_new_one_is_complete(slow: Tenant, tmp_path: Path) -> None:
    """A run that is stopped early leaves output and ledger of the night before untouched."""
    ids = slow.list_file(tmp_path)
    few, output = tmp_path / "few.txt", tmp_path / "usages.ndjson"
    few.write_bytes(b"\n".join(slow.ids[:10]) + b"\n")
    assert run("run", few, "-o", output, "--quota", "none", at=slow)[0] == 0
    old, old_ledger = output.read_bytes(), ledger_of(output).read_bytes()
    assert run("run", ids, "-o", output, *SOON, "--quota", "1200/10s", at=slow)[0] == 5
    assert (output.read_bytes(), ledger_of(output).read_bytes()) == (old, old_ledger)
    assert run("run", ids, "-o", output, "--quota", "none", at=slow)[0] == 0
    assert_complete(slow, output)


def test_a_piped_list_is_resumed(slow: Tenant, tmp_path: Path) -> None:
    """The same pipe again continues where the last run stopped."""
    ids, output = slow.list_file(tmp_path), tmp_path / "usages.ndjson.zst"
    before = slow.requested
    for options, expected in (((*SOON, "--quota", "1200/10s"), 5), (("--quota", "none"), 0)):
        line = 'list="$1"; shift; cat "$list" | "$@"'
        command = ["bash", "-c", line, "bash", ids, *PROGRAM, "run", "-", "-o", output, *options]
        done = subprocess.run(command, env=surroundings(slow), capture_output=True, check=False, timeout=60)
        assert done.returncode == expected, done.stderr
    assert slow.requested == before + 300
    assert_complete(slow, output)


def test_a_failures_file_is_the_list_of_the_next_run(tmp_path: Path) -> None:
    """What failed can be given as it is, and fails again by the same name."""
    with tenant("--accounts", "60", "--hopeless", "4:404/400") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        assert run("run", ids, "-o", output, "--quota", "none", at=there)[0] == 3
        again = tmp_path / "usages.ndjson.failures.ndjson"
        status, said = run("run", again, "-o", tmp_path / "again.ndjson", "--quota", "none", at=there)
        assert status == 3, said.err
        assert "4 of 4 accounts failed" in said.err
        assert_complete(there, output)


def test_failed_accounts_are_retried_in_place(tmp_path: Path) -> None:
    """--retry-failed requests them again, and only them, and writes the same output."""
    with tenant("--accounts", "60", "--hopeless", "4:404/400") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        assert run("run", ids, "-o", output, "--quota", "none", at=there)[0] == 3
        before = there.requested
        status, said = run("run", ids, "-o", output, "--quota", "none", "--retry-failed", at=there)
        assert status == 3, said.err
        assert there.requested <= before + 5  # and a known-good account, to see that the rights are there
        assert_complete(there, output)


@pytest.mark.parametrize("wrong", [("--since", "2026-01"), ("--changes", "ids.txt"), ("other.txt",)], ids=str)
def test_a_refused_retry_leaves_the_harvest_as_it_was(wrong: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever is refused before the first request: the right command, given next, is not."""
    with tenant("--accounts", "30", "--hopeless", "4:404") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        (tmp_path / "other.txt").write_text("".join(f"other-{number}\n" for number in range(30)))
        assert run("run", ids, "-o", output, "--quota", "none", at=there)[0] == 3
        before, requested = sorted(tmp_path.iterdir()), there.requested
        wrong = tuple(str(tmp_path / word) if word.endswith(".txt") else word for word in wrong)
        given = wrong if wrong[0].endswith(".txt") else (str(ids), *wrong)
        status, said = run("run", *given, "-o", output, "--quota", "none", "--retry-failed", at=there)
        assert status == 2, said.err
        assert sorted(tmp_path.iterdir()) == before
        assert there.requested == requested
        status, said = run("run", ids, "-o", output, "--quota", "none", "--retry-failed", at=there)
        assert status == 3, said.err
        assert_complete(there, output)


def test_refused_credentials_name_the_ledger_that_there_is(tmp_path: Path) -> None:
    """The summary of a run that got nowhere: none, or the one whose failures were to be retried."""
    with tenant("--accounts", "30", "--hopeless", "4:404") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        command = ("run", ids, "-o", output, "--quota", "none")
        wrong = {"SAIL_CLIENT_SECRET": "wrong"}
        summary, ledger = Path(f"{output}.summary.json"), Path(f"{output}.ledger")
        assert run(*command, at=there, environment=wrong)[0] == 4
        assert (orjson.loads(summary.read_bytes())["ledger"], ledger.exists()) == (None, False)
        assert run(*command, at=there)[0] == 3
        assert run(*command, "--retry-failed", at=there, environment=wrong)[0] == 4
        assert orjson.loads(summary.read_bytes())["ledger"] == str(ledger)
        assert not Path(f"{ledger}.partial").exists()
        status, said = run(*command, "--retry-failed", at=there)
        assert status == 3, said.err
        assert_complete(there, output)


def test_a_resumed_list_of_forbidden_accounts_fails_them(tmp_path: Path) -> None:
    """A run that has nothing left but forbidden accounts fails them, and is not denied itself."""
    with tenant("--accounts", "60", "--hopeless", "5:403") as there:
        output, ids = tmp_path / "usages.ndjson", tmp_path / "ids.txt"
        good = [one for one in there.ids if one.decode() not in there.hopeless]
        bad = [one for one in there.ids if one.decode() in there.hopeless]
        ids.write_bytes(b"\n".join([*good, *bad]) + b"\n")
        status, said = run("run", ids, "-o", output, "--quota", "10/1s", "--deadline", "5s", at=there)
        assert status == 5, said.err
        status, said = run("run", ids, "-o", output, "--quota", "none", at=there)
        assert status == 3, said.err
        assert content_of(output) == truth_of(there, good)
