"""What the harvested rows say about each account: active, unused, never used, new, excluded or unknown.

::

    states.py     the judgment of one account: pure functions
    question.py   what is asked: the window of months, and the file of accounts that reviewers have excluded
    review.py     a finished ledger and a question -> judged accounts
    totals.py     accounts by state; the gate: how many may be unused, or unknown
    answer.py     one pass over a review: the accounts asked for, totals, the auditors' summary
    lines.py      how accounts and totals are written: CSV, NDJSON, IDs, a table
    output.py     an answer written, to one place or, by split.py, to a file for each value
"""

from harvester.review.answer import Answer
from harvester.review.output import FORMS, Wanted, write_answer
from harvester.review.question import Exclusion, Question, read_exclusions
from harvester.review.review import COLUMNS, Review, ReviewedAccount, unmatched_warning
from harvester.review.states import Judgment, State, Why
from harvester.review.totals import Limit, Totals, status_of

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
