"""Mistakes as users make them: one sentence that says what, where and the hint, and no trace of the run."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Tenant, run, tenant

ID = b"0123456789abcdef0123456789abcdef"
FILES = {
    "ids.txt": ID + b"\n",
    "empty.txt": b"",
    "binary.txt": bytes(range(256)) * 20,
    "cut.txt.gz": gzip.compress(ID * 400)[:-9],
    "no-column.csv": b"name,mail\nanna,anna@example.org\n",
    "broken.ndjson": b'{"accountId":"1"}\n{"accountId":\n',
    "typo.toml": b'qouta = "100/10s"\n',
}
GOOD = ("ids.txt", "-o", "out.ndjson")


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant that nobody must ask for anything here."""
    with tenant("--accounts", "1") as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that are wrong."""
    place = tmp_path_factory.mktemp("bad")
    for name, content in FILES.items():
        (place / name).write_bytes(content)
    return place


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("missing.txt", "-o", "out.ndjson"), ["missing.txt", "no such file"]),
        (("empty.txt", "-o", "out.ndjson"), ["empty.txt", "no account ID"]),
        (("binary.txt", "-o", "out.ndjson"), ["binary.txt:", "binary"]),
        (("ids.txt", "cut.txt.gz", "-o", "out.ndjson"), ["cut.txt.gz", "gzip"]),
        (("no-column.csv", "-o", "out.ndjson"), ["no-column.csv:1", "--id-field"]),
        (("broken.ndjson", "-o", "out.ndjson"), ["broken.ndjson:2"]),
        (("ids.txt", "-o", "no/such/folder/out.ndjson"), ["no/such/folder"]),
        ((*GOOD, "--base-url", "http://acme.api.identitynow.com"), ["http://", "https://"]),
        ((*GOOD, "--config", "typo.toml"), ["typo.toml", "qouta", "quota"]),
        ((*GOOD, "--quota", "fast"), ["--quota", "fast", "100/10s"]),
        ((*GOOD, "--since", "last year"), ["--since", "last year", "YYYY-MM"]),
        ((*GOOD, "--attemps", "3"), ["--attemps", "--attempts"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_mistake_gets_a_sentence(
    arguments: tuple[str, ...], told: list[str], there: Tenant, folder: Path
) -> None:
    """It names what is wrong and where: status 2."""
    assert_told(2, told, *arguments, at=there, folder=folder)


@pytest.mark.parametrize(
    ("environment", "status", "told"),
    [
        ({"SAIL_CLIENT_SECRET": ""}, 4, ["SAIL_CLIENT_SECRET"]),
        ({"SAIL_CLIENT_ID": "", "SAIL_CLIENT_SECRET": ""}, 4, ["SAIL_CLIENT_ID"]),
        ({"SAIL_CLIENT_SECRET": "wrong"}, 4, ["client ID and secret"]),
        ({"SAIL_CLIENT_ID": "noscope-robot"}, 4, ["idn:identity-history:manage"]),
        ({"SAIL_ACCESS_TOKEN": "stale", "SAIL_CLIENT_SECRET": ""}, 4, ["token"]),
        ({"SAIL_BASE_URL": ""}, 2, ["SAIL_BASE_URL"]),
    ],
    ids=["no secret", "nothing", "wrong secret", "no scope", "stale token", "no tenant"],
)
def test_credentials_that_are_no_good(
    environment: dict[str, str], status: int, told: list[str], there: Tenant, folder: Path
) -> None:
    """It names the setting, and the scope where that is what is missing: status 4."""
    assert_told(status, told, *GOOD, at=there, folder=folder, environment=environment)


def assert_told(
    expected: int,
    told: list[str],
    *arguments: str,
    at: Tenant,
    folder: Path,
    environment: dict[str, str] | None = None,
) -> None:
    """The status, a last line with all that should be `told`, and no trace of the run."""
    before = _files(folder)
    status, said = run("run", *arguments, at=at, cwd=folder, environment=environment)
    last = said.err.splitlines()[-1]
    assert status == expected, said.err
    assert all(word in last for word in told), said.err
    assert said.out == ""
    assert _files(folder) == before


def _files(folder: Path) -> dict[Path, int]:
    """All files but the summary of a run that was denied, and when they were changed."""
    return {path: path.stat().st_mtime_ns for path in folder.iterdir() if "summary" not in path.name}
