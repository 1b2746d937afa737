"""`harvester unused` as a person calls it: its options, what it says, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvester import LedgerReader, Question, Review, State, Wanted, read_exclusions, write_answer
from harvester.cli import harvester as program
from harvester.cli.exit_status import explain, status_of
from harvester.ledger import ledger_paths
from tests.cli.program import harvester
from tests.review.ledgers import REPORTING, SILENT, Listed, make_ledger

Unused = Callable[..., tuple[int, str, str]]
ACCOUNTS = [
    Listed("a1", {"2026-11": 3}, {"sourceId": REPORTING, "sourceName": "Salesforce", "name": "user.1"}),
    Listed("a2", {"2026-05": 3}, {"sourceId": REPORTING, "sourceName": "Salesforce", "name": "user.2"}),
    Listed("a3", {}, {"sourceId": REPORTING, "sourceName": "Salesforce", "name": "\x1b[31muser\n3\u202e"}),
    Listed("a4", {}, {"sourceId": SILENT, "sourceName": "Workday", "name": "=4"}),
    Listed("a5", {"2026-07": 3}, {"sourceId": REPORTING, "disabled": True}),
]
COUNTS = (
    "5 accounts: 1 excluded, 1 active, 1 unused, 0 new, 1 never, 1 unknown"
    " (66.7% of those judged are not used)"
)


@pytest.fixture
def unused(tmp_path: Path, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> Unused:
    """Calls the command in a directory with a finished harvest: status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usages.ndjson").write_text("")
    make_ledger(tmp_path / "usages.ndjson.ledger", ACCOUNTS)

    def call(*arguments: str, ledger: str = "usages.ndjson") -> tuple[int, str, str]:
        try:
            status: int | None = program.main(["unused", ledger, *arguments], standalone_mode=False)
        except Exception as error:
            status = status_of(error)
            if status is None:
                raise
            explain(error, status)
        out, err = capfdbinary.readouterr()
        assert status is not None
        return status, out.decode(), err.decode()

    return call


def test_it_says_all_six_counts_last(unused: Unused) -> None:
    """Rows on stdout, CSV where that is no terminal; the counts are the last line on stderr."""
    status, out, err = unused("--columns", "state,accountId")
    assert (status, out) == (0, "state,accountId\nunused,a2\nnever,a3\n")
    assert err.splitlines() == [COUNTS]


def test_names_are_harmless(unused: Unused) -> None:
    """Escape sequences, line breaks and marks of direction do nothing, in a table and in CSV."""
    for form in ("table", "csv", "ndjson"):
        _, out, _ = unused("--format", form, "--states", "never,unknown")
        assert not {"\x1b", "\u202e"} & set(out)
        assert ("'=4" in out) is (form == "csv")
    _, out, _ = unused("--format", "table")
    assert len(out.splitlines()) == 3


def test_totals_by_a_field(unused: Unused) -> None:
    """A table of all accounts by source."""
    _, out, err = unused("--by", "sourceName", "--format", "table")
    assert [line.split() for line in out.splitlines()] == [
        ["sourceName", "accounts", "excluded", "active", "unused", "new", "never", "unknown", "unusedShare"],
        ["Salesforce", "4", "1", "1", "1", "0", "1", "0", "66.7%"],
        ["Workday", "1", "0", "0", "0", "0", "0", "1", "–"],
    ]
    assert err.splitlines() == [COUNTS]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--months", "6"], "a3"),
        (["--months", "5"], "a2 a3"),
        (["--since", "2026-05"], "a3"),
        (["--since", "2026-06"], "a2 a3"),
        (["--include", "disabled"], "a2 a3 a5"),
        (["--states", "active"], "a1"),
        (["--states", "unknown,excluded"], "a4 a5"),
        (["--as-of", "2026-05", "--months", "3"], "a1 a3"),
        (["--as-of", "2026-05", "--months", "3", "--states", "active"], "a2"),
        (["--months", "1", "--grace", "30d"], "a2 a3"),
    ],
)
def test_options_select_accounts(unused: Unused, options: list[str], ids: str) -> None:
    """The window, the states and what is judged are what the options say."""
    assert unused("--format", "ids", *options)[1].split() == ids.split()


def test_exclusions_and_their_warning(unused: Unused) -> None:
    """A file of exclusions; those that match nobody are warned of, before the counts."""
    Path("exclude.csv").write_text("a2,on leave\na3,,2026-11-19\nzz\n")
    status, out, err = unused("--exclude", "exclude.csv", "--format", "csv", "--states", "excluded,never")
    assert status == 0
    assert "excluded,listed: on leave,a2," in out
    assert "never,,a3," in out
    assert err.splitlines()[0] == "harvester: 1 exclusion matches no account on the list (zz)"
    assert err.splitlines()[-1].startswith("5 accounts: 2 excluded")


