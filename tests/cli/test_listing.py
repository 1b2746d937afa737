"""`harvester accounts` and `harvester sources`: what they write, and where."""

from __future__ import annotations

import gzip
import io
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from tests.e2e.processes import PROGRAM, Tenant, program, run, surroundings, tenant, until

ACCOUNTS = 300


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    with tenant("--accounts", str(ACCOUNTS)) as running:
        yield running


@pytest.fixture
def closed() -> Iterator[Tenant]:
    """A tenant with everything to itself, so that its requests can be counted."""
    with tenant("--accounts", str(ACCOUNTS)) as running:
        yield running


def records(content: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in content.splitlines()]


def in_order(there: Tenant) -> list[str]:
    return sorted(one.decode() for one in there.ids)


def listed(there: Tenant, *arguments: str) -> list[dict[str, Any]]:
    """What a command prints."""
    status, program = run(*arguments, "-q", "--quota", "none", at=there)
    assert status == 0, program.err
    return records(program.out.encode())


def test_accounts_are_printed_in_the_order_of_their_ids(there: Tenant) -> None:
    """Each once, one JSON object per line."""
    assert [one["id"] for one in listed(there, "accounts")] == in_order(there)


def test_a_filter_and_fields_narrow_the_list(there: Tenant) -> None:
    """Only the named properties, nested ones too, with those that are added; null where absent."""
    found = listed(
        there, "accounts", "--filters", 'source.displayableName eq "Slack"', "--detail", "full",
        "--fields", "id,identity.name,sourceName", "--add", "usage",
    )  # fmt: skip
    assert found
    for one in found:
        assert list(one) == ["id", "identity.name", "sourceName", "usageStatus", "usageSince"]
        assert (one["sourceName"], one["usageStatus"]) == ("Slack", "COMPLETE")
    assert any(one["identity.name"] for one in found)


def test_a_field_that_no_account_has_is_said(there: Tenant) -> None:
    """With where it may come from."""
    status, said = run(
        "accounts", "--quota", "none", "--fields", "id,ownerIdentity.name,sourceOwner", at=there
    )
    assert status == 0
    assert "no account has ownerIdentity.name or sourceOwner: try --detail full" in said.err


def test_the_list_is_one_that_run_reads(there: Tenant, tmp_path: Path) -> None:
    """A harvest of the list with usage has no unreported account, and each manager is in its ledger."""
    options = ("--with-usage", "--add", "usage,manager", "--detail", "full", "--quota", "none")
    assert run("accounts", *options, "-o", tmp_path / "a.ndjson", at=there)[0] == 0
    status, said = run("run", tmp_path / "a.ndjson", "-o", tmp_path / "u.ndjson", "--quota", "none", at=there)
    assert status == 0, said.err
    summary = orjson.loads((tmp_path / "u.ndjson.summary.json").read_bytes())
    assert summary["counts"]["unreported"] == 0
    assert summary["counts"]["distinct"] == len((tmp_path / "a.ndjson").read_bytes().splitlines())


def test_listing_uses_the_version_that_it_is_given(closed: Tenant) -> None:
    """So that it costs a harvest through another one nothing."""
    listed(closed, "accounts", "--api-version", "v2025")
    listed(closed, "sources", "--api-version", "v2026")
    assert {path.partition("/")[0] for path in closed.tally["paths"]} == {"v2025", "v2026"}


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("filters", ['name sw ""', 'name eq "nobody"'])
def test_a_file_is_complete_and_compressed_as_its_name_says(
    there: Tenant, tmp_path: Path, suffix: str, filters: str
) -> None:
    """Also if nothing is listed; its mode is private; nothing is left next to it."""
    path = tmp_path / f"a.ndjson{suffix}"
    status, said = run("accounts", "--quota", "none", "--filters", filters, "-o", path, at=there)
    assert status == 0, said.err
    content = path.read_bytes()
    if suffix == ".gz":
        content = gzip.decompress(content)
    elif suffix == ".zst":
        content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
    assert [one["id"] for one in records(content)] == ([] if "nobody" in filters else in_order(there))
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", ["accounts", "sources"])
def test_a_destination_that_cannot_be_written_costs_no_request(
    closed: Tenant, tmp_path: Path, command: str
) -> None:
    """A directory, and a file in one that is not there, are refused at once."""
    for path in tmp_path, tmp_path / "missing" / "a.ndjson":
        status, said = run(command, "-o", path, at=closed)
        assert status == 2
        assert said.err.startswith(f"harvester: {path}: the list of {command} cannot be written (")
    assert closed.tally["requests"] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["accounts", "sources"])
