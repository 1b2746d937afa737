"""What the harvested rows say about each account: active, unused, never used, new, excluded or unknown.

::

    states.py    the judgment of one account: pure functions
    unused.py    a finished ledger -> judged accounts, totals, the auditors' summary
    excluded.py  the file of accounts that reviewers have excluded
    table.py     columns, and what makes text safe in a spreadsheet
"""
