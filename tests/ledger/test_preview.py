"""A look at a list: what is repeated, and whose accounts are pending."""

from __future__ import annotations

import json

from harvester.ledger.account_list import Preview
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
    with Preview(None) as preview:
        preview.add(accounts)
        preview.add(accounts[:2])
        assert (preview.distinct, preview.repeated, preview.settled, preview.unreported) == (7, 2, 0, 1)
        assert preview.by_source == {"a": 2, "c": 1}
