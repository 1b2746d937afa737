"""Rows out: encoders, destinations, and the one writer that owns the files and their ledger."""

from harvester.sink.counts import Counts
from harvester.sink.encode import encode_account, encode_failure, encode_rows
from harvester.sink.roster import Roster, open_roster
from harvester.sink.verify import Finding, Verdict, verify
from harvester.sink.writer import Writer, new_run_id, open_writer

__all__ = [
    "Counts",
    "Finding",
    "Roster",
    "Verdict",
    "Writer",
    "encode_account",
    "encode_failure",
    "encode_rows",
    "new_run_id",
    "open_roster",
    "open_writer",
    "verify",
]
