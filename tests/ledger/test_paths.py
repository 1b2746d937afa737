"""Where the ledger of an output is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harvester.errors import OutputError, SettingError
from harvester.ledger import LedgerPaths, find_ledger, ledger_paths
from harvester.settings.destination import resolve
from tests.ledger.helpers import created

URL = "https://acme.api.identitynow.com"
HOME = {"HOME": "/home/nobody"}


def where(
    output: str, ledger: Path | None = None, environ: dict[str, str] | None = None
) -> LedgerPaths | None:
    environ = HOME if environ is None else environ
    return ledger_paths(output, ledger=ledger, base_url=URL, environ=environ, remote=resolve(output).remote)


def names(paths: LedgerPaths | None, directory: Path) -> tuple[str, ...]:
    assert paths is not None
    return tuple(str(path.relative_to(directory)) for path in (paths.partial, paths.finished, paths.copy))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("out.ndjson", ("out.ndjson.ledger.partial", "out.ndjson.ledger", "out.ndjson.partial")),
        ("usages/", ("usages.ledger.partial", "usages.ledger", "usages.partial")),
        ("a/../usages/", ("usages.ledger.partial", "usages.ledger", "usages.partial")),
        ("usages.db", ("usages.db.ledger.partial", "usages.db", "usages.db.partial")),
        ("USAGES.SQLite", ("USAGES.SQLite.ledger.partial", "USAGES.SQLite", "USAGES.SQLite.partial")),
        ("caf\udce9", ("caf\udce9.ledger.partial", "caf\udce9.ledger", "caf\udce9.partial")),
    ],
)
def test_it_is_next_to_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, expected: tuple[str, ...]
) -> None:
    """A file or directory has its ledger beside it; a database is its own finished ledger."""
    monkeypatch.chdir(tmp_path)
    assert names(where(output), tmp_path) == expected


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The ledger is next to what is written, so that every spelling of the output finds it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "out")
    assert where(str(tmp_path / "link")) == where(str(tmp_path / "elsewhere" / "out"))


def test_the_users_own_choice_wins(tmp_path: Path) -> None:
    """`--ledger FILE` names the finished ledger, whatever the output is."""
    for output in ("-", "out.ndjson", "s3://bucket/x", "usages.db"):
        paths = where(output, tmp_path / "mine")
        assert names(paths, tmp_path) == ("mine.partial", "mine", "mine.copy.partial")


def test_what_streams_has_a_temporary_one(tmp_path: Path) -> None:
    """Stdout, descriptors, FIFOs and devices have no place for a ledger."""
    os.mkfifo(tmp_path / "fifo")
    for output in ("-", "/dev/stdout", "/dev/fd/1", "/dev/null", str(tmp_path / "fifo")):
        assert where(output) is None


def test_the_state_directory_has_those_of_stores_and_tables(tmp_path: Path) -> None:
    """One name per base URL and destination, without the user and password in it."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    outputs = (
        "s3://bucket/a/",
        "s3://bucket/b/",
        "lake:identity.usages",
        "postgresql://host/db/public.usages",
    )
    found = [where(output, environ=environ) for output in outputs]
    assert len({paths and paths.finished for paths in found}) == len(outputs)
    for paths in found:
        assert paths is not None
        assert paths.in_state_directory
        assert paths.partial.parent == tmp_path / "account-usage-harvester"
        assert paths.partial.name == paths.finished.name + ".partial"
    secret = where("postgresql://me:secret@host/db/public.usages", environ=environ)
    assert secret == found[-1]
    other = ledger_paths(
        outputs[0], ledger=None, base_url="https://other.example", environ=environ, remote=True
    )
    assert other != found[0]
    assert where("s3://bucket/a/") == where("s3://bucket/a/", environ={**HOME, "XDG_STATE_HOME": "relative"})


def test_the_state_directory_is_made_when_it_is_needed(tmp_path: Path) -> None:
    """`prepare` makes it for its owner only, and nothing for a local output."""
    paths = where("s3://bucket/a", environ={"HOME": str(tmp_path)})
    assert paths is not None
    paths.prepare()
    assert paths.partial.parent == tmp_path / ".local" / "state" / "account-usage-harvester"
    assert paths.partial.parent.stat().st_mode & 0o777 == 0o700
    local = where(str(tmp_path / "missing" / "x"))
    assert local is not None
    local.prepare()
    assert not (tmp_path / "missing").exists()
    (tmp_path / "file").touch()
    blocked = where("s3://bucket/a", environ={"XDG_STATE_HOME": str(tmp_path / "file")})
    assert blocked is not None
    with pytest.raises(OutputError, match="the directory of ledgers cannot be written"):
        blocked.prepare()


def test_without_a_home_the_user_must_choose() -> None:
    """A store's ledger has to be somewhere: no home directory, no harvest."""
    with pytest.raises(SettingError, match="--ledger: is required") as caught:
        where("s3://bucket/a", environ={})
    assert caught.value.exit_status == 2


def test_the_root_is_no_output() -> None:
    """Nothing can be next to the root."""
    with pytest.raises(OutputError, match="root of the file system"):
        where("/")


def test_a_ledger_is_found_by_the_name_of_its_output(tmp_path: Path) -> None:
    """The finished one first, then a ledger by its own name, and the unfinished one if there is no other."""
    output = tmp_path / "out.ndjson"
    assert find_ledger(output) is None
    output.write_bytes(b'{"accountId":"a"}\n')
    assert find_ledger(output) is None
    partial, finished = tmp_path / "out.ndjson.ledger.partial", tmp_path / "out.ndjson.ledger"
    with created(partial, "a") as writer:
        assert find_ledger(output) == partial
        assert find_ledger(partial) == partial
        writer.publish(finished, copy=tmp_path / "copy")
    assert find_ledger(output) == finished
    assert find_ledger(finished) == finished
    database = tmp_path / "usages.db"
    with created(tmp_path / "usages.db.ledger.partial", "a") as writer:
        assert find_ledger(database) == tmp_path / "usages.db.ledger.partial"
        writer.publish(database, copy=tmp_path / "copy")
        assert find_ledger(database) == database, "also while the next harvest is running"
    assert find_ledger(Path("/")) is None
