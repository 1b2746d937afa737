"""What the harvested rows say about each account: active, unused, never used, new, excluded or unknown.

::

    states.py       the judgment of one account: pure functions
    question.py     what is asked, and the window of months that follows from it
    review.py       a finished ledger and a question -> judged accounts
    evidence.py     what the ledger says of an account, as the judgment takes it
    account.py, activity.py, totals.py, months.py
                    what is said of an account, of its months, of many accounts
    excluded.py     the file of accounts that reviewers have excluded
    answer.py       one pass over a review: the accounts asked for, totals, the auditors' summary
    limits.py       the gate: how many accounts may be unused, or unknown
    output.py       an answer written: lines.py and spreadsheet.py say how, split.py and file_names.py where
"""

from harvester.review.account import COLUMNS, ReviewedAccount
from harvester.review.answer import Answer
from harvester.review.excluded import Exclusion, read_exclusions
from harvester.review.limits import Limit, status_of
from harvester.review.output import FORMS, Wanted, write_answer
from harvester.review.question import Question
from harvester.review.review import Review, unmatched_warning
from harvester.review.states import Judgment, State, Why
from harvester.review.totals import Totals

__all__ = [
    "COLUMNS",
    "FORMS",
    "Answer",
    "Exclusion",
    "Judgment",
    "Limit",
    "Question",
    "Review",
    "ReviewedAccount",
    "State",
    "Totals",
    "Wanted",
    "Why",
    "read_exclusions",
    "status_of",
    "unmatched_warning",
    "write_answer",
]
