"""Every format at every local destination: complete, killed at each step, on a full disk, repeated."""

from __future__ import annotations

import json
import os
import shutil
import signal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import OutputError, StoppedEarly
from harvester.export.formats import FORMATS
from tests.export.ledgers import accounts, finished
from tests.export.outputs import (
    Plan,
    content,
    expected,
    expected_ndjson,
    faults,
    in_child,
    made,
    no_space,
    opened,
    rows_in,
    rows_of,
    sigkill,
)

LISTED = accounts(40)
PART_ROWS = 80
NAMING = ["open", "fsync", "rename", "replace", "unlink", "mkdir"]
"""System calls after which a directory is another; what is written in between is kept by nobody."""
FILES = ["out.ndjson", "out.csv", "out.parquet", "out.ndjson.gz", "out.csv.zst", "out.singer"]
DIRECTORIES: list[dict[str, Any]] = [
    {"format": "ndjson"},
    {"format": "csv", "compress": "gzip"},
    {"format": "parquet"},
    {"format": "ndjson", "compress": "zstd"},
]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("ledger") / "l.ledger", LISTED)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("other") / "l.ledger", accounts(25, 500), run_id="run-0")


def directory(path: Path, ledger: Path, **options: Any) -> None:
    made(ledger, f"{path}/", part_rows=PART_ROWS, **options)


def test_the_suite_has_every_format() -> None:
    """Whoever adds one adds it here."""
    names = {name for name, _ in FORMATS}
    assert names == {"ndjson", "csv", "parquet", "singer"}


# --- complete and repeated


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_every_row_in_order(ledger: Path, tmp_path: Path, name: str) -> None:
    """And nothing else is left; a second export gives the same bytes."""
    path = tmp_path / name
    exported = made(ledger, path)
    data = path.read_bytes()
    assert rows_in(name, data) == expected(LISTED)
    assert exported.rows == len(expected(LISTED))
    assert [file.bytes for file in exported.files] == [len(data)]
    assert made(ledger, path) == exported
    assert content(tmp_path) == {name: data}
    assert path.stat().st_mode & 0o777 == 0o600


def test_ndjson_is_byte_by_byte_what_it_should_be(ledger: Path, tmp_path: Path) -> None:
    """Put together by other means."""
    made(ledger, tmp_path / "out.ndjson")
    assert (tmp_path / "out.ndjson").read_bytes() == expected_ndjson(LISTED)


