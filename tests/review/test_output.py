"""An answer as it is written: byte for byte, to files, directories and streams."""

from __future__ import annotations

import csv
import io
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvester.errors import OutputError, SettingError
from harvester.review import Exclusion, Question, Review, State, Wanted, write_answer
from harvester.review import split as split_module
from tests.review.ledgers import REPORTING, SILENT, Listed, reader_of

ALL = frozenset(State)
EVIL = "=cmd|'/c calc'!A1\x1b[31m\u202e\"\nsecond, line"


def kept(number: int, **more: Any) -> dict[str, Any]:
    return {
        "name": f"user.{number}",
        "nativeIdentity": f"CN=user {number},OU=People",
        "sourceName": "Salesforce",
        "sourceId": REPORTING,
        "identityName": f"User {number}",
        "identityId": f"identity-{number}",
        "managerName": "Ada Adler" if number % 2 else "Béla Brandt",
        "managerEmail": "ada@acme.example" if number % 2 else "bela@acme.example",
        "ownerName": "Olga Owner",
        "created": "2024-01-01T00:00:00.000Z",
        "disabled": False,
        "isMachine": number == 3,
        "hasEntitlements": True,
    } | more


ACCOUNTS = [
    Listed("id-1", {"2026-11": 3}, kept(1)),
    Listed("id-2", {"2026-06": 4, "2026-05": 6}, kept(2)),
    Listed("id-3", {}, kept(3, name=EVIL)),
    Listed("id-4", {}, {"name": "+4", "sourceId": SILENT}),
    Listed("id-5", None),
    Listed("id-6", {"2026-06": 1}, kept(6, disabled=True)),
]

GOLDEN = b"""\
state,reason,accountId,name,nativeIdentity,sourceName,sourceId,identityName,identityId,managerName,managerEmail,\
ownerName,lastActiveMonth,unusedDaysAtLeast,activeDays12m,activeMonths12m,observedSince,created,disabled,isMachine,\
hasEntitlements,harvestedAt
active,,id-1,user.1,"CN=user 1,OU=People",Salesforce,s-reporting,User 1,identity-1,Ada Adler,\
ada@acme.example,Olga Owner,2026-11,,3,1,,2024-01-01T00:00:00.000Z,false,false,true,2026-11-20T08:31:00Z
unused,,id-2,user.2,"CN=user 2,OU=People",Salesforce,s-reporting,User 2,identity-2,B\xc3\xa9la Brandt,\
bela@acme.example,Olga Owner,2026-06,141,10,2,,2024-01-01T00:00:00.000Z,false,false,true,2026-11-20T08:31:00Z
never,,id-3,"'=cmd|'/c calc'!A1\\x1b[31m\\u202e""
second, line","CN=user 3,OU=People",Salesforce,s-reporting,User 3,identity-3,Ada Adler,ada@acme.example,\
Olga Owner,,,0,0,2025-12,2024-01-01T00:00:00.000Z,false,true,true,2026-11-20T08:31:00Z
unknown,source_without_usage,id-4,'+4,,Workday,s-silent,,,,,,,,,,,,,,,2026-11-20T08:31:00Z
unknown,harvest_failed,id-5,,,,,,,,,,,,,,,,,,,2026-11-20T08:31:00Z
excluded,disabled,id-6,user.6,"CN=user 6,OU=People",Salesforce,s-reporting,User 6,identity-6,\
B\xc3\xa9la Brandt,bela@acme.example,Olga Owner,2026-06,,1,1,,\
2024-01-01T00:00:00.000Z,true,false,true,2026-11-20T08:31:00Z
"""


@pytest.fixture
def review(tmp_path: Path) -> Any:
    with reader_of(tmp_path, ACCOUNTS) as reader:
        yield Review(reader, Question())


def written(review: Review, path: Path, **wanted: Any) -> bytes:
    write_answer(review, Wanted(output=str(path), **wanted))
    return path.read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_csv_is_golden(review: Review, tmp_path: Path) -> None:
    """All columns of all states: this is what reviewers and their spreadsheets get."""
    assert written(review, tmp_path / "all.csv", states=ALL) == GOLDEN
    assert stat.S_IMODE((tmp_path / "all.csv").stat().st_mode) == 0o600


def test_csv_without_guard_is_what_the_tenant_said(review: Review, tmp_path: Path) -> None:
    """For programs; with a mark for those who want one."""
    content = written(
        review, tmp_path / "raw.csv", guard=False, bom=True, columns=("accountId", "name")
    ).decode()
    assert content.startswith("\ufeffaccountId,name\n")
    assert list(csv.reader(io.StringIO(content, newline="")))[2] == ["id-3", EVIL]


