"""Proving an output whole, and saying exactly what is wrong with one that isn't."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from harvester.cli.verify import command
from harvester.errors import OutputFault
from harvester.model import Shard
from harvester.settings.model import Settings
from harvester.sink.manifest import to_bytes
from harvester.sink.verify import Verdict, verify
from harvester.sink.verify.verdict import KEPT
from tests.sink.stage import Play, hopeless, lines, names, play, true_lines, usages

IDS = names(60)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def harvested(output: str, ids: list[str] = IDS, **more: Any) -> Path:
    """A finished output, with a summary as the program writes it beside a single file."""
    writer = play(Settings(output=output, **more), Play(ids))
    assert writer.proof is not None
    if not output.endswith("/"):
        outputs = [
            {"name": o.name, "rows": o.rows, "accounts": o.accounts, "bytes": o.bytes, "sha256": o.sha256}
            for o in writer.outputs
        ]
        summary = {"status": 0, "outputs": outputs, "accounts": writer.proof.to_json()}
        Path(f"{output}.summary.json").write_bytes(orjson.dumps(summary))
    return Path(output)


def findings(output: Path, **more: Any) -> list[str]:
    return [str(finding) for finding in verify(output, **more).findings]


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


@pytest.mark.parametrize("output", ["o.ndjson", "o.ndjson.gz", "o.ndjson.zst", "o/"])
@pytest.mark.parametrize("shape", ["rows", "accounts"])
def test_a_whole_output_is_called_whole(output: str, shape: Any) -> None:
    """By itself and against its list, repeats and all, in any order."""
    path = harvested(output, shape=shape)
    assert verify(path, lists=[reversed(IDS), IDS[:7]]) == Verdict(
        files=1,
        rows=sum(len(usages(one)) for one in IDS if not hopeless(one)),
        accounts=len({line["accountId"] for line in lines(path)}),
        failed=sum(map(hopeless, IDS)),
    )


@pytest.mark.parametrize("output", ["o.ndjson", "o.ndjson.gz", "o/"])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.99])
def test_any_changed_byte_is_found(output: str, at: float) -> None:
    """Checksums see what no look at the lines would."""
    path = harvested(output)
    part = next(path.glob("part-*")) if output.endswith("/") else path
    data = bytearray(part.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    part.write_bytes(data)
    assert any("sha256 should be" in finding for finding in findings(path))


@pytest.mark.parametrize("output", ["o.ndjson", "o.ndjson.gz", "o.ndjson.zst"])
def test_a_file_that_was_cut_off_is_found(output: str) -> None:
    """Without a summary, too: the last line or the compressed data end in the middle."""
    path = harvested(output)
    path.write_bytes(path.read_bytes()[:-3])
    Path(f"{output}.summary.json").unlink()
    assert any("cut off" in one or "ends in the middle" in one for one in findings(path))


def test_lines_are_looked_at_one_by_one() -> None:
    """Each finding says file and line."""
    path = harvested("o.ndjson")
    Path("o.ndjson.summary.json").unlink()

    def spoil(content: list[bytes]) -> list[bytes]:
        content[2] = b"{no json\n"
        content[4] = b"[]\n"
        content[6] = b'{"date":"2026-01-01"}\n'
        content[8] = b"\n"
        content[10] = b'{"accountId":"x","usages":[]}\n'
        content[12] = b'{"accountId":"y","date":7}\n'
        return content

    rewrite(path, spoil)
    found = findings(path)
    assert [one.split(" (")[0] for one in found] == [
        "o.ndjson:3: no JSON",
        "o.ndjson:5: no JSON object",
        "o.ndjson:7: no accountId",
        "o.ndjson:9: an empty line",
        "o.ndjson:11: has the shape accounts among lines of the shape rows",
        "o.ndjson:13: date is 7, which is no string",
        *found[6:],
    ]
    assert all("is there already" in one for one in found[6:]), (
        "an account that is cut in two by a spoilt line"
    )


def test_a_repeated_month_and_a_repeated_account_are_found() -> None:
    """Within an account, and far from its first rows, in another part."""
    path = harvested("o/", part_rows=20)
    first, *_, last = sorted(path.glob("part-*"))
    twice = first.read_bytes().splitlines(keepends=True)[0]
    account = orjson.loads(twice)["accountId"]
    rewrite(last, lambda content: [*content, twice])
    assert (
        f"{last.name}:{len(lines(last))}: account '{account}' is there already, at {first.name}:1"
        in findings(path)
    )
    rewrite(last, lambda content: [*content[:-1], content[-2]])
    assert any(" twice" in one for one in findings(path))


def test_a_missing_stray_or_foreign_part_is_found() -> None:
    """The manifest names the parts, and no others may stand beside them."""
    path = harvested("o/", part_rows=20)
    _, second, *_ = sorted(path.glob("part-*"))
    second.rename(path / "part-other-00009.ndjson")
    found = findings(path)
    assert f"{second}: the part is not there" in found
    assert f"{path}/part-other-00009.ndjson: is in no manifest" in found


def test_a_lost_account_is_found_with_the_manifest_and_without_the_list() -> None:
    """Even if rows, bytes and checksum of the part agree with each other: the digest of the IDs does not."""
    path = harvested("o.ndjson")
    summary = orjson.loads(Path("o.ndjson.summary.json").read_bytes())
    account = lines(path)[0]["accountId"]
    rewrite(path, lambda content: [line.replace(account.encode(), b"forged-id") for line in content])
    summary["outputs"] = [{**verdict_entry(path), "name": path.name}]
    Path("o.ndjson.summary.json").write_bytes(orjson.dumps(summary))
    assert len(findings(path)) == 1
    assert "are not those that should be" in findings(path)[0]


def verdict_entry(path: Path) -> dict[str, Any]:
    """What an honest summary would say of the file as it is."""
    found = lines(path)
    return {
        "rows": len(found),
        "accounts": len({line["accountId"] for line in found}),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_the_list_must_be_the_one_that_was_harvested() -> None:
    """An ID too many is one that was never asked for; an ID too few is named with its line."""
    path = harvested("o/")
    assert findings(path, lists=[[*IDS, "odd"]]) == ["o: account 'odd' of the list was never asked for"]
    (finding,) = findings(path, lists=[[*IDS, "odd", "even"]])
    assert "IDs of the list ('account-0', " in finding
    assert "neither in the output nor in the failures file, but" in finding
    gone = lines(path)[0]["accountId"]
    (finding,) = [
        one for one in findings(path, lists=[[one for one in IDS if one != gone]]) if "not in the list" in one
    ]
    assert finding.endswith(f"00001.ndjson:1: account '{gone}' is not in the list")


def test_an_empty_account_exchanged_for_another_is_found() -> None:
    """The count of accounts without rows agrees, but not which they are."""
    path = harvested("o/")
    empty = next(one for one in IDS if not usages(one) and not hopeless(one))
    (finding,) = findings(path, lists=[["never-asked" if one == empty else one for one in IDS]])
    assert "were answered without rows" in finding


def test_without_a_summary_completeness_is_not_claimed() -> None:
    """A file alone can't tell an account without usage from one never asked for."""
    path = harvested("o.ndjson")
    Path("o.ndjson.summary.json").unlink()
    assert verify(path).notes == [
        "o.ndjson.summary.json is not there: checksum and completeness can't be compared with it"
    ]
    (finding,) = findings(path, lists=[IDS])
    assert "without a summary it can't be told" in finding