@pytest.mark.parametrize("options", DIRECTORIES, ids=name_of)
def test_a_directory_holds_every_row_in_order(ledger: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """In several parts, with a manifest that names them; a repeated export gives the same bytes."""
    directory(tmp_path / "out", ledger, **options)
    files = content(tmp_path / "out")
    assert rows_of(files) == expected(LISTED)
    parts = {name for name in files if name.startswith("part-0")}
    assert files.keys() == parts | {"_SUCCESS", "_manifest.json", "_failures.ndjson"}
    assert len(parts) > 2
    directory(tmp_path / "out", ledger, replace=True, **options)
    directory(tmp_path / "again", ledger, **options)
    assert content(tmp_path / "out") == content(tmp_path / "again") == files


def test_the_manifest_accounts_for_the_list(ledger: Path, tmp_path: Path) -> None:
    """How many accounts ended in which way, and a digest of their IDs."""
    directory(tmp_path / "out", ledger)
    found = json.loads((tmp_path / "out/_manifest.json").read_bytes())
    failed = [one for one, answer in LISTED.items() if isinstance(answer, str)]
    empty = [one for one, answer in LISTED.items() if answer == b"[]"]
    counts = {outcome: tally["count"] for outcome, tally in found["accounts"].items()}
    assert counts == {
        "distinct": len(LISTED),
        "harvested": len(LISTED) - len(failed) - len(empty),
        "empty": len(empty),
        "unreported": 0,
        "failed": len(failed),
    }
    assert found["accounts"]["failed"]["digest"] == digest(failed)
    assert found["accounts"]["distinct"]["digest"] == digest(list(LISTED))
    assert (found["runIds"], found["complete"]) == (["run-1"], True)


def digest(ids: list[str]) -> str:
    total = sum(int(sha256(one.encode()).hexdigest(), 16) for one in ids)
    return f"{total % 2**256:064x}"


def test_a_list_without_accounts_is_an_output(tmp_path: Path) -> None:
    """Empty, but complete."""
    ledger = finished(tmp_path / "l.ledger", {})
    made(ledger, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"accountId,date,count,other\n"
    made(ledger, f"{tmp_path}/out/", format="parquet")
    assert rows_of(content(tmp_path / "out")) == []


# --- killed


@pytest.mark.parametrize("name", ["out.ndjson", "out.csv.gz", "out.parquet"])
def test_a_file_that_is_killed_is_old_or_new(ledger: Path, other: Path, tmp_path: Path, name: str) -> None:
    """By SIGKILL before each system call; the same command again completes it and leaves nothing behind."""
    made(ledger, tmp_path / name)
    new = (tmp_path / name).read_bytes()
    made(other, tmp_path / name)
    old = (tmp_path / name).read_bytes()
    step, status = 0, -signal.SIGKILL
    while status:
        plan = Plan(step, sigkill)

        def export(plan: Plan = plan) -> None:
            with faults(plan):
                made(ledger, tmp_path / name)

        status = in_child(export)
        assert (tmp_path / name).read_bytes() in (old, new)
        made(ledger, tmp_path / name)
        assert content(tmp_path) == {name: new}
        (tmp_path / name).write_bytes(old)
        step += 1
    assert step > 6


OWN = {
    "own.txt": b"mine",
    "part-export-00001.parquet": b"mine, too",
    "harvested=2026-01-01/part-00001.csv": b"x",
}
"""What somebody else keeps in the same directory."""


@pytest.mark.parametrize(
    ("options", "replaced"), [(DIRECTORIES[0], False), (DIRECTORIES[1], True), (DIRECTORIES[2], True)]
)
def test_a_directory_that_is_killed_is_complete_or_not(
    ledger: Path, other: Path, tmp_path: Path, options: dict[str, Any], replaced: bool
) -> None:
    """By SIGKILL before each system call. Where ``_SUCCESS`` is, there is one whole harvest, old or new.

    The same command again completes it, and what is not ours is never touched.
    """
    directory(tmp_path / "new", ledger, **options)
    new = content(tmp_path / "new")
    prepare(tmp_path / "before", other, replaced=replaced)
    step, status = 0, -signal.SIGKILL
    while status:
        path = tmp_path / f"out-{step}"
        shutil.copytree(tmp_path / "before", path)
        plan = Plan(step, sigkill)

        def export(path: Path = path, plan: Plan = plan) -> None:
            with faults(plan, NAMING):
                directory(path, ledger, replace=replaced, **options)

        status = in_child(export)
        files = content(path)
        assert {name: files[name] for name in OWN} == OWN
        if "_SUCCESS" in files:
            assert rows_of(files) in (expected(accounts(25, 500)), expected(LISTED))
        directory(path, ledger, replace=replaced, **options)
        assert content(path) == new | OWN
        step += 1
    assert step > 30


def prepare(path: Path, other: Path, *, replaced: bool) -> None:
    for name, data in OWN.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    if replaced:  # by an output of more parts and another format
        made(other, f"{path}/", part_rows=20, format="csv")


def test_after_a_kill_another_export_cleans_up(ledger: Path, other: Path, tmp_path: Path) -> None:
    """Whatever it is made of: the journal knows the names."""
    made(other, f"{tmp_path}/new/", format="parquet")
    new = content(tmp_path / "new")
    count = Plan()
    with faults(count):
        directory(tmp_path / "count", ledger)
    for step in range(0, count.taken, 5):
        path = tmp_path / f"out-{step}"
        plan = Plan(step, sigkill)

        def export(path: Path = path, plan: Plan = plan) -> None:
            with faults(plan):
                directory(path, ledger)

        assert in_child(export) == -signal.SIGKILL
        made(other, f"{path}/", format="parquet", replace=True)
        assert content(path) == new


# --- a full disk


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_stops_a_file(ledger: Path, other: Path, tmp_path: Path, name: str) -> None:
    """Resumable, whichever write fails; the old file stays, and the ``.partial`` makes room."""
    made(other, tmp_path / name)
    old = content(tmp_path)
    count = Plan()
    with faults(count, ["write"]):
        made(ledger, tmp_path / name)
    made(other, tmp_path / name)
    assert content(tmp_path) == old
    for step in range(count.taken):
        with faults(Plan(step, no_space), ["write"]), pytest.raises(StoppedEarly, match="no space left"):
            made(ledger, tmp_path / name)
        assert content(tmp_path) == old


@pytest.mark.parametrize("options", DIRECTORIES, ids=name_of)
def test_a_full_disk_stops_a_directory(ledger: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """Resumable, at each step that writes or names something; the parts make room."""
    directory(tmp_path / "new", ledger, **options)
    calls = ["write", "mkdir", "fsync", "replace", "rename"]
    count = Plan()
    with faults(count, calls):
        directory(tmp_path / "count", ledger, **options)
    for step in range(count.taken):
        path = tmp_path / f"out-{step}"
        with faults(Plan(step, no_space), calls), pytest.raises(StoppedEarly, match="no space left"):
            directory(path, ledger, **options)
        if not path.is_dir():
            continue
        assert not list(path.glob(".part-*"))
        directory(path, ledger, **options)
        assert content(path) == content(tmp_path / "new")


# --- what is refused


def test_a_complete_directory_is_refused(ledger: Path, other: Path, tmp_path: Path) -> None:
    """Before anything is written, unless it is to be replaced or is the resumed harvest's own."""
    directory(tmp_path / "out", ledger)
    before = content(tmp_path / "out")
    with pytest.raises(OutputError, match=r"out/ already holds a complete harvest.*--replace"):
        directory(tmp_path / "out", other)
    with pytest.raises(OutputError, match="already holds"):
        directory(tmp_path / "out", ledger, format="csv")
    assert content(tmp_path / "out") == before
    opened(f"{tmp_path}/out/").try_out(own="run-1")
    with pytest.raises(OutputError, match="already holds"):
        opened(f"{tmp_path}/out/").try_out(own="run-2")
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"part-00002.ndjson": b"mine"}, r"contains part-00002\.ndjson, which no manifest"),
        ({"part-00001.parquet": b"mine"}, r"contains part-00001\.parquet, which no manifest"),
        ({"_SUCCESS": b""}, "contains _SUCCESS of another program"),
        ({"_manifest.json": b"{}"}, r"contains a _manifest\.json that harvester has not written"),
        ({"_manifest.json": b"[not json"}, r"contains a _manifest\.json that harvester has not written"),
    ],
)
def test_what_is_not_ours_is_refused(
    ledger: Path, tmp_path: Path, files: dict[str, bytes], problem: str
) -> None:
    """Even with --replace: only what our manifests name may go."""
    (tmp_path / "out").mkdir()
    for name, data in files.items():
        (tmp_path / "out" / name).write_bytes(data)
    with pytest.raises(OutputError, match=problem):
        directory(tmp_path / "out", ledger, replace=True)
    assert content(tmp_path / "out") == files


