"""Each account of the list is in the share of exactly one lane, in proportion to the lanes' quotas."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import deltalake
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from harvester.errors import InputError
from harvester.model import ListedAccount, Quota
from harvester.spark.accounts import accounts_of, shares, unpacked, weights

FAST, SLOW = Quota(100, 10.0), Quota(25, 10.0)


def listed(ids: list[str]) -> list[list[ListedAccount]]:
    """A list in batches of three."""
    accounts = [ListedAccount(number, one) for number, one in enumerate(ids)]
    return [accounts[start : start + 3] for start in range(0, len(accounts), 3)]


def dealt(ids: list[str], *quotas: Quota | None) -> list[list[tuple[str, dict[str, Any]]]]:
    """The share of each lane, with what is kept of each account."""
    found = []
    for count, packed in shares(listed(ids), quotas, None):
        accounts = list(chain.from_iterable(unpacked(packed))) if count else []
        assert len(accounts) == count
        assert [one.position for one in accounts] == list(range(count))
        found.append([(one.id, orjson.loads(one.kept or b"")) for one in accounts])
    return found


def test_each_account_is_in_one_share_with_its_position() -> None:
    """Repeats count once, at their first position; shares keep the order of the list."""
    found = dealt(["a", "b", "a", "c", "d", "b", "e"], FAST, FAST)
    positions = {one: kept["position"] for share in found for one, kept in share}
    assert positions == {"a": 0, "b": 1, "c": 3, "d": 4, "e": 6}
    assert sum(map(len, found)) == 5
    assert all(share == sorted(share, key=lambda one: one[1]["position"]) for share in found)


def test_shares_are_proportional_to_the_quotas() -> None:
    """At any point of the list, so that neighbors that are alike are shared out, too."""
    ids = [f"id-{number}" for number in range(1000)]
    found = dealt(ids, FAST, SLOW, None)
    assert [len(share) for share in found] == pytest.approx([444, 111, 444], abs=1)
    early = [sum(kept["position"] < 100 for _, kept in share) for share in found]
    assert early == pytest.approx([44, 11, 44], abs=1)
    assert weights([None, None]) == [1.0, 1.0]


def test_a_lane_may_have_nothing_to_do() -> None:
    """Where the list is shorter than there are lanes."""
    assert [len(share) for share in dealt(["a"], SLOW, FAST)] == [0, 1]


def test_of_the_properties_only_the_source_travels(tmp_path: Path) -> None:
    """Names and addresses stay in the driver."""
    path = tmp_path / "list.ndjson"
    path.write_text('{"id": "a", "sourceId": "s1", "name": "Ada", "managerEmail": "x@y"}\n{"id": "b"}\n')
    ((_, packed),) = shares(accounts_of(str(path)), [FAST], None)
    (batch,) = unpacked(packed)
    assert [(one.id, orjson.loads(one.kept or b"")) for one in batch] == [
        ("a", {"position": 0, "sourceId": "s1"}),
        ("b", {"position": 1}),
    ]


def test_a_table_is_a_list(tmp_path: Path) -> None:
    """A directory of Parquet, one file, and a Delta table as it is now; repeats and numbers are fine."""
    ids = [f"id-{number}" for number in range(2500)]
    table = pa.table({"accountId": ids, "sourceId": ["s"] * 2500, "count": [1] * 2500})
    (tmp_path / "parts").mkdir()
    parquet.write_table(table.slice(0, 2000), tmp_path / "parts" / "a.parquet")
    parquet.write_table(table.slice(1500), tmp_path / "parts" / "b.parquet")
    parquet.write_table(table, tmp_path / "one.parquet")
    parquet.write_table(pa.table({"number": [7, 8]}), tmp_path / "numbers.parquet")
    deltalake.write_deltalake(str(tmp_path / "delta"), pa.table({"accountId": ["gone"]}))
    deltalake.write_deltalake(str(tmp_path / "delta"), table, mode="overwrite", schema_mode="overwrite")

    def read(path: Path | str, field: str | None = None) -> list[str]:
        return [one.id for batch in accounts_of(str(path), id_field=field) for one in batch]

    assert read(tmp_path / "parts") == ids[:2000] + ids[1500:]
    assert sorted(read(tmp_path / "delta")) == sorted(ids)
    assert read(f"file://{tmp_path}/one.parquet") == ids
    assert read(tmp_path / "numbers.parquet", "number") == ["7", "8"]
    (first, *_) = accounts_of(str(tmp_path / "one.parquet"))
    assert (first[0].position, orjson.loads(first[0].kept or b"")) == (0, {"sourceId": "s"})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ["x"]}, "has no column accountId or account_id or id, only name"),
    ({"id": ["a", None]}, "id is null somewhere"),
    ({"id": ["a", " "]}, "the account ID is empty"),
    ({"id": pa.array([], pa.string())}, "has no account ID in it"),
]


@pytest.mark.parametrize(("columns", "message"), WRONG, ids=lambda one: str(one)[:30])
def test_a_table_that_is_no_list_is_refused_in_one_sentence(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """With its path."""
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message) as caught:
        list(accounts_of(str(tmp_path / "t.parquet")))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("path", ["missing.parquet", "s4://bucket/list"])
def test_a_table_that_cannot_be_read_is_refused_in_one_sentence(path: str, tmp_path: Path) -> None:
    """Missing, or of a store that nobody knows."""
    where = path if "://" in path else str(tmp_path / path)
    with pytest.raises(InputError, match="cannot be read as a table"):
        list(accounts_of(where))
