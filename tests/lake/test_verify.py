"""Parquet, partitions and days are proved whole like anything else, and what is wrong with them is found."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harvester.errors import OutputFault
from harvester.settings.model import Settings
from harvester.sink.verify import Verdict, verify
from tests.sink.stage import Play, play, true_lines

IDS = [f"account-{n}" for n in range(30)]


def written(folder: Path, **options: Any) -> Path:
    """A whole output."""
    output = folder / "out"
    play(Settings(output=f"{output}/", **options), Play(IDS))
    return output


def owned(folder: Path) -> None:
    """The manifest says of each part what it is now: only its content can give it away."""
    path = folder / "_manifest.json"
    told = orjson.loads(path.read_bytes())
    for part in told["parts"]:
        file = folder / part["name"]
        part["bytes"] = file.stat().st_size
        part["sha256"] = sha256(file.read_bytes()).hexdigest()
    path.write_bytes(orjson.dumps(told))


def said(verdict: Verdict) -> str:
    """All findings."""
    return "\n".join(map(str, verdict.findings))


@pytest.mark.parametrize("options", [{"format": "parquet"}, {"partition_by": "month"}], ids=str)
def test_what_is_whole_is_called_so(tmp_path: Path, options: dict[str, Any]) -> None:
    """Rows, accounts and completeness as to the list."""
    verdict = verify(written(tmp_path, **options), lists=[IDS])
    assert verdict.findings == []
    assert verdict.rows == len(true_lines(IDS))
    assert verdict.accounts == len({line["accountId"] for line in true_lines(IDS)})


def doubled(part: Path) -> None:
    """All rows once more."""
    table = pq.read_table(part)
    pq.write_table(pa.concat_tables([table, table]), part)


def shortened(part: Path) -> None:
    """Without its last row."""
    table = pq.read_table(part)
    pq.write_table(table.slice(0, table.num_rows - 1), part)


def broken(part: Path) -> None:
    """Not Parquet any more."""
    part.write_bytes(part.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("harm", "words"), [(doubled, "is there already"), (shortened, "rows should be"), (broken, "is damaged")]
)
def test_a_harmed_parquet_part_is_found(tmp_path: Path, harm: Callable[[Path], None], words: str) -> None:
    """By its content, even where size and checksum were made to agree."""
    output = written(tmp_path, format="parquet")
    [part] = output.glob("part-*")
    harm(part)
    assert "sha256 should be" in said(verify(output))
    owned(output)
    assert words in said(verify(output))


def test_a_row_in_the_folder_of_another_month_is_found(tmp_path: Path) -> None:
    """Readers who ask for a month would miss it."""
    output = written(tmp_path, partition_by="month")
    first, second = sorted(output.glob("month=*"))[:2]
    [one], [other] = first.glob("part-*"), second.glob("part-*")
    other.write_bytes(other.read_bytes() + one.read_bytes().splitlines(keepends=True)[0])
    owned(output)
    assert f"in the folder {second.name}" in said(verify(output))


def test_an_account_that_failed_has_no_rows_in_any_month(tmp_path: Path) -> None:
    """One that is in the failures file and in a partition is found."""
    output = written(tmp_path, partition_by="month")
    ghost = orjson.loads((output / "_failures.ndjson").read_bytes().splitlines()[0])["accountId"]
    part = next(output.glob("month=*/part-*"))
    month = part.parent.name.removeprefix("month=")
    row = {"accountId": ghost, "date": f"{month}-01", "count": 1}
    part.write_bytes(part.read_bytes() + orjson.dumps(row) + b"\n")
    owned(output)
    assert f"account {ghost!r} is there already" in said(verify(output))


def test_a_stray_part_in_a_partition_is_found(tmp_path: Path) -> None:
    """As one beside the manifest is."""
    output = written(tmp_path, partition_by="month")
    part = next(output.glob("month=*/part-*"))
    part.with_name(part.name.replace("00001", "00009")).write_bytes(part.read_bytes())
    assert "is in no manifest" in said(verify(output))


def test_days_are_proved_one_by_one(tmp_path: Path) -> None:
    """The folder of all days is no harvest; each of them is."""
    output = written(tmp_path, partition_by="harvested", format="parquet")
    with pytest.raises(OutputFault, match="harvest a day"):
        verify(output)
    [day] = output.glob("harvested=*")
    assert verify(day, lists=[IDS]).findings == []
