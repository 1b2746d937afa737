"""How accounts end, what is known of failures, and the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester.errors import InternalError
from harvester.ledger import LedgerReader, SourceStatus
from harvester.ledger import reader as reader_module
from harvester.ledger.reader import merge_kinds
from harvester.model import (
    Account,
    AccountOutcome,
    Counts,
    Harvested,
    ListedAccount,
    Reason,
    UsageRows,
)
from tests.ledger.helpers import (
    created,
    empty,
    failure,
    harvested,
    listed,
    outcomes,
    pending,
    read_list,
    settle,
    usage,
)


def test_each_outcome_is_counted_and_read_back(tmp_path: Path) -> None:
    """The counts add up to the list, and an entry has all that is known of its account."""
    with created(tmp_path / "x", "abcde") as writer:
        run_id = writer.begin_run({"id": "run-1", "started": 1.0})
        writer.save_lanes({"client/v3": "v3"})
        a, b, c, d, _ = pending(writer)
        settle(writer, [harvested(a, "client/v3"), empty(b), empty(c, AccountOutcome.UNREPORTED), failure(d)])
        assert writer.counts() == Counts(5, 1, 1, 1, 1, 1)
    with LedgerReader(tmp_path / "x") as reader:
        first, second, third, fourth = reader.entries(-1, 10)
        assert (first.id, first.outcome, first.row_count) == ("a", AccountOutcome.HARVESTED, 2)
        assert (first.rows, first.settled_at) == (usage("a").blob, 1_790_000_000.125)
        assert (first.lane, first.api_version, first.run_id) == ("client/v3", "v3", run_id)
        assert (second.rows, second.lane, second.api_version) == (b"[]", "client", None)
        assert third.outcome is AccountOutcome.UNREPORTED
        assert (fourth.outcome, fourth.rows, fourth.lane) == (AccountOutcome.FAILED, None, None)
        assert reader.totals() == (2, 3)


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 200, 333])
def test_a_batch_may_have_any_size(tmp_path: Path, size: int) -> None:
    """However many accounts are settled at once, each gets its own outcome."""
    ids = [f"id{number}" for number in range(size)]
    with created(tmp_path / "x", ids) as writer:
        settle(writer, [harvested(account) for account in reversed(pending(writer))])
    assert outcomes(tmp_path / "x") == {id_: (AccountOutcome.HARVESTED, usage(id_).blob) for id_ in ids}


def test_nothing_of_a_wrong_batch_is_stored(tmp_path: Path) -> None:
    """An account that is settled twice or not listed is a bug, and its whole transaction is undone."""
    with created(tmp_path / "x", "abc") as writer:
        a, b, _ = pending(writer)
        settle(writer, [harvested(a)])
        for wrong in (harvested(a), harvested(Account(9, "z"))):
            with pytest.raises(InternalError, match="1 accounts were settled twice, or are not on the list"):
                writer.settle([harvested(b), wrong], {"fact": 1})
        assert [account.id for account in pending(writer)] == ["b", "c"]
        assert writer.database.value("SELECT count(*) FROM fact WHERE key = 'fact'") == 0


def test_failures_are_read_and_grouped_by_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of all runs are there in the order of the list, the groups from the most frequent on."""
    with created(tmp_path / "x", "abcd") as writer:
        a, b, c, d = pending(writer)
        settle(writer, [failure(d, detail="d's"), failure(b, Reason.FORBIDDEN, "b's"), harvested(c)])
        settle(writer, [failure(a, detail="a's \ud800 with a lone surrogate")])
    with LedgerReader(tmp_path / "x") as reader:
        found = list(reader.failures())
        assert [one.account.id for one in found] == ["a", "b", "d"]
        assert found[1] == failure(b, Reason.FORBIDDEN, "b's")
        monkeypatch.setattr(reader_module, "_AT_ONCE", 1)
        assert list(reader.failures()) == found
        groups = reader.failures_by_reason()
        assert [(reason, group.count, group.account_id) for reason, group in groups.items()] == [
            ("not_found", 2, "a"),
            ("forbidden", 1, "b"),
        ]
        assert groups["not_found"].detail == "a's ? with a lone surrogate"