def test_failures_are_accounted_for() -> None:
    """A failures file that is gone, or lacks one, or names one that has rows."""
    path = harvested("o/")
    failures = path / "_failures.ndjson"
    rewrite(failures, lambda content: content[:-1])
    assert any("accounts should be failed" in one for one in findings(path))
    row = orjson.dumps({"accountId": lines(path)[0]["accountId"]}) + b"\n"
    rewrite(failures, lambda content: [*content, row])
    assert any("is there already" in one for one in findings(path))
    failures.unlink()
    assert "o/_failures.ndjson: the failures file is not there" in findings(path)


def test_an_unfinished_harvest_is_called_incomplete() -> None:
    """A ledger or a partial file tells; so does a summary of a run that ended early."""
    play(Settings(output="o.ndjson"), Play(IDS, stop_after=10))
    play(Settings(output="o/"), Play(IDS, stop_after=10))
    assert all("incomplete" in one for one in findings(Path("o.ndjson")))
    assert any("incomplete: there is no _SUCCESS" in one for one in findings(Path("o")))
    Path("x.ndjson").write_bytes(b"")
    Path("x.ndjson.summary.json").write_bytes(b'{"status": 5, "outputs": []}')
    assert any("ended with status 5" in one for one in findings(Path("x.ndjson")))


