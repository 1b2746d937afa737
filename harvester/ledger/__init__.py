"""The durable record of a harvest: the list, what of it is finished, and how far each part is good."""

from harvester.ledger.baseline import Baseline
from harvester.ledger.database import database_files, is_database
from harvester.ledger.digest import IdDigest, id_hash
from harvester.ledger.faults import LedgerUnreadable
from harvester.ledger.records import Enrolled, Outcome, PartRecord, PartState, Phase, Proof, Tally
from harvester.ledger.roll import Roll
from harvester.ledger.store import Ledger

__all__ = [
    "Baseline",
    "Enrolled",
    "IdDigest",
    "Ledger",
    "LedgerUnreadable",
    "Outcome",
    "PartRecord",
    "PartState",
    "Phase",
    "Proof",
    "Roll",
    "Tally",
    "database_files",
    "id_hash",
    "is_database",
]
