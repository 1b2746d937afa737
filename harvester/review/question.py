"""What is asked of a harvest: the window of months, and the accounts that reviewers have excluded."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from harvester.errors import InputError, SettingError, UsageError
from harvester.review.states import Window, first_day, last_day, month_number, month_of, month_text

_DEFAULT_MONTHS: Final = 3
_MOST_MONTHS: Final = 11
"""The API reports twelve months: with eleven before the last one, none is left to have been active in."""
_MOST_CELLS: Final = 3


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An account that is not to be judged. `until` is None where the exclusion does not expire."""

    account_id: str
    reason: str = ""
    until: date | None = None

    def counts_on(self, day: date) -> bool:
        """Whether it has not expired on `day`."""
        return self.until is None or day <= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a harvest. Months are ``YYYY-MM``.

    The window ends with `as_of` (default: the month in which the harvest began) and begins `months`
    months earlier (default: 3), or with `since`. `grace` makes accounts new that were created so long
    before the harvest, in place of those created within the window. `exclusions` are by account ID.
    """

    months: int | None = None
    since: str | None = None
    as_of: str | None = None
    grace: timedelta | None = None
    include_disabled: bool = False
    assume_reported: bool = False
    exclusions: Mapping[str, Exclusion] = field(default_factory=dict)


def window_of(question: Question, began: date, harvest_since: str | None) -> Window:
    """The window of `question` about a harvest that began on the day `began`, and has rows since a month.

    Raises:
        SettingError: a month or the window makes no sense; `setting` is the field's name.
        UsageError: the harvest has no rows of the first months of the window.
    """
    as_of = month_of(began) if question.as_of is None else _month("as_of", question.as_of)
    if as_of > month_of(began):
        raise SettingError(
            "as_of",
            f"{question.as_of} is later than the harvest of {began:%Y-%m}",
            "give the month of the harvest or an earlier one",
        )
    first = _first(question, as_of)
    known = _known_since(first, month_of(began), harvest_since)
    return Window(
        as_of=as_of,
        first=first,
        observed_from=max(as_of - _MOST_MONTHS, known),
        new_from=first_day(first) if question.grace is None else _grace_from(question.grace, began, as_of),
        include_disabled=question.include_disabled,
        assume_reported=question.assume_reported,
    )


def _first(question: Question, as_of: int) -> int:
    if question.since is None:
        months = _DEFAULT_MONTHS if question.months is None else question.months
        if not 1 <= months <= _MOST_MONTHS:
            raise SettingError("months", f"{months} is out of range", f"give 1 to {_MOST_MONTHS}")
        return as_of - months
    if question.months is not None:
        raise SettingError("since", "says the same as months", "give one of them")
    first = _month("since", question.since)
    if not as_of - _MOST_MONTHS <= first < as_of:
        allowed = f"{month_text(as_of - _MOST_MONTHS)} to {month_text(as_of - 1)}"
        raise SettingError("since", f"{question.since} is out of range", f"give {allowed}")
    return first


def _known_since(first: int, harvested: int, harvest_since: str | None) -> int:
    """The first month that the harvest can know of, unless the window begins before it."""
    since, reported = month_number(harvest_since), harvested - _MOST_MONTHS
    if since is not None and since > first:
        raise UsageError(
            f"the harvest has rows since {harvest_since} only, and the window begins in {month_text(first)}",
            "harvest again without --since, or ask about fewer months",
        )
    if first < reported:
        raise UsageError(
            f"the window begins in {month_text(first)}, and the tenant reported no month before "
            f"{month_text(reported)}",
            "ask about fewer months, or about a later one",
        )
    return reported if since is None else max(since, reported)


def _month(setting: str, text: str) -> int:
    month = month_number(text)
    if month is None or len(text) != len("YYYY-MM"):
        raise SettingError(setting, f"{text!r} is not a month", "write it as YYYY-MM")
    return month


def _grace_from(grace: timedelta, began: date, as_of: int) -> date:
    try:
        return min(began, last_day(as_of)) - grace
    except OverflowError:  # before the first year
        return date.min


# --- the file of exclusions


def read_exclusions(path: Path) -> dict[str, Exclusion]:
    """The exclusions in a CSV file of ``accountId[,reason[,until]]``, by account ID.

    A header is optional, blank lines and lines that begin with ``#`` are skipped. `until` is the last day
    (``YYYY-MM-DD``) on which the exclusion counts.

    Raises:
        InputError: it cannot be read, or a line of it is not an exclusion (with its number).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {one.account_id: one for one in _exclusions(csv.reader(file, strict=True), str(path))}
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), "is not UTF-8 text", "save it as UTF-8") from error


def _exclusions(rows: Iterator[list[str]], name: str) -> Iterator[Exclusion]:
    line = 0
    try:
        for number, row in enumerate(rows):
            line = rows.line_num  # type: ignore[attr-defined]  # csv.reader has it, its protocol does not
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not number and cells[0].casefold().replace("_", "") == "accountid":
                continue
            yield _exclusion(cells, name, line)
    except csv.Error as error:
        problem = f"is not valid CSV ({error})"
        raise InputError(name, problem, "check the quotes of this line", line=line + 1) from error


def _exclusion(cells: list[str], name: str, line: int) -> Exclusion:
    account_id, reason, until = [*cells, "", ""][:_MOST_CELLS]
    if not account_id:
        raise InputError(name, "has no account ID", "write accountId[,reason[,until]]", line=line)
    if any(cells[_MOST_CELLS:]):
        problem = f"has {len(cells)} cells, more than accountId, reason and until"
        raise InputError(name, problem, "put a reason that contains commas in quotes", line=line)
    return Exclusion(account_id, reason, _day(until, name, line) if until else None)


def _day(text: str, name: str, line: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        problem = f"{text[:40]!r} is not a date"
        raise InputError(name, problem, "write the last day that counts as YYYY-MM-DD", line=line) from error
