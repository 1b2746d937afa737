"""A look at a list: what is repeated, and whose accounts are pending."""

from __future__ import annotations

import json

from harvester.ledger.account_list import preview
from harvester.model import ListedAccount


def listed(number: int, **kept: object) -> ListedAccount:
    return ListedAccount(number, f"id-{number}", json.dumps(kept).encode() if kept else None)


def test_pending_accounts_are_counted_by_their_source() -> None:
    """Each once; those of sources that are known to report nothing are counted by themselves."""
    accounts = [
        listed(0, sourceId="a"),
        listed(1, sourceId="a", usageStatus="COMPLETE"),
        listed(2, sourceId="b", usageStatus="INCOMPLETE"),
        listed(3, sourceId=7),
        listed(4, name="x"),
        listed(5),
        listed(6, sourceId="c"),
    ]
    repeated = [one._replace(position=one.position + 7) for one in accounts[:2]]
    assert preview([accounts, repeated], None) == (7, 2, 0, 1, {"a": 2, "c": 1})
