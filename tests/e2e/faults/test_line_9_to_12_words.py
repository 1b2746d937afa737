"""Lists of wrong IDs, advice that fits, options that do what they say, refused resumes (lines 9 to 12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.faults.conftest import Commands
from tests.e2e.processes import Tenant
from tests.e2e.test_unlucky_tenant import gateway, harvested, response


@pytest.fixture
def wrong(place: Path) -> Path:
    """A list of IDs that no account has."""
    path = place / "wrong.txt"
    path.write_text("".join(f"{number:032x}\n" for number in range(1500)))
    return path


@pytest.mark.parametrize("options", [(), ("-q",)])
def test_9_a_list_of_wrong_ids_is_noticed(
    commands: Commands, wrong: Path, place: Path, options: tuple[str, ...]
) -> None:
    """Status 5 soon after 100, and a line each for 20 of them at most."""
    done = commands("run", wrong, "-o", place / "u.ndjson", *options)
    assert done.status == 5, done.said
    assert "none of the first 100 accounts on the list exists" in done.said
    assert done.requests < 750  # without a quota, many are under way by then
    assert done.said.count("not_found") <= 22


def test_9_unless_it_is_meant(commands: Commands, wrong: Path, place: Path) -> None:
    """With --max-failures it goes on to the end: status 3, all in the failures file, and lines are capped."""
    done = commands("run", wrong, "-o", place / "u.ndjson", "--max-failures", "5000")
    assert done.status == 3, done.said
    assert len((place / "u.ndjson.failures.ndjson").read_bytes().splitlines()) == 1500
    assert "1,480 more accounts failed" in done.said


def test_10_one_403_is_not_a_missing_scope(there: Tenant, place: Path) -> None:
    """The scope is there, as all others show: nobody is sent to grant it."""
    denied = response(b'{"detailCode":"403 Forbidden"}', "403 Forbidden", "Content-Type: application/json")
    with gateway(there, lambda line: denied if there.ids[3] in line else None) as way:
        status, said, _ = harvested(there, way, place)
    assert (status, "1 failed" in said) == (3, True), said
    assert "grant" not in said
    assert "idn:" not in said


def test_10_a_retry_after_of_0_is_an_answer(there: Tenant, place: Path) -> None:
    """The tenant did say for how long."""
    left = 1

    def answer(line: bytes) -> bytes | None:
        nonlocal left
        if b"account-usages" not in line or not left:
            return None
        left -= 1
        return response(b"{}", "429 Too Many Requests", "Retry-After: 0")

    with gateway(there, answer) as way:
        status, said, _ = harvested(there, way, place)
    assert status == 0, said
    assert "without a usable Retry-After" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "ids.txt", "-o", "s.ndjson", "--since", "2999-01"), "is in the future"),
        (("accounts", "--report", "x.html"), "--report"),
        (("sources", "--since", "2026-01"), "--since"),
        (("rnu",), "did you mean run?"),
        (("run", "ids.txt", "-o", "s.ndjson", "--fromat", "csv"), "--format"),
        (("run", "ids.txt", "-o", "done.ndjson/x"), "Not a directory"),
        (("run", "ids.txt", "-o", "s.ndjson", "--changes", "ids.txt"), "--changes"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_11_options_do_not_lie(commands: Commands, arguments: tuple[str, ...], said: str) -> None:
    """What cannot be done is refused with 2, before a request, and before anything is said to begin."""
    done = commands(*arguments)
    assert (done.status, done.requests) == (2, 0), done.said
    assert said in done.said
    assert "harvesting" not in done.said


def test_11_a_report_finds_its_summary(commands: Commands, place: Path) -> None:
    """`report usages.ndjson`, also where only the summary is left."""
    output = place / "u.ndjson"
    assert commands("run", "ids.txt", "-o", output, "--no-keep-ledger").status == 0
    done = commands("report", output)
    assert (done.status, (place / "u.ndjson.html").exists()) == (0, True), done.said


def test_11_an_unchanged_night_says_so(commands: Commands, place: Path) -> None:
    """`--changes last` on the same rows: 0 changed."""
    command = ("run", "ids.txt", "-o", place / "u.ndjson", "--changes", "last")
    assert commands(*command).status == 0
    done = commands(*command)
    assert done.status == 0
    assert "rows since the last harvest; 0 new, 0 gone" in done.said
    assert (place / "u.ndjson").read_bytes() == b""


def test_12_another_list_is_refused(
    commands: Commands, wrong: Path, place: Path, unused_tcp_port: int
) -> None:
    """In one sentence that says how to go on, without a thread's or a coroutine's own words."""
    away = {"SAIL_BASE_URL": f"http://127.0.0.1:{unused_tcp_port}"}
    command = ("-o", place / "u.ndjson", "--max-outage", "0.5")
    assert commands("run", "ids.txt", *command, environment=away).status == 5
    done = commands("run", wrong, *command, environment=away)
    assert (done.status, "could not get a token" in done.said) == (2, False), done.said
    assert "--fresh" in done.said