def test_links_and_devices_stay_what_they_are(there: Tenant, tmp_path: Path, command: str) -> None:
    """A link's target is replaced, a device is written to."""
    target, link, device = tmp_path / "target", tmp_path / "link", tmp_path / "device"
    target.write_text("old")
    link.symlink_to(target)
    device.symlink_to("/dev/null")
    for path in link, device:
        assert run(command, "--quota", "none", "-o", path, at=there)[0] == 0
        assert path.is_symlink()
    assert records(target.read_bytes())
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("command", ["accounts", "sources"])
def test_a_stdout_that_cannot_be_written_ends_with_its_status(there: Tenant, command: str) -> None:
    """5 for a full disk and a closed stdout, 141 for a reader who has gone: one sentence, or none."""
    with Path("/dev/full").open("wb") as full:
        status, said = run(command, "-q", "--quota", "none", at=there, stdout=full)
    assert (status, said.err.count("\n")) == (5, 1)
    status, said = run(command, "-q", "--quota", "none", at=there, prepare=lambda: os.close(1), stdout=None)
    assert (status, said.err.count("\n")) == (5, 1)
    reading, writing = os.pipe()
    os.close(reading)
    status, said = run(command, "--quota", "none", at=there, stdout=writing)
    os.close(writing)
    assert (status, said.err) == (141, "")


def test_a_failed_listing_leaves_the_last_file_alone(there: Tenant, tmp_path: Path) -> None:
    """Complete or absent: half a list must not pass for one."""
    path = tmp_path / "a.ndjson"
    path.write_text("last night's\n")
    status, said = run("accounts", "--filters", "id like x", "-o", path, at=there)
    assert status == 2
    assert "--filters" in said.err
    assert path.read_text() == "last night's\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_client_without_rights_is_told_which(there: Tenant) -> None:
    """4, and in the JSON log as well."""
    environment = {"SAIL_CLIENT_ID": "noscope"}
    status, said = run("accounts", "--log-format", "json", at=there, environment=environment)
    assert status == 4
    error = records(said.err.encode())[-1]
    assert (error["event"], error["status"]) == ("error", 4)
    assert "idn:accounts:read" in error["hint"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_listing_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    """At once, with the signal's status, also while the reader of stdout takes its time."""
    with tenant("--accounts", "5000", "--latency", "0.2") as there:
        path = tmp_path / "a.ndjson"
        with program("accounts", "-o", path, at=there) as running:
            until(lambda: there.tally["listings"])
            running.signal(signum)
            assert running.end() == 128 + signum
        assert f"stopped by {signum.name}" in running.err
        assert list(tmp_path.iterdir()) == []
        reading, writing = os.pipe()
        with program("accounts", "--quota", "none", at=there, stdout=writing) as running:
            until(lambda: select.select([reading], [], [], 0)[0])
            running.signal(signum)
            assert running.end() == 128 + signum
        os.close(reading)
        os.close(writing)


def test_what_has_no_effect_is_not_accepted(there: Tenant) -> None:
    """An option that would be ignored is a lie."""
    for option in ("--report", "--summary", "--failures", "--ledger", "--attempts", "--deadline"):
        status, said = run("accounts", option, "1", at=there)
        assert status == 2
        assert "No such option" in said.err


def test_what_the_configuration_says_of_a_harvest_is_not_for_the_list(there: Tenant, tmp_path: Path) -> None:
    """Its output is not written to, and its list, shard and formats mean nothing here."""
    usages = tmp_path / "usages.parquet"
    usages.write_text("rows")
    (tmp_path / "harvester.toml").write_text(
        f'output = "{usages}"\nshard = "1/2"\ncolumns = "tenant"\nkeep_ledger = false\ninputs = "ids.txt"\n'
        'source_status = "off"\nquota = "none"\n'
    )
    for command in "accounts", "sources":
        status, said = run(command, "-q", at=there, cwd=tmp_path)
        assert (status, said.err) == (0, "")
        assert len(records(said.out.encode())) == (ACCOUNTS if command == "accounts" else 8)
    assert usages.read_text() == "rows"


def test_sources_are_printed_with_what_the_tenant_says_of_them(there: Tenant) -> None:
    """Every one with its usage, and each account of those without it is unreported in truth."""
    found = {one["id"]: one for one in listed(there, "sources")}
    states = records(there._fetch("states.ndjson"))
    assert {one["source_id"]: one["source_status"] for one in states} == {
        source_id: one["usageStatus"] for source_id, one in found.items()
    }


def test_a_person_gets_a_table_of_sources(there: Tenant) -> None:
    """On a terminal: names, owners and since when; to a pipe, JSON."""
    shown = on_a_terminal(there, "sources", "-q", "--quota", "none").splitlines()
    assert shown[0].split() == ["NAME", "CONNECTOR", "OWNER", "USAGE", "ID"]
    assert len(shown) == 9
    assert sum("since 20" in line for line in shown) == 6
    assert sum(" no " in line for line in shown) == 2


def test_accounts_on_a_terminal_are_still_json(there: Tenant) -> None:
    """A person may look at them, too."""
    shown = on_a_terminal(there, "accounts", "-q", "--quota", "none", "--fields", "id")
    assert [one["id"] for one in records(shown.encode())] == in_order(there)


def on_a_terminal(there: Tenant, *arguments: str) -> str:
    """What the program writes to a terminal."""
    master, terminal = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=terminal, env=surroundings(there))
    os.close(terminal)
    shown = bytearray()
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:  # Linux's way to say that the program has closed it
            break
    os.close(master)
    assert process.wait(60) == 0
    return shown.decode()
