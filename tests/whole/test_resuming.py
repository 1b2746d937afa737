"""What a user changes between two runs on one output, and lists that come through pipes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.whole.processes import PROGRAM, Tenant, program, run, surroundings, tenant, until
from tests.whole.truth import assert_rows, assert_whole, read

SOON = ("--deadline", "1s")


@pytest.fixture(scope="module")
def slow() -> Iterator[Tenant]:
    """A tenant of which a run sees only a part before its deadline."""
    with tenant("--accounts", "300", "--latency", "5ms") as there:
        yield there


def begun(there: Tenant, folder: Path, *options: str) -> tuple[Path, Path, bytes]:
    """The list, the output, and what a run that was stopped early has left in its ``.partial``."""
    ids, output = there.list_file(folder), folder / "usages.ndjson"
    status, said = run("run", ids, "-o", output, *SOON, "--quota", "1200/10s", *options, at=there)
    assert status == 5, said.err
    left = output.with_name("usages.ndjson.partial").read_bytes()
    assert left
    return ids, output, left


def assert_refused(there: Tenant, *arguments: str | Path, why: list[str]) -> None:
    """Status 2, a sentence that says why and offers --fresh, and nothing is asked for."""
    before = there.asked
    status, said = run("run", *arguments, "--quota", "none", at=there)
    assert status == 2, said.err
    last = said.err.splitlines()[-1]
    assert last.startswith("harvester: ")
    assert all(one in last for one in [*why, "--fresh"]), last
    assert there.asked == before


def test_a_changed_list_is_refused(slow: Tenant, tmp_path: Path) -> None:
    """An ID taken out or put in between says which, and what was harvested stays as it is."""
    ids, output, left = begun(slow, tmp_path)
    lines = ids.read_bytes().splitlines(keepends=True)
    for changed in (lines[1:], [lines[0], b"new\n", *lines[1:]]):
        ids.write_bytes(b"".join(changed))
        assert_refused(slow, ids, "-o", output, why=["the list has changed since this harvest was begun"])
    ids.write_bytes(b"".join(lines[:200]))
    assert_refused(slow, ids, "-o", output, why=["now has only 200"])
    assert output.with_name("usages.ndjson.partial").read_bytes() == left
    ids.write_bytes(b"".join(lines))
    status, said = run("run", ids, "-o", output, "--quota", "none", at=slow)
    assert status == 0, said.err
    assert_whole(slow, output, ids)


def test_an_appended_list_goes_on(slow: Tenant, tmp_path: Path) -> None:
    """IDs behind the others are harvested with them; earlier ones may be repeated."""
    ids, output = tmp_path / "ids.txt", tmp_path / "usages.ndjson"
    whole = slow.list_file(tmp_path).read_bytes().splitlines(keepends=True)
    ids.write_bytes(b"".join(whole[:250]))
    status, _ = run("run", ids, "-o", output, *SOON, "--quota", "1000/10s", at=slow)
    assert status == 5
    ids.write_bytes(b"".join([*whole[:250], whole[3], *whole[250:], whole[7]]))
    status, said = run("run", ids, "-o", output, "--quota", "none", at=slow)
    assert status == 0, said.err
    assert_whole(slow, output, ids)


def test_options_that_change_the_data_are_refused(slow: Tenant, tmp_path: Path) -> None:
    """Each by name; options that change only the way are fine."""
    ids, output, left = begun(slow, tmp_path)
    changed = {
        "--since": ("2026-05", "was not given and is now 2026-05"),
        "--shape": ("accounts", "was rows and is now accounts"),
        "--api-version": ("v3", "was v2024 and is now v3"),
        "--shard": ("1/2", "was not given and is now 1/2"),
    }
    options = [word for flag, (value, _) in changed.items() for word in (flag, value)]
    told = [f"{flag} {said}" for flag, (_, said) in changed.items()]
    assert_refused(
        slow, ids, "-o", output, *options, "--ordered", why=[*told, "--ordered was off and is now on"]
    )
    assert output.with_name("usages.ndjson.partial").read_bytes() == left
    different = ("--concurrency", "3", "--attempts", "9", "--page-size", "100", "--log-format", "json", "-v")
    status, said = run("run", ids, "-o", output, "--quota", "none", *different, at=slow)
    assert status == 0, said.err
    assert_whole(slow, output, ids)


def test_fresh_begins_again(slow: Tenant, tmp_path: Path) -> None:
    """--fresh takes another list and other options, and nothing of before is left."""
    _, output, _ = begun(slow, tmp_path)
    other = tmp_path / "other.txt"
    other.write_bytes(b"\n".join(slow.ids[40:60]) + b"\n")
    status, said = run("run", other, "-o", output, "--fresh", "--ordered", "--quota", "none", at=slow)
    assert status == 0, said.err
    assert_rows(slow, read(output), ordered=True, ids=slow.ids[40:60])
    assert not output.with_name("usages.ndjson.partial").exists()


def test_the_old_output_stands_until_the_new_one_is_whole(slow: Tenant, tmp_path: Path) -> None:
    """A run that is stopped early leaves the finished file of before untouched."""
    ids = slow.list_file(tmp_path)
    few, output = tmp_path / "few.txt", tmp_path / "usages.ndjson"
    few.write_bytes(b"\n".join(slow.ids[:10]) + b"\n")
    assert run("run", few, "-o", output, "--quota", "none", at=slow)[0] == 0
    old = output.read_bytes()
    assert run("run", ids, "-o", output, *SOON, "--quota", "1200/10s", at=slow)[0] == 5
    assert output.read_bytes() == old
    assert run("run", ids, "-o", output, "--quota", "none", at=slow)[0] == 0
    assert_whole(slow, output, ids)


def test_a_piped_list_is_resumed(slow: Tenant, tmp_path: Path) -> None:
    """The same pipe again goes on where the last run stopped."""
    ids, output = slow.list_file(tmp_path), tmp_path / "usages.ndjson.zst"
    before = slow.asked
    for options, expected in (((*SOON, "--quota", "1200/10s"), 5), (("--quota", "none"), 0)):
        line = 'list="$1"; shift; cat "$list" | "$@"'
        command = ["bash", "-c", line, "bash", ids, *PROGRAM, "run", "-", "-o", output, *options]
        done = subprocess.run(command, env=surroundings(slow), capture_output=True, check=False, timeout=60)
        assert done.returncode == expected, done.stderr
    assert slow.asked == before + 300
    assert_whole(slow, output, ids)


def test_accounts_are_begun_while_the_list_still_grows(tmp_path: Path) -> None:
    """From a FIFO that is fed slowly each account is asked for as it comes, long before the end."""
    with tenant("--accounts", "120") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        with program("run", fifo, "-o", output, "--quota", "none", at=there) as running:
            with fifo.open("wb", buffering=0) as pipe:
                for done in range(0, 120, 40):
                    pipe.write(b"".join(one + b"\n" for one in there.ids[done : done + 40]))
                    until(lambda: there.asked == done + 40)  # noqa: B023  # called at once
                assert running.running
            assert running.end() == 0
        assert_whole(there, output, ids)


def test_a_failures_file_is_the_list_of_the_next_run(tmp_path: Path) -> None:
    """What failed can be given as it is, and fails again by the same name."""
    with tenant("--accounts", "60", "--hopeless", "4:404/400") as there:
        ids, output = there.list_file(tmp_path), tmp_path / "usages.ndjson"
        assert run("run", ids, "-o", output, "--quota", "none", at=there)[0] == 3
        again = tmp_path / "usages.ndjson.failures.ndjson"
        status, said = run("run", again, "-o", tmp_path / "again.ndjson", "--quota", "none", at=there)
        assert status == 3, said.err
        assert "4 accounts of 4" in said.err
        assert_whole(there, output, ids)


def test_nothing_left_but_forbidden_accounts(tmp_path: Path) -> None:
    """A run that goes on with accounts that are all forbidden fails them, and is not denied itself."""
    with tenant("--accounts", "60", "--hopeless", "5:403") as there:
        output, fifo, ids = tmp_path / "usages.ndjson", tmp_path / "fifo", tmp_path / "ids.txt"
        ours = sorted(there.ids, key=lambda one: one.decode() in there.hopeless)
        os.mkfifo(fifo)
        with program("run", fifo, "-o", output, "--quota", "none", at=there) as running:
            with fifo.open("wb", buffering=0) as pipe:
                pipe.write(b"\n".join(ours[:55]) + b"\n")
                until(lambda: there.asked == 55)
                running.signal(SIGTERM)
                assert running.end() == 143
        ids.write_bytes(b"\n".join(ours) + b"\n")
        status, said = run("run", ids, "-o", output, "--quota", "none", at=there)
        assert status == 3, said.err
        assert_whole(there, output, ids)