def test_sources_of_which_nothing_is_known(unused: Unused, tmp_path: Path) -> None:
    """Nothing can be judged, which is status 3, unless they are taken as reporting."""
    make_ledger(tmp_path / "plain.ledger", [Listed("b1", {}), Listed("b2", {})])
    status, _, err = unused(ledger="plain")
    assert status == 3
    assert err.endswith("2 unknown (none can be judged)\n")
    assert unused("--assume-reported", "--format", "ids", ledger="plain")[:2] == (0, "b1\nb2\n")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--fail-above", "2"], 0),
        (["--fail-above", "1"], 1),
        (["--fail-above", "66.7%"], 0),
        (["--fail-above", "66.6%"], 1),
        (["--max-unknown", "25%"], 0),
        (["--max-unknown", "24%"], 3),
        (["--fail-above", "0", "--max-unknown", "24%"], 3),
        (["--fail-above", "0", "--states", "new"], 0),
        (["--fail-above", "x"], 2),
        (["--max-unknown", "5"], 2),
    ],
)
def test_the_gate_for_ci(unused: Unused, options: list[str], status: int) -> None:
    """1 above the limit, 3 where too much is unknown; the list is written all the same."""
    found, out, _ = unused("--format", "ids", *options)
    assert found == status
    assert bool(out) is (status != 2 and "new" not in options)


def test_files_and_the_summary_next_to_them(unused: Unused) -> None:
    """The suffix decides the format; a directory is split."""
    assert unused("-o", "unused.csv")[:2] == (0, "")
    assert Path("unused.csv").read_text().startswith("state,reason,accountId,")
    assert orjson.loads(Path("unused.csv.summary.json").read_bytes())["selected"] == 2
    unused("-o", "unused.ndjson")
    assert orjson.loads(Path("unused.ndjson").read_bytes().splitlines()[0])["accountId"] == "a2"
    unused("-o", "reviews/", "--split-by", "sourceName", "--bom", "--states", "never,unknown")
    assert sorted(path.name for path in Path("reviews").iterdir()) == ["Salesforce.csv", "Workday.csv"]
    assert Path("reviews/Workday.csv").read_bytes().startswith(b"\xef\xbb\xbfstate,")
    unused("-o", "raw.csv", "--no-formula-guard", "--states", "unknown", "--columns", "name")
    assert Path("raw.csv").read_text() == "name\n=4\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--months", "0"], "--months: 0 is out of range: give 1 to 11"),
        (["--months", "x"], "Invalid value for '--months'"),
        (["--as-of", "2026-12"], "--as-of: 2026-12 is later than the harvest"),
        (["--grace", "soon"], "'--grace': 'soon' is not a duration: write seconds, or for example 90s"),
        (["--states", "unsed"], "'--states': 'unsed' has unsed, which is not one of excluded, active"),
        (["--states", "unsed"], "did you mean unused?"),
        (["--states", "xyz"], "excluded, active, unused, new, never, unknown: give one of them"),
        (["--by", "sourcename"], "--by: 'sourcename' is not a column: did you mean sourceName"),
        (["--columns", "state,nme"], "--columns: 'nme' is not a column: did you mean name"),
        (["--split-by", "name"], "--split-by: needs a directory: let the output end in /"),
        (["--exclude", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["-o", "usages.ndjson"], "is the same file as the input usages.ndjson"),
        (["-o", "usages.ndjson.ledger"], "is the same file as the input"),
        (["-o", "missing/unused.csv"], "missing/unused.csv: the list cannot be written"),
    ],
)
def test_wrong_usage_is_one_sentence(unused: Unused, options: list[str], says: str) -> None:
    """Status 2, what is wrong and what to do; nothing is written."""
    before = sorted(Path.cwd().iterdir())
    status, out, err = unused(*options)
    assert (status, out) == (2, "")
    assert says in err
    assert sorted(Path.cwd().iterdir()) == before


def test_the_library_writes_the_same_bytes(unused: Unused, tmp_path: Path) -> None:
    """Every option is a keyword."""
    Path("exclude.csv").write_text("a3,on leave\n")
    options = ("--months", "6", "--include", "disabled", "--exclude", "exclude.csv", "--grace", "2d")
    unused(*options, "--states", "unused,excluded", "--assume-reported", "-o", "cli.csv")
    question = Question(
        months=6,
        include_disabled=True,
        assume_reported=True,
        grace=timedelta(days=2),
        exclusions=read_exclusions(Path("exclude.csv")),
    )
    with LedgerReader(tmp_path / "usages.ndjson.ledger") as reader:
        states = frozenset({State.UNUSED, State.EXCLUDED})
        write_answer(Review(reader, question), Wanted(states=states, output="library.csv"))
    for name in ("{}.csv", "{}.csv.summary.json"):
        assert Path(name.format("cli")).read_bytes() == Path(name.format("library")).read_bytes()


