"""What config/ offers for schedules and alerts is accepted by the tools it is for, and does what it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

import click
import promql_parser
import pytest
import yaml

from harvester.cli import harvester
from harvester.events import ClientDropped, RateChanged
from harvester.model import Quota
from harvester.report.metrics.families import RunMetrics
from harvester.settings.table import BY_NAME
from tests.ops.tenants import ROOT, environment, pat, sandbox_process
from tests.report.samples import Run

CONFIG = ROOT / "config"
SERVICE = CONFIG / "systemd" / "harvester.service"
TIMER = CONFIG / "systemd" / "harvester.timer"


def documents(name: str) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return list(yaml.safe_load_all((CONFIG / name).read_text()))


def commands_in(text: str) -> Iterator[list[str]]:
    """Each call of the program in a text, from the command on."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in re.finditer(r"(?:^|[\s/])harvester ((?:run|accounts|check|verify) [^|&'\"#]*)", line):
            yield shlex.split(found[1])


@pytest.mark.parametrize(
    "path", sorted(path for path in CONFIG.rglob("*") if path.suffix in {".yml", ".service"}), ids=str
)
def test_each_call_of_the_program_is_one_it_understands(path: Path) -> None:
    """Commands and options exist; a service's and a job's first command is not a typing mistake."""
    for call in commands_in(path.read_text()):
        flags = [word.split("=")[0] for word in call[1:] if word.startswith("-") and word != "-"]
        command = harvester.get_command(click.Context(harvester), call[0])
        assert command is not None
        assert set(flags) <= {name for param in command.params for name in param.opts}, call


# --- GitHub Actions


def test_the_workflow_fits_githubs_schema() -> None:
    """By the schema that check-jsonschema carries."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows",
         str(CONFIG / "github-actions.yml")],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip  # the command reads in one piece
    assert done.returncode == 0, done.stdout


def test_the_workflow_takes_up_what_is_unfinished() -> None:
    """It is scheduled, never runs twice at once, and keeps its cache even if it fails."""
    workflow = cast("dict[Any, Any]", documents("github-actions.yml")[0])
    job = workflow["jobs"]["harvest"]
    assert workflow[True]["schedule"]  # YAML 1.1 reads `on` so
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert job["env"]["SAIL_CLIENT_SECRET"] == "${{ secrets.SAIL_CLIENT_SECRET }}"
    uses = [step.get("uses", "").split("@")[0] for step in job["steps"]]
    restore, save = uses.index("actions/cache/restore"), uses.index("actions/cache/save")
    run = next(place for place, step in enumerate(job["steps"]) if "harvester run" in step.get("run", ""))
    assert restore < run < save
    assert job["steps"][save]["if"] == "always()"
    assert not any("secret" in step.get("run", "").lower() for step in job["steps"])


def test_the_workflows_steps_harvest(tmp_path: Path) -> None:
    """Run as GitHub runs them, its steps list and harvest; a list that is waiting for its harvest is kept."""
    program = tmp_path / "bin" / "harvester"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m harvester "$@"\n')
    program.chmod(0o755)
    steps = [
        step["run"]
        for step in documents("github-actions.yml")[0]["jobs"]["harvest"]["steps"]
        if "run" in step
    ]
    scripts = [step for step in steps if not step.startswith("pip ")]
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with sandbox_process("--accounts", "12", "--quota", "none") as url:
        variables = environment(tmp_path, PATH=path, HARVESTER_QUOTA="none", **pat(url))
        for script in scripts:
            subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", script], cwd=tmp_path, env=variables, check=True
            )
        folder = tmp_path / "harvest"
        assert len((folder / "accounts.ndjson").read_text().splitlines()) == 12
        assert sorted(path.name for path in folder.iterdir()) == [
            "accounts.ndjson",
            "usages.ndjson.gz",
            "usages.ndjson.gz.summary.json",
        ]
        (folder / "accounts.ndjson").write_text("as it was")
        (folder / "usages.ndjson.gz.ledger").touch()
        subprocess.run(["bash", "-e", "-c", scripts[1]], cwd=tmp_path, env=variables, check=True)
        assert (folder / "accounts.ndjson").read_text() == "as it was"


# --- Kubernetes


def test_the_manifest_fits_the_schemas_of_kubernetes() -> None:
    """By the schemas that kubernetes-validate carries, strictly."""
    program = Path(sys.executable).with_name("kubernetes-validate")
    for version in ("1.31", "1.34"):
        done = subprocess.run(
            [program, "--strict", "-k", version, CONFIG / "kubernetes-cronjob.yaml"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_pod_is_contained_and_resumes() -> None:
    """No root, no writable image, limits, the secret as a file, state on a volume, statuses told apart."""
    config_map, claim, cron = documents("kubernetes-cronjob.yaml")
    job = cron["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    assert (cron["spec"]["concurrencyPolicy"], pod["restartPolicy"]) == ("Forbid", "Never")
    fatal = [
        rule["onExitCodes"]["values"] for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    ]
    assert fatal == [[2, 3, 4]]
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
        variables = {one["name"]: one for one in container["env"]}
        assert variables["SAIL_CLIENT_SECRET_FILE"]["value"].startswith("/run/secrets/harvester/")
        assert "SAIL_CLIENT_SECRET" not in variables
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    settings = tomllib.loads(config_map["data"]["harvester.toml"])
    assert settings.keys() <= BY_NAME.keys()
    assert settings["output"].startswith("/data/")


# --- systemd


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent, and its judgement of the exposure is good."""
    program = tmp_path / "harvester"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    service = SERVICE.read_text().replace("/opt/harvester/bin/harvester", str(program))
    (tmp_path / "harvester.service").write_text(service)
    shutil.copy(TIMER, tmp_path)
    units = [str(tmp_path / name) for name in ("harvester.service", "harvester.timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", units[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout


def test_the_service_resumes_and_hides_its_secret() -> None:
    """Status 5 is tried again, 2 and 4 are not, 3 is no failure; the secret comes by a credential only."""
    text = SERVICE.read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, flags=re.MULTILINE))
    assert settings["Restart"] == "on-failure"
    assert settings["RestartPreventExitStatus"].split() == ["2", "4"]
    assert settings["SuccessExitStatus"].split() == ["3", "143"]
    assert settings["LoadCredential"].startswith("client-secret:")
    assert "SAIL_CLIENT_SECRET_FILE=%d/client-secret" in text
    assert not re.search(r"^Environment=.*SAIL_CLIENT_SECRET=", text, flags=re.MULTILINE)


# --- Prometheus


def alert_rules() -> list[dict[str, Any]]:
    """The rules of the one group."""
    (group,) = documents("prometheus-alerts.yml")[0]["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_the_alerts_are_about_metrics_that_there_are() -> None:
    """Each expression can be read by a parser of PromQL, and names only what the program tells."""
    run = Run()
    run.request(reason="server_error")
    run.retry()
    run.account(0, reason="not_found")
    for event in (RateChanged("a", 1.0), ClientDropped("a", "401")):
        run.tally.observe(event)
    metrics = RunMetrics("h", run.tally, {"a": Quota(1, 1.0)}, lambda: 0, 0.0, {}, 0.0)
    metrics.end(0, 0.0)
    known = {family.name for family in metrics.families() if family.samples} | {"node_textfile_mtime_seconds"}
    assert len(alert_rules()) >= 6
    for rule in alert_rules():
        promql_parser.parse(rule["expr"])
        named = set(re.findall(r"\b(?:harvester|node)_[a-z_]+", rule["expr"]))
        assert named
        assert named <= known, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed"
)
def test_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Prometheus' own tool checks the rules and runs their tests."""
    shutil.copy(CONFIG / "prometheus-alerts.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
    for command in (["check", "rules", "prometheus-alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


# --- Airflow


@pytest.mark.skipif(
    find_spec("airflow") is None, reason="apache-airflow is not installed: it takes 150 packages"
)
def test_airflow_imports_the_dag(tmp_path: Path) -> None:
    """Airflow's own loader finds the DAG with its three tasks in their order."""
    script = (
        "import sys; from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag(sys.argv[1], collect_dags=False); bag.process_file(sys.argv[1])\n"
        "assert not bag.import_errors, bag.import_errors\n"
        "dag, = bag.dags.values(); print(dag.dag_id, *dag.task_ids)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(CONFIG / "airflow_dag.py")],
        env=environment(tmp_path, AIRFLOW_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["account_usages list_accounts harvest verify"], done.stderr


class Step:
    """A task as the stand-in for Airflow knows it: it can be put before another."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def __rshift__(self, after: Step) -> Step:
        return after


class Failed(Exception):
    """The stand-in's exception: again may help."""


class FailedForGood(Exception):
    """The stand-in's exception: again is no help."""


@pytest.fixture
def the_dag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], list[Step]]:
    """The DAG's tasks for a tenant and a secret; a stand-in for Airflow lets them run here."""
    program = tmp_path / "harvester"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m harvester "$@"\n')
    program.chmod(0o755)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HARVESTER_FOLDER", str(tmp_path))
    monkeypatch.setenv("HARVESTER_QUOTA", "none")

    def load(url: str, secret: str) -> list[Step]:
        steps: list[Step] = []

        def task(work: Callable[[], object]) -> Callable[[], Step]:
            steps.append(Step(work))
            return lambda: steps[-1]

        connection = types.SimpleNamespace(host="tenant.invalid", login="any", password=secret)
        sdk = types.ModuleType("airflow.sdk")
        sdk.__dict__.update(
            dag=lambda **_: lambda function: function,
            task=task,
            BaseHook=types.SimpleNamespace(get_connection=lambda _name: connection),
            Variable=types.SimpleNamespace(get=lambda _name, default: str(program)),
        )
        exceptions = types.ModuleType("airflow.sdk.exceptions")
        exceptions.__dict__.update(AirflowException=Failed, AirflowFailException=FailedForGood)
        modules = {"airflow": types.ModuleType("airflow"), sdk.__name__: sdk, exceptions.__name__: exceptions}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        spec = spec_from_file_location("airflow_dag", CONFIG / "airflow_dag.py")
        assert spec
        assert spec.loader
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "airflow_dag", module)
        # The connection's host is https; the simulated tenant is plain http on loopback.
        spec.loader.exec_module(module)
        wrapped = module.subprocess.run

        def run(command: list[str], *, env: dict[str, str], check: bool) -> object:
            assert env["SAIL_BASE_URL"] == "https://tenant.invalid"
            assert secret not in " ".join(command)
            return wrapped(command, env=env | {"SAIL_BASE_URL": url}, check=check)

        monkeypatch.setattr(module, "subprocess", types.SimpleNamespace(run=run))
        return steps

    return load


def test_the_dag_harvests_and_verifies(
    the_dag: Any, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tasks list, harvest and prove; refused credentials fail for good, an absent tenant does not."""
    with sandbox_process("--accounts", "12", "--quota", "none") as url:
        for step in the_dag(url, "sandbox"):
            step.work()
        assert (tmp_path / "usages.ndjson.zst").exists()
        with pytest.raises(FailedForGood):
            the_dag(url, "not-the-secret")[1].work()
    monkeypatch.setenv("HARVESTER_MAX_OUTAGE", "0")
    with pytest.raises(Failed):
        the_dag(f"http://127.0.0.1:{unused_tcp_port}", "sandbox")[1].work()
