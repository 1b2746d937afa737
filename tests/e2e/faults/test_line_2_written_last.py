"""A file beside the output that cannot be written any more once the harvest has begun."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import rmtree

import pytest

from tests.e2e.processes import program, run, tenant, until
from tests.e2e.truth import truth_of


@pytest.mark.parametrize("option", ["--failures", "--summary", "--report", "--metrics"])
def test_the_rest_is_published(option: str, tmp_path: Path) -> None:
    """Status 5, and the sentence names the file; the output is there all the same, and verify agrees."""
    with tenant("--accounts", "60", "--rows", "12", "--latency", "50ms") as there:
        output, gone = tmp_path / "u.ndjson", tmp_path / "gone"
        gone.mkdir()
        command = ("run", there.list_file(tmp_path), "-o", output, option, gone / "x.prom")
        with program(*command, "--quota", "400/10s", at=there) as running:
            until(lambda: there.requested > 5)
            rmtree(gone)
            assert running.end() == 5, running.err
        assert f"{gone}/x." in running.err.splitlines()[-2]
        assert output.read_bytes() == truth_of(there)
        if option != "--summary":
            assert json.loads((tmp_path / "u.ndjson.summary.json").read_text())["status"] == 5
        gone.mkdir()
        requested = there.requested
        status, again = run(*command, "--quota", "none", at=there)
        assert status == 0, again.err
        assert (gone / "x.prom").exists()
        assert there.requested in (requested, requested + 60)  # 60: what could be repeated was complete