def test_ndjson_has_the_same_values(review: Review, tmp_path: Path) -> None:
    """One object per line with all columns, null where nothing is known; harmless on a terminal, too."""
    content = written(review, tmp_path / "all.ndjson", states=ALL)
    lines = [orjson.loads(line) for line in content.splitlines()]
    assert lines[2]["name"] == EVIL
    assert b"\x1b" not in content
    assert (lines[1]["unusedDaysAtLeast"], lines[1]["activeDays12m"], lines[4]["name"]) == (141, 10, None)
    assert list(lines[0]) == GOLDEN.split(b"\n")[0].decode().split(",")


def test_ids_are_a_list_for_the_next_run(review: Review, tmp_path: Path) -> None:
    """One a line; the suffix says so."""
    assert written(review, tmp_path / "ids.txt") == b"id-2\nid-3\n"


def test_a_table_is_safe_and_fits(review: Review, tmp_path: Path) -> None:
    """A row each, without columns that would be empty; who was never used since when."""
    text = written(review, tmp_path / "table", form="table").decode()
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["state", "accountId"],
        ["unused", "id-2"],
        ["never", "id-3"],
    ]
    assert "none since 2025-12" in text
    assert "reason" not in text
    assert text.isascii() or "é" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_table_shows_the_first_and_says_so(tmp_path: Path) -> None:
    """Whoever wants all wants a file; all are counted."""
    with reader_of(tmp_path, [Listed(f"id-{n}", {}, {"sourceId": REPORTING}) for n in range(60)]) as reader:
        path = tmp_path / "table"
        answer = write_answer(Review(reader, Question()), Wanted(output=str(path), form="table"))
    assert len(path.read_text().splitlines()) == 52
    assert path.read_text().endswith(
        "… and 10 more accounts: write all of them to a file with -o unused.csv\n"
    )
    assert answer.selected == 60


def test_totals_are_of_all_accounts(review: Review, tmp_path: Path) -> None:
    """Whatever states are selected; the values with most unused accounts first; no total line."""
    assert written(review, tmp_path / "by.csv", by="sourceName").decode() == (
        "sourceName,accounts,excluded,active,unused,new,never,unknown,unusedShare\n"
        "Salesforce,4,1,1,1,0,1,0,0.6667\n"
        ",1,0,0,0,0,0,1,\n"
        "Workday,1,0,0,0,0,0,1,\n"
    )
    (first, *_) = written(review, tmp_path / "by.ndjson", by="managerName").splitlines()
    assert orjson.loads(first) == {
        "managerName": "Ada Adler", "accounts": 2, "excluded": 0, "active": 1, "unused": 0, "new": 0,
        "never": 1, "unknown": 0, "unusedShare": 0.5,
    }  # fmt: skip
    table = written(review, tmp_path / "table", by="sourceName", form="table").decode()
    assert table.splitlines()[1].split() == ["Salesforce", "4", "1", "1", "1", "0", "1", "0", "66.7%"]
    assert table.splitlines()[2].split() == ["(none)", "1", "0", "0", "0", "0", "0", "1", "–"]


def test_auditors_get_a_summary(tmp_path: Path) -> None:
    """Next to the file: which run, which question, what was excluded and why, and all counts."""
    exclusions = {"id-2": Exclusion("id-2", "on leave"), "gone": Exclusion("gone")}
    with reader_of(tmp_path, ACCOUNTS) as reader:
        review = Review(reader, Question(exclusions=exclusions))
        written(review, tmp_path / "unused.csv")
        summary = orjson.loads((tmp_path / "unused.csv.summary.json").read_bytes())
        assert summary.pop("runId") == review.run_id
    assert summary == {
        "tenant": "https://acme.api.identitynow.com",
        "harvestBegan": "2026-11-20T08:30:00Z",
        "harvestSince": None,
        "asOf": "2026-11",
        "windowFrom": "2026-08",
        "newFrom": "2026-08-01",
        "graceDays": None,
        "includeDisabled": False,
        "assumeReported": False,
        "exclusions": [
            {"accountId": "id-2", "reason": "on leave", "until": None, "expired": False, "matched": True},
            {"accountId": "gone", "reason": "", "until": None, "expired": False, "matched": False},
        ],
        "states": ["unused", "never"],
        "selected": 1,
        "accounts": 6,
        "counts": {"excluded": 2, "active": 1, "unused": 0, "new": 0, "never": 1, "unknown": 2},
        "countsByReason": {
            "excluded: disabled": 1,
            "excluded: listed": 1,
            "unknown: harvest_failed": 1,
            "unknown: source_without_usage": 1,
        },
        "judged": 2,
        "unusedShare": 0.5,
        "unknownShare": 0.5,
    }


# --- a directory