def test_a_manifest_cannot_name_what_is_not_a_part(ledger: Path, tmp_path: Path) -> None:
    """One that was tampered with removes nothing else."""
    victims = {"../victim": b"1", "own.txt": b"2", "harvested=2026-01-01/part-00001.ndjson": b"3"}
    for name, data in victims.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(data)
    parts = [{"name": name} for name in [*victims, str(tmp_path / "victim"), "_SUCCESS", "."]]
    manifest = {"program": "account-usage-harvester", "parts": parts, "replaces": list(victims)}
    (tmp_path / "out/_manifest.json").write_text(json.dumps(manifest))
    directory(tmp_path / "out", ledger, replace=True)
    for name, data in victims.items():
        assert (tmp_path / "out" / name).read_bytes() == data


@pytest.mark.parametrize(
    "dest", ["file/", "file/below/", "closed/out.ndjson", "missing/out.ndjson", "folder"]
)
def test_a_wrong_path_is_found_before_the_first_request(tmp_path: Path, dest: str) -> None:
    """Status 2, and nothing is changed."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "closed").mkdir(mode=0o500)
    if dest.startswith("closed") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    with pytest.raises(OutputError):
        opened(f"{tmp_path}/{dest}").try_out()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed", "file", "folder"]


def test_trying_out_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither files nor directories."""
    (tmp_path / "there").mkdir()
    for dest in ("new/", "new/deeper/", "there/", "out.ndjson"):
        opened(f"{tmp_path}/{dest}").try_out()
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


# --- days


def test_each_day_is_an_output_of_its_own(ledger: Path, other: Path, tmp_path: Path) -> None:
    """In a directory named for the day on which the harvest began; its neighbors are never touched."""

    def export(path: Path, **more: Any) -> None:
        made(path, f"{tmp_path}/out/", partition_by="harvested", **more)

    yesterday = tmp_path / "out/harvested=2026-11-25"
    directory(yesterday, other)
    (tmp_path / "out/part-00001.ndjson").write_bytes(b"mine")
    before = content(tmp_path / "out")
    export(ledger)
    today = content(tmp_path / "out/harvested=2026-11-26")
    assert rows_of(today) == expected(LISTED)
    assert content(tmp_path / "out") == before | {
        f"harvested=2026-11-26/{name}": data for name, data in today.items()
    }
    with pytest.raises(OutputError, match="already holds a complete harvest"):
        export(other)
    export(other, replace=True)
    assert rows_of(content(tmp_path / "out/harvested=2026-11-26")) == expected(accounts(25, 500))


def test_a_link_is_followed(ledger: Path, tmp_path: Path) -> None:
    """To a file, which is replaced, and to a directory; the links stay."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.ndjson").symlink_to("real/target")
    (tmp_path / "link").symlink_to("real")
    made(ledger, tmp_path / "link.ndjson")
    directory(tmp_path / "link", ledger)
    assert (tmp_path / "link.ndjson").is_symlink()
    assert (tmp_path / "real/target").read_bytes() == expected_ndjson(LISTED)
    assert rows_of(content(tmp_path / "real")) == expected(LISTED)


def test_modes_are_as_asked_for(ledger: Path, tmp_path: Path) -> None:
    """Of parts, of what is beside them, and of the directories made."""
    made(ledger, f"{tmp_path}/a/b/", file_mode=0o640)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a/b").iterdir()} == {0o640}
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o750, 0o750]
