"""A review of every kind of account, against a plain model written from the rules, in dates and sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import SettingError, UsageError
from harvester.ledger import LedgerReader
from harvester.review import Exclusion, Question, Review, State, Totals
from tests.review.ledgers import BEGAN, SILENT, SOURCES, Listed, reader_of

TODAY = BEGAN.date()
MONTHS = [f"{number // 12}-{number % 12 + 1:02}" for number in range(2025 * 12 + 9, 2026 * 12 + 12)]
"""October 2025, before anything that the API reports, to the month after the harvest."""
BORDERS = sorted({
    date.fromisoformat(f"{month}-01") + timedelta(days=days) for month in MONTHS for days in (-1, 0)
})  # fmt: skip  # the last day of each month, and the first
BY_ID = {source.id: source for source in SOURCES}

LISTED_FROM = ("id-3", "id-40", "id-500", "id-700", "nobody")
"""Accounts that may be excluded."""


def listed() -> Iterator[Listed]:
    """Every creation date with every source; every month of use, alone and with others, and what is kept."""
    known: list[dict[str, Any]] = [{}, *[{"sourceId": source} for source in (*BY_ID, "elsewhere")]]
    told: list[dict[str, Any]] = [
        {"usageStatus": "COMPLETE", "usageSince": month} for month in (*MONTHS, None)
    ]
    silent: list[dict[str, Any]] = [
        {"usageStatus": "INCOMPLETE"},
        {"sourceId": SILENT, "usageStatus": "COMPLETE"},
    ]
    created: list[dict[str, Any]] = [{}, *[{"created": f"{day}T23:59:59.999Z"} for day in BORDERS]]
    unused = [one | other for one in created for other in (*known, *told, *silent)]
    usages = [
        None,
        {},
        *[{month: days} for month in MONTHS[1:-1] for days in (0, 1, 31)],
        *[{one: days, other: 3} for one, other in pairwise(MONTHS[1:-1]) for days in (0, 2)],
        dict.fromkeys(MONTHS[1:-1], 1),
        dict.fromkeys(MONTHS[1:-1], 0),
    ]
    notes: list[Any] = ['"disabled":false', {"disabled": False}, {"disabled": True}]
    disabled: list[dict[str, Any]] = [
        {},
        *[{"disabled": value} for value in (True, False, "true", "false", None)],
    ]
    disabled += [{"note": note, "disabled": value} for note in notes for value in (True, False)]
    used = [(usage, one | known[2]) for usage in usages for one in disabled]
    for number, (usage, properties) in enumerate([*(({}, one) for one in unused), *used]):
        yield Listed(f"id-{number}", usage, properties)


ACCOUNTS = list(listed())
months = st.sampled_from(range(1, 12))
questions = st.fixed_dictionaries(
    {},
    optional={
        "months": months,
        "as_of": st.sampled_from(MONTHS[-5:-1]),
        "grace": st.sampled_from([timedelta(), timedelta(hours=12), timedelta(days=19), timedelta(days=400)]),
        "include_disabled": st.booleans(),
        "assume_reported": st.booleans(),
        "exclusions": st.dictionaries(
            st.sampled_from(LISTED_FROM), st.sampled_from([None, TODAY - timedelta(days=1), TODAY])
        ),
    },
)


@pytest.fixture(scope="module", params=[None, "2026-03", "2026-08"])
def since(request: pytest.FixtureRequest) -> str | None:
    """The first month that the harvest asked for."""
    found: str | None = request.param
    return found


@pytest.fixture(scope="module")
def reader(since: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerReader]:
    """The ledger of all accounts."""
    with reader_of(tmp_path_factory.mktemp("ledger"), ACCOUNTS, facts={"since": since}) as found:
        yield found


@dataclass(frozen=True)
class Said:
    """What is to be said of an account."""

    state: str
    reason: str | None = None
    last: str | None = None
    observed: str | None = None


def window(question: Question) -> tuple[str, str]:
    """The last month, and the first."""
    end = question.as_of or MONTHS[-2]
    return end, question.since or before(end, 3 if question.months is None else question.months)


def model(one: Listed, question: Question, since: str | None) -> Said:
    """The table of DESIGN, from its first row to its last."""
    end, first = window(question)
    last = max([month for month, days in (one.usage or {}).items() if days and month <= end], default=None)
    exclusion = question.exclusions.get(one.id)
    status, coverage = source_of(one)
    new_from = date.fromisoformat(f"{first}-01")
    if question.grace is not None:
        new_from = (
            min(TODAY, date.fromisoformat(f"{before(end, -1)}-01") - timedelta(days=1)) - question.grace
        )
    created = date.fromisoformat(one.kept.get("created", "0001-01-01")[:10])
    reported = question.assume_reported
    observed = max(coverage or "", before(end, 11), MONTHS[2], since or "")
    rules = [
        (one.kept.get("disabled") in (True, "true") and not question.include_disabled,
            Said("excluded", "disabled", last)),
        (exclusion is not None and (exclusion.until is None or exclusion.until >= TODAY),
            Said("excluded", "listed", last)),
        (one.usage is None, Said("unknown", "harvest_failed")),
        (last is not None and last >= first, Said("active", None, last)),
        (last is not None, Said("unused", None, last)),
        (created >= new_from, Said("new")),
        (status == "INCOMPLETE", Said("unknown", "source_without_usage")),
        (status is None and not reported, Said("unknown", "source_not_known")),
        (coverage is None and not reported, Said("unknown", "coverage_too_short")),
        ((coverage or "") >= first, Said("unknown", "coverage_too_short")),
        (True, Said("never", None, None, observed)),
    ]  # fmt: skip  # a rule a line, as there
    return next(said for applies, said in rules if applies)


def source_of(one: Listed) -> tuple[str | None, str | None]:
    """What the run learned of its source counts before what the list says."""
    source = BY_ID.get(one.kept.get("sourceId", ""))
    status = (source and source.status) or one.kept.get("usageStatus")
    return status, (source and source.since) or one.kept.get("usageSince")


def before(month: str, number: int) -> str:
    """The month so many months earlier."""
    year, of_year = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 - number, 12)
    return f"{year}-{of_year + 1:02}"


@settings(max_examples=40, deadline=None)
@given(asked=questions, by_month=st.booleans())
def test_a_review_says_what_the_rules_say(
    asked: dict[str, Any], by_month: bool, since: str | None, reader: LedgerReader
) -> None:
    """State, reason, last active month and observation of each account, in any window, and their totals."""
    excluded = asked.pop("exclusions", {})
    if by_month and "months" in asked:
        asked["since"] = before(asked.get("as_of", MONTHS[-2]), asked.pop("months"))
    question = Question(
        exclusions={one: Exclusion(one, "", until) for one, until in excluded.items()}, **asked
    )
    end, first = window(question)
    if first < max(since or "", MONTHS[2]):
        with pytest.raises(UsageError, match="the window begins in"):
            Review(reader, question)
        return
    review = Review(reader, question)
    found = list(review.accounts())
    assert review.unmatched == {"nobody"} & excluded.keys()
    for one, account in zip(ACCOUNTS, found, strict=True):
        assert account.account_id == one.id
        said = Said(str(account.state), account.reason, account.last_active_month, account.observed_since)
        assert said == model(one, question, since), one
        if account.active_days is not None:
            year = {
                month: days for month, days in (one.usage or {}).items() if before(end, 11) <= month <= end
            }
            assert account.active_days == sum(year.values()), one
            assert account.active_months == sum(days > 0 for days in year.values()), one
    again = Totals()
    again.count([one.judgment for one in found])
    assert again == review.totals()
    assert again.accounts == sum(again.states[state] for state in State) == len(ACCOUNTS)


@pytest.mark.parametrize("asked", [{"since": "2026-11"}, {"since": "2025-11"}, {"as_of": "2026-12"}])
def test_windows_beyond_the_harvest_are_refused(asked: dict[str, Any], tmp_path: Path) -> None:
    """The window has at least a month before the last one, at most eleven, and ends with the harvest."""
    with reader_of(tmp_path, [Listed("a")]) as reader, pytest.raises(SettingError):
        Review(reader, Question(**asked))
