"""`harvester report` and `harvester run --report`, by the real program."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from harvester.cli.report import command
from harvester.sandbox import Sandbox, SandboxOptions
from tests.html.samples import summary


def test_the_page_stands_beside_the_summary(tmp_path: Path) -> None:
    """`harvester report u.summary.json` writes u.summary.html, for its owner only."""
    given = tmp_path / "u.summary.json"
    given.write_text(json.dumps(summary()))
    done = CliRunner().invoke(command, [str(given)], standalone_mode=False)
    assert done.exception is None
    page = tmp_path / "u.summary.html"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert page.stat().st_mode & 0o777 == 0o600
    assert done.stderr == f"{page}: written\n"


def test_the_page_goes_to_stdout(tmp_path: Path) -> None:
    """`-o -`, for a pipe."""
    given = tmp_path / "u.summary.json"
    given.write_text(json.dumps(summary()))
    done = CliRunner().invoke(command, [str(given), "-o", "-"], standalone_mode=False)
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert done.stdout.endswith("</html>")
    assert list(tmp_path.iterdir()) == [given]


async def test_a_run_leaves_a_page_and_the_same_can_be_drawn_later(tmp_path: Path) -> None:
    """`run --report` and `report SUMMARY` show the same."""
    async with Sandbox(SandboxOptions(accounts=60)) as tenant:
        (tmp_path / "ids.txt").write_text("\n".join(tenant.population.ids))
        environment = {"SAIL_BASE_URL": tenant.url, "SAIL_CLIENT_ID": "any", "SAIL_CLIENT_SECRET": "sandbox"}
        options = ("-o", "u.ndjson", "--quota", "none", "--report", "r.html")
        await tenant_served(tmp_path, environment, "run", "ids.txt", *options)
    await tenant_served(tmp_path, {}, "report", "u.ndjson.summary.json", "-o", "later.html")
    page = (tmp_path / "r.html").read_text()
    assert page == (tmp_path / "later.html").read_text()
    assert "All 60 accounts harvested in" in page


async def tenant_served(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    """Run the program while this loop serves the tenant."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harvester", *arguments),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
