"""Judging the accounts of a ledger."""

from __future__ import annotations

from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import SettingError, UsageError
from harvester.ledger import LedgerReader, opening
from harvester.review import Exclusion, Question, Review, State, unmatched_warning
from harvester.review.review import _activity
from tests.review.ledgers import LATE, REPORTING, SILENT, UNASKED, Listed, make_ledger, reader_of

YEAR = {f"{number // 12}-{number % 12 + 1:02}": 5 for number in range(2025 * 12 + 10, 2026 * 12 + 11)}
"""Active in each of the thirteen months that the API may report, November 2025 to November 2026."""


def from_(source: str, **kept: Any) -> dict[str, Any]:
    return {"sourceId": source, **kept}


ACCOUNTS = [
    Listed("active", {"2026-11": 1, "2026-02": 3}, from_(REPORTING)),
    Listed("active-at-the-edge", {"2026-08": 1}, from_(REPORTING)),
    Listed("unused", {"2026-11": 0, "2026-07": 4}, from_(REPORTING)),
    Listed("never", {"2026-11": 0}, from_(REPORTING)),
    Listed("new", {}, from_(SILENT, created="2026-08-01T09:00:00Z")),
    Listed("silent", {}, from_(SILENT, created="2026-07-31T09:00:00Z")),
    Listed("late", {}, from_(LATE)),
    Listed("unasked", {}, from_(UNASKED)),
    Listed("elsewhere", {}, {}),
    Listed("failed", None, from_(REPORTING)),
    Listed("failed-and-disabled", None, from_(REPORTING, disabled=True)),
    Listed("active-and-disabled", {"2026-11": 1}, from_(REPORTING, disabled=True)),
    Listed("silent-but-used", {"2026-10": 1}, from_(SILENT)),
]


def states(review: Review) -> dict[str, str]:
    """State and reason of each account."""
    return {
        one.account_id: str(one.state) if one.reason is None else f"{one.state}: {one.reason}"
        for one in review.accounts()
    }


def test_each_account_is_in_the_state_that_the_rules_say(tmp_path: Path) -> None:
    """All states and reasons, in the order of the list."""
    with reader_of(tmp_path, ACCOUNTS) as reader:
        assert list(states(Review(reader, Question())).items()) == [
            ("active", "active"),
            ("active-at-the-edge", "active"),
            ("unused", "unused"),
            ("never", "never"),
            ("new", "new"),
            ("silent", "unknown: source_without_usage"),
            ("late", "unknown: coverage_too_short"),
            ("unasked", "unknown: source_not_known"),
            ("elsewhere", "unknown: source_not_known"),
            ("failed", "unknown: harvest_failed"),
            ("failed-and-disabled", "excluded: disabled"),
            ("active-and-disabled", "excluded: disabled"),
            ("silent-but-used", "active"),
        ]


def test_options_change_what_they_name(tmp_path: Path) -> None:
    """Disabled accounts are judged, unknown sources taken as reporting, grace is in place of the window."""
    question = Question(include_disabled=True, assume_reported=True, grace=timedelta(days=30), months=1)
    with reader_of(tmp_path, ACCOUNTS) as reader:
        found = states(Review(reader, question))
    assert found["failed-and-disabled"] == "unknown: harvest_failed"
    assert found["active-and-disabled"] == "active"
    assert found["unasked"] == found["elsewhere"] == "never"
    assert found["new"] == "unknown: source_without_usage"
    assert found["active-at-the-edge"] == "unused"
    assert found["late"] == "never"


def test_exclusions_count_until_they_expire(tmp_path: Path) -> None:
    """An exclusion counts on its last day, and no longer; one that matches nothing is known."""
    exclusions = [
        Exclusion("unused", "on leave", date(2026, 11, 20)),
        Exclusion("never", "", date(2026, 11, 19)),
        Exclusion("nobody"),
    ]
    question = Question(exclusions={one.account_id: one for one in exclusions})
    with reader_of(tmp_path, ACCOUNTS) as reader:
        review = Review(reader, question)
        found = states(review)
        assert found["unused"] == "excluded: listed: on leave"
        assert found["never"] == "never"
        assert review.unmatched == {"nobody"}


def test_bounds_and_figures_of_an_account(tmp_path: Path) -> None:
    """Days without use reach from the month after the last active one to two days before the response."""
    with reader_of(tmp_path, ACCOUNTS) as reader:
        by_id = {one.account_id: one for one in Review(reader, Question()).accounts()}
    unused, never = by_id["unused"], by_id["never"]
    assert unused.last_active_month == "2026-07"
    assert unused.judgment.unused_days_at_least == (date(2026, 11, 18) - date(2026, 7, 31)).days
    assert (unused.active_days, unused.active_months) == (4, 1)
    assert never.observed_since == "2025-12"
    assert never.last_active_month is None
    assert by_id["failed"].harvested_at == "2026-11-20T08:31:00Z"
    assert by_id["silent"].source_name == "Workday"