# --- which ledger


def test_a_ledger_is_found_by_what_it_is_of(unused: Unused, tmp_path: Path) -> None:
    """By the output, a directory, itself, a database, or where the summary says it is."""
    Path("rows.ndjson").write_text("")
    Path("elsewhere").mkdir()
    make_ledger(tmp_path / "elsewhere" / "my.ledger", ACCOUNTS)
    Path("rows.ndjson.summary.json").write_text('{"ledger": "elsewhere/my.ledger"}')
    make_ledger(tmp_path / "usages.db", ACCOUNTS)
    Path("usages").mkdir()
    make_ledger(tmp_path / "usages.ledger", ACCOUNTS)
    for name in ("usages.ndjson", "usages.ndjson.ledger", "usages.db", "usages/", "usages", "rows.ndjson"):
        assert unused("--format", "ids", ledger=name)[1] == "a2\na3\n", name


def test_a_ledger_that_moved_with_its_summary_is_found(unused: Unused, tmp_path: Path) -> None:
    """The summary of a directory, whose ledger was named when all was elsewhere."""
    Path("moved").mkdir()
    make_ledger(tmp_path / "moved" / "my.ledger", ACCOUNTS)
    Path("moved/rows.ndjson").write_text("")
    Path("moved/rows.ndjson.summary.json").write_text('{"ledger": "/long/gone/my.ledger"}')
    assert unused("--format", "ids", ledger="moved/rows.ndjson")[0] == 0


def test_the_ledger_of_a_url_is_in_the_state_directory(
    unused: Unused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by tenant and destination; without the tenant, or a harvest, one sentence says so."""
    url = "s3://bucket/usages/"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAIL_BASE_URL", raising=False)
    assert "set SAIL_BASE_URL" in unused(ledger=url)[2]
    monkeypatch.setenv("SAIL_BASE_URL", "https://acme.api.identitynow.com")
    assert "the state directory has no ledger of it" in unused(ledger=url)[2]
    paths = ledger_paths(
        url, ledger=None, base_url="https://acme.api.identitynow.com", environ=os.environ, remote=True
    )
    assert paths is not None
    paths.prepare()
    make_ledger(paths.finished, ACCOUNTS)
    assert unused("--format", "ids", ledger=url)[:2] == (0, "a2\na3\n")


def test_rows_without_a_ledger_cannot_answer(unused: Unused) -> None:
    """Neither can what is not there, nor an unfinished harvest: why, and what to do."""
    Path("rows.ndjson").write_text('{"accountId":"a","date":"2026-11-01","count":1}\n')
    status, _, err = unused(ledger="rows.ndjson")
    assert status == 2
    assert "rows alone do not show which accounts have none" in err
    assert "name the ledger, or harvest again without --no-keep-ledger" in err
    assert "there is no such ledger or output" in unused(ledger="nowhere.ndjson")[2]
    make_ledger(Path.cwd() / "begun.ndjson.ledger.partial", ACCOUNTS, finished=False)
    status, _, err = unused(ledger="begun.ndjson")
    assert status == 2
    assert "the harvest is unfinished, so some accounts are not known yet: run the same command again" in err


def test_a_harvest_that_began_too_late(unused: Unused, tmp_path: Path) -> None:
    """Its own --since is after the beginning of the window."""
    make_ledger(tmp_path / "late.ledger", ACCOUNTS, facts={"since": "2026-10"})
    status, _, err = unused(ledger="late")
    assert status == 2
    assert "the harvest has rows since 2026-10 only, and the window begins in 2026-08" in err
    assert unused("--months", "1", ledger="late")[0] == 0


def test_stdout_that_is_closed_or_full(tmp_path: Path) -> None:
    """A reader that left ends it quietly with 141; a full disk is 5, in a sentence."""
    make_ledger(
        tmp_path / "usages.ledger", [Listed(f"id-{n}", {}, {"sourceId": REPORTING}) for n in range(20_000)]
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = harvester("unused", "usages.ledger", "--format", "csv", folder=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    with Path("/dev/full").open("wb") as full:
        done = harvester("unused", "usages.ledger", "--format", "csv", folder=tmp_path, stdout=full)
    assert done.returncode == 5
    assert b"no space left for the list" in done.stderr
    assert b"Traceback" not in done.stderr
