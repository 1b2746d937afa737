"""A nightly harvest as an Airflow 3 DAG: harvest the tenant's accounts, prove that the output is complete.

Install `account-usage-harvester` next to Airflow, or in a virtual environment of its own whose `harvester`
the variable `harvester_program` names. The connection `sailpoint` has the tenant's host, and as login and
password the ID and secret of a personal access token; the program gets them in its environment, which no
process list shows. A run that stopped early is continued by the next try, so the directory must outlive a
task.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import BaseHook, Variable, dag, task

try:
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import AirflowFailException

DIRECTORY = Path(os.environ.get("HARVESTER_DIRECTORY", "/var/lib/harvester"))
USAGES = DIRECTORY / "usages.ndjson.zst"

FINISHED = {0, 3}
"""3: finished; some accounts failed, and the failures file has them."""
CONTINUES = {5, 129, 130, 143}
"""Stopped early: the same command continues."""


def harvester(*arguments: str) -> int:
    """Run the program, whose log goes to the task's, and return its exit status."""
    connection = BaseHook.get_connection("sailpoint")
    environment = os.environ | {
        "SAIL_BASE_URL": f"https://{connection.host}",
        "SAIL_CLIENT_ID": connection.login or "",
        "SAIL_CLIENT_SECRET": connection.password or "",
    }
    program = Variable.get("harvester_program", default="harvester")
    return subprocess.run([program, *arguments], env=environment, check=False).returncode


@dag(
    schedule="17 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 0},
    tags=["sailpoint"],
    doc_md=__doc__,
)
def account_usages() -> None:
    """Harvest, then verify."""

    @task(retries=12, retry_delay=timedelta(minutes=10))
    def harvest() -> None:
        status = harvester("run", "--list", "-o", str(USAGES), "--progress", "off")
        if status in CONTINUES:
            raise RuntimeError(f"harvester run stopped early ({status}): the next try continues")
        if status not in FINISHED:  # 2 configuration, 4 credentials: trying again does not help
            raise AirflowFailException(f"harvester run ended with {status}: see the log above")

    @task  # not tried again: what it finds does not go away by waiting
    def verify() -> None:
        status = harvester("verify", str(USAGES))
        if status != 0:
            raise AirflowFailException(f"harvester verify ended with {status}: see the findings above")

    harvest() >> verify()


account_usages()