def test_shards_are_verified_together() -> None:
    """A shard that is missing, and a joint manifest that does not add up."""
    for index in (1, 2):
        harvested("o/", IDS[index - 1 :: 2], shard=Shard(index, 2))
    assert verify(Path("o"), lists=[IDS]).whole
    manifest = Path("o/_manifest.json")
    told = orjson.loads(manifest.read_bytes())
    manifest.write_bytes(to_bytes({**told, "rows": told["rows"] + 1}))
    assert findings(Path("o")) == ["o/_manifest.json: is not the sum of the shards' manifests"]
    for path in Path("o").glob("*1of2*"):
        path.unlink()
    assert any("shard 1/2 is not there" in one for one in findings(Path("o")))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"parts": [{}], "rows": 1, "accounts": {}}', b'{"parts": 3}']
)
def test_a_manifest_that_is_none_is_a_finding(content: bytes) -> None:
    """Never a traceback."""
    path = harvested("o/")
    (path / "_manifest.json").write_bytes(content)
    assert any("_manifest.json" in one for one in findings(path))


def test_findings_are_bounded() -> None:
    """A file of garbage is not told line by line to its end."""
    Path("x.ndjson").write_bytes(b"garbage\n" * 1000)
    verdict = verify(Path("x.ndjson"))
    assert (len(verdict.findings), verdict.more) == (KEPT, 1000 - KEPT)


def test_nothing_there_is_wrong_usage() -> None:
    """Not a finding: the name is wrong."""
    with pytest.raises(OutputFault, match=r"no\.ndjson: is not there"):
        verify(Path("no.ndjson"))


# -- the command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, standalone_mode=False)


def test_the_command_tells_and_returns_the_verdict() -> None:
    """0 and a sentence when whole; 1 and a finding a line when not; JSON on demand."""
    harvested("o.ndjson")
    Path("ids.txt").write_text("\n".join(IDS))
    whole = run("o.ndjson", "--input", "ids.txt")
    assert whole.return_value == 0
    assert whole.output.startswith("o.ndjson: whole, complete as to the list")
    Path("ids.txt").write_text("\n".join([*IDS, "never-asked"]))
    short = run("o.ndjson", "--input", "ids.txt")
    assert short.return_value == 1
    assert "never-asked" in short.output
    told = json.loads(run("o.ndjson", "--input", "ids.txt", "--json").output)
    assert told["whole"] is False
    assert told["rows"] == len(true_lines(IDS))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no.ndjson"], "is not there"),
        (["o.ndjson", "--input", "no.txt"], "no.txt"),
        (["o.ndjson", "--shard", "1/2"], "give the list with --input"),
        (["o.ndjson", "--input", "ids.txt", "--shard", "2"], "--shard: '2' is no share"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], words: str) -> None:
    """With the status of wrong usage."""
    Path("o.ndjson").write_bytes(b"")
    Path("ids.txt").write_text("a\n")
    error = run(*arguments).exception
    assert words in str(error)
    assert getattr(error, "exit_status", None) == 2
