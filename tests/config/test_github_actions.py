"""The GitHub workflow passes GitHub's schema and zizmor, and its steps harvest."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.config.machine import CONFIG, WRONG, Machine, checked, documents

WORKFLOW = CONFIG / "github-actions.yml"


def job() -> dict[str, Any]:
    """The one job."""
    (found,) = documents(WORKFLOW.name)[0]["jobs"].values()
    return dict(found)


def step(name: str) -> dict[str, Any]:
    """A step by its name."""
    (found,) = [one for one in job()["steps"] if one.get("name", "").startswith(name)]
    return dict(found)


def run(machine: Machine, name: str, secret: str = "sandbox", *, script: str = "") -> int:
    """Run a step as GitHub does, with no secret but those that the step names."""
    known = machine.credentials(secret)
    expressions = step(name).get("env", {})
    given = {
        key: known[re.findall(r"(?:vars|secrets)\.(\w+)", value)[0]] for key, value in expressions.items()
    }
    return machine.run("bash", "-e", "-c", script or step(name)["run"], env=given).returncode


def test_the_workflow_fits_githubs_schema() -> None:
    """By the schema that check-jsonschema carries."""
    checked("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)


def test_zizmor_finds_nothing() -> None:
    """Not even as an auditor: actions pinned, no permissions by default, no credentials left behind."""
    checked("zizmor", "--offline", "--no-progress", "--persona=auditor", WORKFLOW)


def test_each_pin_says_its_version() -> None:
    """A commit alone tells nobody how old it is."""
    pins = re.findall(r"uses: (.*)", WORKFLOW.read_text())
    assert len(pins) == 5
    for pin in pins:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), pin


def test_secrets_reach_the_harvest_alone() -> None:
    """Neither the job nor the step that installs packages has one."""
    assert "env" not in job()
    named = [one["name"] for one in job()["steps"] if "secrets." in str(one)]
    assert named == ["Harvest"]
    assert "secret" not in step("Harvest")["run"].lower()


def test_what_is_unfinished_is_kept_for_the_next_night() -> None:
    """The cache is restored before the harvest, and saved after it, however it ended, under a new key."""
    workflow = documents(WORKFLOW.name)[0]
    names = [one.get("name", "") for one in job()["steps"]]
    restore, save = step("Restore"), step("Keep the harvest")
    assert names.index(restore["name"]) < names.index("Harvest") < names.index(save["name"])
    assert save["if"] == "always()"
    assert save["with"] == {name: restore["with"][name] for name in ("path", "key")}
    assert "github.run_attempt" in save["with"]["key"]  # a job that is run again saves, too
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert workflow["concurrency"]["cancel-in-progress"] is False


def test_the_steps_harvest_verify_and_judge(machine: Machine) -> None:
    """Status 3 is green, 4 is red; what is kept exists; the gate closes above its limit only."""
    assert run(machine, "Harvest", WRONG) != 0
    assert run(machine, "Harvest") == 0
    assert run(machine, "Verify") == 0
    gate = step("Gate")["run"]
    assert run(machine, "Gate", script=gate.replace("10%", "0%")) == 1
    assert run(machine, "Gate", script=gate.replace("10%", "100%")) == 0
    for path in step("Keep rows")["with"]["path"].split():
        assert (machine.directory / path).exists(), path
    assert (machine.directory / "harvest/usages.ndjson.gz.ledger").exists()


@pytest.mark.parametrize("hash_matches", [True, False])
def test_only_the_locked_package_is_installed(machine: Machine, *, hash_matches: bool) -> None:
    """A wheel whose hash is another than the lock's is refused."""
    wheel = _wheel(machine.directory / "wheels")
    digest = hashlib.sha256(wheel.read_bytes() if hash_matches else b"").hexdigest()
    lock = f"account-usage-harvester==1.0.0 --hash=sha256:{digest}\n"
    (machine.directory / "harvester.lock").write_text(lock)
    pip = machine.program.with_name("pip")
    pip.write_text(machine.program.read_text().replace("harvester", "pip --isolated"))
    target = machine.directory / "site"
    script = step("Install")["run"].replace("pip install", f"pip install -q --no-index --target {target}")
    pip.chmod(0o755)
    assert (run(machine, "Install", script=script) == 0) is hash_matches
    assert (target / "harvester_of_the_wheel.py").exists() is hash_matches


def _wheel(directory: Path) -> Path:
    """The smallest wheel that has the program's name."""
    directory.mkdir()
    path = directory / "account_usage_harvester-1.0.0-py3-none-any.whl"
    about = "account_usage_harvester-1.0.0.dist-info"
    files = {
        "harvester_of_the_wheel.py": "",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: account-usage-harvester\nVersion: 1.0.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
        archive.writestr(f"{about}/RECORD", f"{record}{about}/RECORD,,\n")
    return path
