"""The CronJob fits the schemas of Kubernetes, and its script maps and passes on what it should."""

from __future__ import annotations

import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harvester.settings import TABLE
from tests.config.machine import CONFIG, WRONG, Machine, checked, documents
from tests.e2e.processes import PATIENCE, until

MANIFEST = CONFIG / "kubernetes-cronjob.yaml"


def pod() -> dict[str, Any]:
    """The pod's specification."""
    return dict(_job()["template"]["spec"])


def _job() -> dict[str, Any]:
    return dict(documents(MANIFEST.name)[2]["spec"]["jobTemplate"]["spec"])


def script(machine: Machine) -> Path:
    """The script of the ConfigMap, with the volume in the machine's directory."""
    path = machine.directory / "harvest.sh"
    text = documents(MANIFEST.name)[0]["data"]["harvest.sh"]
    path.write_text(text.replace("/harvest/", f"{machine.directory}/"))
    return path


@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_the_manifest_fits_the_schemas_of_kubernetes(version: str) -> None:
    """By the schemas that kubernetes-validate carries, strictly."""
    checked("kubernetes-validate", "--strict", "-k", version, MANIFEST)


def test_the_pod_is_contained() -> None:
    """No root, no writable image, limits, the secret as a file, state on a volume, one pod at a time."""
    claim, cron = documents(MANIFEST.name)[1:]
    assert (cron["spec"]["concurrencyPolicy"], pod()["restartPolicy"]) == ("Forbid", "Never")
    assert pod()["securityContext"]["runAsNonRoot"] is True
    (container,) = pod()["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    variables = {one["name"]: one for one in container["env"]}
    assert variables["SAIL_CLIENT_SECRET_FILE"]["value"].startswith("/run/secrets/harvester/")
    assert "SAIL_CLIENT_SECRET" not in variables
    volumes = {one["name"]: one for one in pod()["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_settings_and_the_script_are_where_the_pod_looks() -> None:
    """The ConfigMap has what the command and the environment name, and only settings that exist."""
    data = documents(MANIFEST.name)[0]["data"]
    (container,) = pod()["containers"]
    assert container["command"] == ["/bin/sh", "/etc/harvester/harvest.sh"]
    assert data.keys() == {"harvester.toml", "harvest.sh"}
    assert tomllib.loads(data["harvester.toml"]).keys() <= {one.name for one in TABLE}


def test_wrong_settings_and_credentials_end_the_job() -> None:
    """2 and 4 are not tried again, and nothing else is given up at once."""
    rules = _job()["podFailurePolicy"]["rules"]
    assert [one["onExitCodes"]["values"] for one in rules if "onExitCodes" in one] == [[2, 4]]
    assert _job()["backoffLimit"] > 0


def test_a_job_some_of_whose_accounts_fail_succeeds(machine: Machine) -> None:
    """Status 3 becomes 0, for a job knows no other success; 4 stays 4."""
    done = machine.run("sh", script(machine), env=machine.credentials())
    assert done.returncode == 0, done.stderr
    assert len((machine.directory / "usages.ndjson.zst.failures.ndjson").read_text().splitlines()) == 2
    assert "harvester_exit_status" in (machine.directory / "harvester.prom").read_text()
    assert machine.run("sh", script(machine), env=machine.credentials(WRONG)).returncode == 4


def test_an_evicted_pod_stops_in_order_and_the_next_one_continues(machine: Machine) -> None:
    """SIGTERM reaches the program through the shell; what was harvested is not requested again."""
    requested = machine.tenant.requested
    given = machine.credentials() | {"HARVESTER_SOURCE_STATUS": "off"}
    slow = machine.environment(**given) | {"HARVESTER_QUOTA": "10/1s", "HARVESTER_BURST": "1"}
    with subprocess.Popen(["sh", script(machine)], env=slow, stderr=subprocess.PIPE, text=True) as shell:
        until(lambda: machine.tenant.requested >= requested + 3)
        shell.send_signal(signal.SIGTERM)
        _, said = shell.communicate(timeout=PATIENCE)
    assert shell.returncode == 143, said
    assert "Traceback" not in said
    assert (machine.directory / "usages.ndjson.zst.ledger.partial").exists()
    assert machine.run("sh", script(machine), env=given).returncode == 0
    assert machine.tenant.requested - requested == len(machine.tenant.ids)