def test_twelve_months_are_twelve(tmp_path: Path) -> None:
    """The API may report thirteen months; what is said of twelve leaves the oldest out."""
    with reader_of(tmp_path, [Listed("a", YEAR, from_(REPORTING))]) as reader:
        (account,) = Review(reader, Question()).accounts()
        assert (account.active_months, account.active_days) == (12, 60)
        (earlier,) = Review(reader, Question(as_of="2026-10")).accounts()
        assert (earlier.active_months, earlier.active_days) == (12, 60)


def test_an_earlier_month_is_asked_about_as_it_was(tmp_path: Path) -> None:
    """What came later than --as-of is not known, and the last active month before it counts."""
    accounts = [
        Listed("was-unused", {"2026-11": 3, "2026-04": 3}, from_(REPORTING)),
        Listed("was-active", {"2026-11": 3, "2026-06": 3}, from_(REPORTING)),
        Listed("was-never", {"2026-11": 3}, from_(REPORTING)),
    ]
    with reader_of(tmp_path, accounts) as reader:
        review = Review(reader, Question(as_of="2026-09"))
        assert states(review) == {"was-unused": "unused", "was-active": "active", "was-never": "never"}
        by_id = {one.account_id: one for one in review.accounts()}
        assert by_id["was-unused"].last_active_month == "2026-04"
        assert by_id["was-unused"].judgment.unused_days_at_least == 31 + 30 + 31 + 31 + 30
        assert by_id["was-never"].observed_since == "2025-12"
        assert by_id["was-never"].active_days == 0


def test_use_after_a_harvest_began_is_use(tmp_path: Path) -> None:
    """A harvest that runs into the next month accuses nobody who was active there; as of then, it does."""
    accounts = [Listed("later", {"2026-12": 1, "2026-05": 3}, from_(REPORTING))]
    with reader_of(tmp_path, accounts) as reader:
        (now,) = Review(reader, Question()).accounts()
        (then,) = Review(reader, Question(as_of="2026-11")).accounts()
    assert (now.state, now.last_active_month, now.active_days) == (State.ACTIVE, "2026-12", 3)
    assert (then.state, then.last_active_month, then.active_days) == (State.UNUSED, "2026-05", 3)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (Question(months=0), "0 is out of range: give 1 to 11"),
        (Question(months=12), "12 is out of range: give 1 to 11"),
        (Question(months=3, since="2026-08"), "says the same as months"),
        (Question(since="2026-1"), "is not a month: write it as YYYY-MM"),
        (Question(since="2026-11"), "give 2025-12 to 2026-10"),
        (Question(as_of="2026-12"), "later than the harvest of 2026-11"),
        (Question(as_of="2026-13"), "is not a month"),
    ],
)
def test_questions_that_make_no_sense(tmp_path: Path, question: Question, says: str) -> None:
    """A setting error says what to give instead."""
    with reader_of(tmp_path, ACCOUNTS[:1]) as reader, pytest.raises(SettingError, match=says):
        Review(reader, question)


def test_a_harvest_that_does_not_reach_back_cannot_answer(tmp_path: Path) -> None:
    """Neither one that began too late, nor any about months that the API had forgotten."""
    with reader_of(tmp_path, ACCOUNTS[:1], facts={"since": "2026-09"}) as reader:
        assert states(Review(reader, Question(months=2))) == {"active": "active"}
        with pytest.raises(UsageError, match="rows since 2026-09 only, and the window begins in 2026-08"):
            Review(reader, Question())
    folder = tmp_path / "all"
    folder.mkdir()
    with (
        reader_of(folder, ACCOUNTS[:1]) as reader,
        pytest.raises(UsageError, match="no month before 2025-12"),
    ):
        Review(reader, Question(as_of="2026-02"))


def test_a_late_harvest_observed_no_earlier(tmp_path: Path) -> None:
    """An account was never used only since the harvest's own first month."""
    with reader_of(tmp_path, ACCOUNTS[3:4], facts={"since": "2026-03"}) as reader:
        (account,) = Review(reader, Question()).accounts()
        assert account.observed_since == "2026-03"


def test_an_unfinished_harvest_is_refused(tmp_path: Path) -> None:
    """Unless the caller knows that it is complete and only lacks its name."""
    path = make_ledger(tmp_path / "usages.ndjson.ledger.partial", ACCOUNTS, finished=False)
    with LedgerReader(path) as reader:
        with pytest.raises(UsageError, match=r"is unfinished.*run the same command again"):
            Review(reader, Question())
        assert Review(reader, Question(), unpublished=True).totals().accounts == len(ACCOUNTS)
    pending = tmp_path / "pending.partial"
    with closing(opening.create(pending, 0o600, {"base_url": "", "since": None})) as writer:
        writer.begin_run({"started": 1_790_000_000.0})
        with LedgerReader(pending) as reader, pytest.raises(UsageError, match="is unfinished"):
            Review(reader, Question(), unpublished=True)


