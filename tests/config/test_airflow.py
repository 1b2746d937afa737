"""The DAG is one that Airflow loads, and its tasks harvest, verify, and fail as they should."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any

import pytest

from tests.config.machine import CONFIG, WRONG, Machine

DAG = CONFIG / "airflow_dag.py"


@pytest.mark.skipif(
    find_spec("airflow") is None, reason="apache-airflow is not installed: it takes 150 packages"
)
def test_airflow_imports_the_dag(machine: Machine) -> None:
    """Airflow's own loader finds the DAG with its two tasks in their order."""
    script = (
        "import sys\n"
        "try: from airflow.dag_processing.dagbag import DagBag\n"
        "except ImportError: from airflow.models.dagbag import DagBag  # before Airflow 3.2\n"
        "bag = DagBag(sys.argv[1], collect_dags=False); bag.process_file(sys.argv[1])\n"
        "assert not bag.import_errors, bag.import_errors\n"
        "dag, = bag.dags.values(); print(dag.dag_id, *dag.task_ids)\n"
    )
    done = machine.run(sys.executable, "-c", script, DAG, env={"AIRFLOW_HOME": str(machine.directory)})
    assert done.stdout.splitlines()[-1:] == ["account_usages harvest verify"], done.stderr


@dataclass
class Task:
    """A task as the stand-in for Airflow knows it."""

    work: Callable[[], object]
    options: dict[str, Any]

    def __rshift__(self, after: Task) -> Task:
        return after


class FailedForGood(Exception):
    """The stand-in's AirflowFailException: no further try."""


class Airflow:
    """A stand-in for Airflow: it loads the DAG and can run its tasks."""

    def __init__(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.machine = machine
        self.patch = monkeypatch
        self.defaults: dict[str, Any] = {}

    def load(self, secret: str = "sandbox", url: str = "", **variables: str) -> dict[str, Task]:
        """The DAG's tasks by name, for a tenant and a secret."""
        tasks: dict[str, Task] = {}

        def task(work: Callable[[], object] | None = None, **options: Any) -> Any:
            if work is None:
                return lambda found: task(found, **options)
            tasks[work.__name__] = Task(work, options)
            return lambda: tasks[work.__name__]

        def dag(**options: Any) -> Callable[[Any], Any]:
            self.defaults = options["default_args"]
            return lambda function: function

        connection = types.SimpleNamespace(host="tenant.invalid", login="any", password=secret)
        self._install(
            {
                "airflow": {},
                "airflow.sdk": {
                    "dag": dag,
                    "task": task,
                    "BaseHook": types.SimpleNamespace(get_connection=lambda _name: connection),
                    "Variable": types.SimpleNamespace(get=lambda _name, default: default),
                },
                "airflow.sdk.exceptions": {"AirflowFailException": FailedForGood},
            }
        )
        for name, value in {"HARVESTER_DIRECTORY": str(self.machine.directory), **variables}.items():
            self.patch.setenv(name, value)
        self._execute(secret, url or self.machine.tenant.url)
        return tasks

    def _install(self, modules: dict[str, dict[str, Any]]) -> None:
        for name, contents in modules.items():
            module = types.ModuleType(name)
            module.__dict__.update(contents)
            self.patch.setitem(sys.modules, name, module)

    def _execute(self, secret: str, url: str) -> None:
        """Run the file; the program meets the simulated tenant, which is plain http on loopback."""
        spec = spec_from_file_location("airflow_dag", DAG)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)

        def run(command: list[str], *, env: dict[str, str], check: bool) -> Any:
            assert env["SAIL_BASE_URL"] == "https://tenant.invalid"
            assert secret not in " ".join(command)
            given = {name: env[name] for name in env if name.startswith(("SAIL_", "HARVESTER_MAX"))}
            return self.machine.run(*command, env=given | {"SAIL_BASE_URL": url})

        self.patch.setattr(module, "subprocess", types.SimpleNamespace(run=run))


@pytest.fixture
def airflow(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    """Airflow, as far as the DAG needs it."""
    return Airflow(machine, monkeypatch)


def test_the_dag_harvests_and_verifies(airflow: Airflow) -> None:
    """Status 3 is a success. Damage is found, and fails for good: nobody verifies it again."""
    tasks = airflow.load()
    assert list(tasks) == ["harvest", "verify"]
    tasks["harvest"].work()
    tasks["verify"].work()
    (airflow.machine.directory / "usages.ndjson.zst").write_bytes(b"")
    with pytest.raises(FailedForGood):
        tasks["verify"].work()
    assert airflow.defaults["retries"] == 0
    assert "retries" not in tasks["verify"].options
    assert tasks["harvest"].options == {"retries": 12, "retry_delay": timedelta(minutes=10)}


def test_refused_credentials_fail_for_good_and_an_outage_does_not(
    airflow: Airflow, unused_tcp_port: int
) -> None:
    """2 and 4 are for a person; 5 is for the next try."""
    with pytest.raises(FailedForGood, match="4"):
        airflow.load(WRONG)["harvest"].work()
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(RuntimeError, match="5"):
        airflow.load(url=nobody, HARVESTER_MAX_OUTAGE="0")["harvest"].work()
