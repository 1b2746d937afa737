from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.tables import README, commands, written

BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [found["text"] for found in BLOCK.finditer(README.read_text()) if found["kind"] == kind]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A sandbox as a process, an environment that points to it, and a folder with the list it names."""
    command = [sys.executable, "-m", "harvester", "sandbox", "--accounts", "40", "--quota", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        url = sandbox.stdout.readline().strip()
        folder = tmp_path_factory.mktemp("readme")
        with urllib.request.urlopen(f"{url}/_sandbox/ids.txt") as ids:
            text: str = ids.read().decode()
        lines = "".join(f'{{"id":"{account_id}"}}\n' for account_id in text.split())
        (folder / "accounts.ndjson").write_text(lines)
        yield {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PWD": str(folder),
            "SAIL_BASE_URL": url,
            "SAIL_CLIENT_ID": "readme",
            "SAIL_CLIENT_SECRET": "sandbox",
            "HARVESTER_QUOTA": "none",
        }
        sandbox.terminate()


def test_the_shell_examples_run_as_written(environment: dict[str, str]) -> None:
    """As a reader would paste them, in the order of the page, since one builds on the other."""
    for example in blocks("sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            cwd=environment["PWD"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, 141), done.stderr  # 141: `| head` had enough
        assert "Traceback" not in done.stderr


def test_the_python_example_runs(environment: dict[str, str], tmp_path: Path) -> None:
    """The library's example is a program."""
    account_id = (Path(environment["PWD"]) / "accounts.ndjson").read_text().split('"')[3]
    (example,) = blocks("python")
    script = tmp_path / "example.py"
    script.write_text(example.replace("ef38f94347e94562b5bb8424a56397d8", account_id))
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("0 failed\n")


def test_every_command_and_option_is_documented() -> None:
    """The tables are those of the code: nothing that can be typed is missing or outdated."""
    assert written(README.read_text()) == README.read_text(), "run `python -m tests.docs.tables`"
    for name, command in commands():
        assert f"harvester {name}" in README.read_text()
        assert command.help, name


def test_links_within_the_page_lead_somewhere() -> None:
    """Each `#anchor` is a heading, each file that is linked is there."""
    text = README.read_text()
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (README.parent / target).exists(), target


@pytest.mark.parametrize("module", ["harvester.cli", "harvester"])
def test_the_way_to_help_imports_nothing_heavy(module: str) -> None:
    """`harvester --help` must not wait for what only a harvest needs."""
    code = (
        f"import sys, {module}; "
        "heavy = {'aiohttp', 'asyncio', 'orjson', 'rich', 'sqlite3', 'yaml', 'uvloop'} & set(sys.modules); "
        "sys.exit(' '.join(heavy) or 0)"
    )
    assert importlib.util.find_spec(module) is not None
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