def test_accounts_of_sources_without_usage_can_be_skipped(tmp_path: Path) -> None:
    """Only pending accounts of INCOMPLETE sources are settled as unreported, without a response."""
    accounts = [
        ListedAccount(at, f"id{at}", b'{"sourceId":"s%d"}' % (at % 3) if at < 6 else None) for at in range(8)
    ]
    with created(tmp_path / "x") as writer:
        read_list(writer, accounts)
        writer.save_sources([SourceStatus("s0", None, "INCOMPLETE", None)])
        writer.save_sources(
            [SourceStatus("s1", "One", "COMPLETE", "2026-01"), SourceStatus("s2", None, None, None)]
        )
        settle(writer, [harvested(Account(3, "id3"))])
        assert writer.settle_unreported() == 1
    found = outcomes(tmp_path / "x")
    assert found["id0"] == (AccountOutcome.UNREPORTED, None)
    assert [id_ for id_, (outcome, _) in found.items() if outcome is None] == [
        "id1",
        "id2",
        "id4",
        "id5",
        "id6",
        "id7",
    ]
    with LedgerReader(tmp_path / "x") as reader:
        assert reader.sources()[1] == SourceStatus("s1", "One", "COMPLETE", "2026-01")


def test_an_account_known_to_be_good_is_one_with_rows(tmp_path: Path) -> None:
    """Empty, failed and pending accounts do not prove that the client may read usages."""
    with created(tmp_path / "x", "abc") as writer:
        a, b, c = pending(writer)
        settle(writer, [empty(a), failure(b)])
        assert writer.known_good() is None
        settle(writer, [harvested(c)])
        assert writer.known_good() == "c"


def test_an_account_that_was_answered_is_one_that_a_live_tenant_answers_again(tmp_path: Path) -> None:
    """One without rows, or one that was refused on its own account; not one that met faults or 429s."""
    with created(tmp_path / "x", "abcd") as writer:
        a, b, c, d = pending(writer)
        settle(writer, [failure(a, Reason.THROTTLED), failure(b, Reason.SERVER_ERROR)])
        assert writer.answered_account() is None
        settle(writer, [failure(c, Reason.NOT_FOUND)])
        assert writer.answered_account() == "c"
        settle(writer, [empty(d)])
        assert writer.answered_account() == "d"


def test_columns_are_those_of_the_accounts_on_the_list(tmp_path: Path) -> None:
    """Kinds of unusual rows are merged, in an order that does not depend on who was first."""

    def unusual(account: Account, *columns: tuple[str, str]) -> Harvested:
        rows = UsageRows(b'[{"x":1}]', 1, None, 0, 0, columns)
        return Harvested(account, AccountOutcome.HARVESTED, rows, "client", 1.0)

    with created(tmp_path / "x", "abcd") as writer:
        a, b, c, d = pending(writer)
        settle(
            writer,
            [unusual(a, ("z", "null"), ("count", "number")), unusual(b, ("b", "json"), ("z", "string"))],
        )
        settle(writer, [unusual(c, ("count", "number"), ("z", "null")), harvested(d)])
        expected = {"date": "string", "count": "number", "b": "json", "z": "string"}
        assert list(writer.columns().items()) == list(expected.items())
        assert writer.database.value("SELECT count(*) FROM columnSet") == 2
        writer.database.execute("DELETE FROM entry WHERE id = 'b'")
        assert writer.columns() == {"date": "string", "count": "number", "z": "null"}


@pytest.mark.parametrize(
    ("kinds", "merged"),
    [
        ({"null"}, "null"),
        ({"null", "string"}, "string"),
        ({"integer", "number"}, "number"),
        ({"integer", "number", "null"}, "number"),
        ({"integer", "string"}, "json"),
        ({"integer", "number", "boolean"}, "json"),
    ],
)
def test_kinds_merge_into_one_that_holds_all(kinds: set[str], merged: str) -> None:
    """Nulls fit anywhere, integers are numbers, and any other mixture is json."""
    assert merge_kinds(kinds) == merged


def test_rows_that_were_read_can_be_forgotten(tmp_path: Path) -> None:
    """Only the rows before the reader's position go; the figures stay."""
    with created(tmp_path / "x", "abcd") as writer:
        a, b, c, d = pending(writer)
        settle(writer, [harvested(a), empty(b), harvested(c)])
        settle(writer, [harvested(d)], release_before=3)
        settle(writer, [], release_before=1)
    with LedgerReader(tmp_path / "x") as reader:
        assert [entry.rows for entry in reader.entries(-1, 9)] == [b"[]", b"[]", b"[]", usage("d").blob]
        assert reader.totals() == (6, 4)


def test_what_is_kept_comes_back_with_the_account(tmp_path: Path) -> None:
    """The kept properties are given to readers byte for byte, quotes and all."""
    kept = b'{"name":"O\'Hara \\"x\\" \\u0000","n":1.10}'
    with created(tmp_path / "x") as writer:
        read_list(writer, listed(["a"], kept=kept))
    with LedgerReader(tmp_path / "x") as reader:
        assert reader.entries(-1, 9, settled_only_prefix=False)[0].kept == kept
