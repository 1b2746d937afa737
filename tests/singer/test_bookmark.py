"""What a STATE holds, and how it is read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import InputFault
from harvester.ledger import IdDigest
from harvester.sink.singer.bookmark import Bookmark, Covered, read_bookmark
from harvester.sink.singer.framing import month_before

DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: str(IdDigest(f"{number:x}")))
COVERED = st.builds(Covered, st.integers(0, 10**6), DIGESTS, st.lists(st.text(), max_size=3).map(tuple))
ASKED = {"tenant": "https://a.example", "apiVersion": "v2024", "since": None}


@given(st.sampled_from([None, "2026-10"]), st.none() | COVERED, st.none() | COVERED)
def test_a_state_comes_back_as_it_went(
    month: str | None, accounts: Covered | None, harvest: Covered | None
) -> None:
    """Through JSON, as a target keeps it."""
    started = None if harvest is None else "2026-11-23T02:00:00Z"
    bookmark = Bookmark(ASKED, month, accounts, started, harvest)
    assert Bookmark.from_json(json.loads(json.dumps(bookmark.to_json()))) == bookmark


@pytest.mark.parametrize(
    "content",
    ["", "  \n", "{}", '{"bookmarks": {}}', '{"bookmarks": {"other": {"x": 1}}}', "null"],
)
def test_nothing_known_is_a_beginning(tmp_path: Path, content: str) -> None:
    """An empty file, and a state that knows nothing of this stream."""
    path = tmp_path / "state.json"
    assert read_bookmark(path) == Bookmark({})
    path.write_text(content)
    assert read_bookmark(path) == Bookmark({})


def test_the_last_line_of_a_target_counts(tmp_path: Path) -> None:
    """Targets append a state a line; some pass the whole message on."""
    path = tmp_path / "state.json"
    states = [Bookmark(ASKED, month).to_json() for month in ("2026-09", "2026-10")]
    path.write_text("".join(json.dumps(state) + "\n" for state in states))
    assert read_bookmark(path).since == "2026-10-01"
    path.write_text(json.dumps({"type": "STATE", "value": states[0]}))
    assert read_bookmark(path).since == "2026-09-01"


def test_a_person_can_write_one(tmp_path: Path) -> None:
    """A date is enough: it holds for every account."""
    path = tmp_path / "state.json"
    path.write_text('{"bookmarks": {"account_usages": {"replication_key_value": "2026-08-15"}}}')
    assert read_bookmark(path) == Bookmark({}, "2026-08")


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[1, 2]",
        '"text"',
        '{"bookmarks": [1]}',
        '{"bookmarks": {"account_usages": {"replication_key_value": "soon"}}}',
        '{"bookmarks": {"account_usages": {"accounts": {"count": "many", "digest": "0"}}}}',
        '{"bookmarks": {"account_usages": {"accounts": {"count": 1}}}}',
        '{"bookmarks": {"account_usages": {"harvest": {"count": 1, "digest": "0"}}}}',
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, content: str) -> None:
    """In one sentence that names the file."""
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(InputFault, match=r"state\.json: is no state of the stream account_usages"):
        read_bookmark(path)


@pytest.mark.parametrize(
    ("moment", "month"), [("2026-11-30T23:59:59Z", "2026-10"), ("2026-01-01T00:00:00Z", "2025-12")]
)
def test_a_harvest_is_sure_of_the_months_before_its_own(moment: str, month: str) -> None:
    """The last days of a month may be counted once it is over: its row is sent again."""
    assert month_before(moment) == month