def test_what_the_list_says_of_a_source_counts_where_the_run_learned_nothing(tmp_path: Path) -> None:
    """`accounts --add usage` writes it; what the run itself was told counts more."""
    accounts = [
        Listed("complete", {}, from_("other", usageStatus="COMPLETE", usageSince="2026-01")),
        Listed("incomplete", {}, from_("other", usageStatus="INCOMPLETE")),
        Listed("told", {}, from_(SILENT, usageStatus="COMPLETE", usageSince="2026-01")),
    ]
    with reader_of(tmp_path, accounts) as reader:
        review = Review(reader, Question())
        assert states(review) == {
            "complete": "never",
            "incomplete": "unknown: source_without_usage",
            "told": "unknown: source_without_usage",
        }
        assert next(review.accounts()).observed_since == "2026-01"


def test_odd_properties_of_a_list_do_no_harm(tmp_path: Path) -> None:
    """What is no date, month or truth value is as good as absent."""
    odd = {"created": 17, "usageSince": ["x"], "disabled": "perhaps", "name": {"first": "A"}}
    with reader_of(tmp_path, [Listed("odd", {}, odd)]) as reader:
        assert states(Review(reader, Question())) == {"odd": "unknown: source_not_known"}


@pytest.mark.parametrize(
    ("created", "state"),
    [
        ("2026-08-01T01:00:00+05:00", "never"),  # in July
        ("2026-07-31T23:00:00-05:00", "new"),  # in August
        ("2026-08-01T00:00:00.123456789Z", "new"),
        ("2026-08-01", "new"),
        ("2026-08-01 at noon", "new"),
        ("2026-07-31T23:59:59", "never"),
        ("9999-12-31T23:59:59-05:00", "new"),
        ("yesterday", "never"),
    ],
)
def test_an_account_is_created_in_a_month_of_utc(tmp_path: Path, created: str, state: str) -> None:
    """Whatever the offset of the time at which it was."""
    with reader_of(tmp_path, [Listed("one", {}, from_(REPORTING, created=created))]) as reader:
        assert states(Review(reader, Question())) == {"one": state}


def test_rows_as_odd_as_json_allows_are_counted(tmp_path: Path) -> None:
    """Rows without a date or a count, and numbers beyond any float."""
    with reader_of(tmp_path, ACCOUNTS[:1]) as reader:
        rows = [b'{"count":3}', b'{"date":"2026-10-01"}', b'{"date":"2026-09-01","count":2,"x":1e999}']
        assert _activity(b"[%b]" % b",".join(rows), 2026 * 12 + 10) == ("2026-09", 2, 1)
        assert reader.rows_at([0, 99]).keys() == {0}


def test_a_thirteenth_month_does_not_count_however_it_is_written(tmp_path: Path) -> None:
    """Rows without a date, dates within other properties, and escaped names, too."""
    usual, old = b'{"date":"2026-07-01","count":2}', b'{"date":"2025-11-01","count":5}'
    odd = b'{"count":1,"x":{"date":"2026-07-01"}}'
    escaped = old.replace(b"date", b"d\\u0061te")
    with reader_of(tmp_path, [Listed("a", {"2026-07": 2})]) as reader:
        review = Review(reader, Question())
        for rows, within in (
            ([usual], True),
            ([usual, old], False),
            ([usual, odd], True),
            ([odd, old], False),
            ([usual, b'{"count":1}'], False),
            ([usual, b'{"count":3,"x":{"date":"2026-07-01"},' + escaped[1:]], False),
        ):
            assert review._all_counts("2026-07", b"[" + b",\n".join(rows) + b"]") is within
        assert not review._all_counts("2026-12", b"[" + usual + b"]")


def test_many_accounts_are_read_in_slices(tmp_path: Path) -> None:
    """More than one slice: each once, in order, with the figures of its own rows."""
    accounts = [
        Listed(f"a{n}", {"2026-05": n % 28 + 1} if n % 3 else {}, from_(REPORTING)) for n in range(4500)
    ]
    with reader_of(tmp_path, accounts) as reader:
        found = list(Review(reader, Question()).accounts([State.UNUSED]))
    assert [(one.account_id, one.active_days) for one in found] == [
        (f"a{n}", n % 28 + 1) for n in range(4500) if n % 3
    ]


def test_columns_are_known_by_name(tmp_path: Path) -> None:
    """Those of every list, those that --keep added, and the nearest names for others."""
    with reader_of(tmp_path, ACCOUNTS[:1], facts={"keep": ["department"]}) as reader:
        review = Review(reader, Question())
        review.check_column("by", "department")
        review.check_column("by", "usageStatus")
        with pytest.raises(SettingError, match="'managerNam' is not a column: did you mean managerName"):
            review.check_column("by", "managerNam")
        with pytest.raises(SettingError, match="give any of state, reason"):
            review.check_column("by", "xyz")


def test_exclusions_without_an_account_are_warned_of() -> None:
    """One sentence, with the first few, harmless on a terminal."""
    assert unmatched_warning([]) is None
    assert unmatched_warning(["b"]) == "1 exclusion matches no account on the list (b)"
    assert unmatched_warning(["x\x1b[2J\u202e"]) == (
        "1 exclusion matches no account on the list (x\\x1b[2J\\u202e)"
    )
    assert unmatched_warning("dcba") == "4 exclusions match no account on the list (a, b, c, …)"