def test_a_split_list_has_a_file_for_each_value(
    review: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same lines as the whole list, in its order, however often the files had to be opened."""
    monkeypatch.setattr(split_module, "_MOST_WAITING", 100)
    folder = tmp_path / "reviews"
    write_answer(review, Wanted(output=f"{folder}/", split_by="managerEmail", states=ALL))
    assert names(folder) == ["ada@acme.example.csv", "bela@acme.example.csv", "none.csv"]
    header, *lines = GOLDEN.decode().replace("\nsecond", "\0second").splitlines(keepends=True)
    mine = header + "".join(line for line in lines if "ada@acme" in line)
    assert (folder / "ada@acme.example.csv").read_text() == mine.replace("\0", "\n")
    assert (folder / "none.csv").read_text() == header + lines[3] + lines[4]
    assert stat.S_IMODE((folder / "none.csv").stat().st_mode) == 0o600
    assert orjson.loads((tmp_path / "reviews.summary.json").read_bytes())["files"] == {
        "": "none.csv",
        "ada@acme.example": "ada@acme.example.csv",
        "bela@acme.example": "bela@acme.example.csv",
    }


def test_a_split_leaves_no_list_of_last_month(review: Review, tmp_path: Path) -> None:
    """A manager without unused accounts gets no file, and keeps none; other files are nobody's business."""
    folder = tmp_path / "reviews"
    write_answer(review, Wanted(output=f"{folder}/", split_by="managerEmail", states=ALL))
    (folder / "notes.csv").write_text("mine")
    (folder / "0123.csv.partial").write_text("of a split that was killed")
    wanted = Wanted(output=f"{folder}/", split_by="managerEmail", states=frozenset({State.UNUSED}))
    write_answer(review, wanted)
    assert names(folder) == ["0123.csv.partial", "bela@acme.example.csv", "notes.csv"]


def test_a_split_that_fails_leaves_nothing(
    review: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is removed, and what was there stays."""
    folder = tmp_path / "reviews"
    write_answer(review, Wanted(output=f"{folder}/", split_by="managerEmail"))
    before = names(folder)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(split_module, "sync_file", full)
    with pytest.raises(Exception, match="no space left for the list"):
        write_answer(review, Wanted(output=f"{folder}/", split_by="managerEmail", states=ALL))
    assert names(folder) == before


# --- where it goes


def test_streams_and_devices_have_no_summary(review: Review, tmp_path: Path) -> None:
    """A device is written to; a FIFO, too."""
    write_answer(review, Wanted(output="/dev/null"))
    assert not Path("/dev/null.summary.json").exists()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "target.csv")
    write_answer(review, Wanted(output=str(link)))
    assert link.is_symlink()
    assert (tmp_path / "target.csv").is_file()
    assert (tmp_path / "target.csv.summary.json").is_file()


def test_a_destination_is_tried_before_anything_is_read(review: Review, tmp_path: Path) -> None:
    """A directory, a missing directory, an input: one sentence, and nothing changes."""
    for output in (tmp_path, tmp_path / "missing" / "x.csv"):
        with pytest.raises(OutputError, match="cannot be written"):
            write_answer(review, Wanted(output=str(output)))
    ledger = tmp_path / "usages.ndjson.ledger"
    with pytest.raises(SettingError, match="is the same file as the input"):
        write_answer(review, Wanted(output=str(ledger)), inputs=[ledger])
    assert review.totals().accounts == len(ACCOUNTS)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"by": "sourceNam"}, "by: 'sourceNam' is not a column: did you mean sourceName"),
        ({"split_by": "x", "output": "d/"}, "split_by: 'x' is not a column"),
        ({"columns": ("state", "nam")}, "columns: 'nam' is not a column: did you mean name"),
        ({"split_by": "name"}, "split_by: needs a directory"),
        ({"split_by": "name", "output": "x.csv"}, "split_by: needs a directory"),
        ({"split_by": "name", "output": "d/", "form": "ndjson"}, "format: a split list is CSV"),
        ({"split_by": "name", "output": "d/", "by": "name"}, "split_by: contradicts by"),
        ({"by": "name", "form": "ids"}, "format: totals have no account IDs"),
        ({"by": "name", "columns": ("name",)}, "columns: totals have columns of their own"),
        ({"form": "ids", "columns": ("name",)}, "columns: a list of IDs has no columns"),
        ({"form": "ndjson", "bom": True}, "bom: is for CSV, and this is ndjson"),
    ],
)
def test_what_contradicts_itself(review: Review, wanted: dict[str, Any], says: str) -> None:
    """One sentence, before anything is written."""
    with pytest.raises(SettingError, match=says):
        write_answer(review, Wanted(**wanted))
