"""A nightly harvest as an Airflow 3 DAG: list the accounts, harvest them, prove the output whole.

Install `account-usage-harvester` beside Airflow, or in a virtual environment of its own whose `harvester`
is named by the variable `harvester_program`. The connection `sailpoint` has the tenant's host, and as login
and password a personal access token's id and secret; they reach the program by its environment, which no
process list shows. A try that was stopped is taken up by the next one: the folder must outlive a task.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import BaseHook, Variable, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

FOLDER = Path(os.environ.get("HARVESTER_FOLDER", "/var/lib/harvester"))
LIST = FOLDER / "accounts.ndjson"
USAGES = FOLDER / "usages.ndjson.zst"

FINISHED = {0, 3}
"""3: finished, some accounts failed; they are in the failures file."""
HOPELESS = {2, 4}
"""Configuration and credentials: trying again is no help."""


def harvester(*arguments: str) -> int:
    """Run the program, log what it says, and fail the task as its status means."""
    connection = BaseHook.get_connection("sailpoint")
    environment = os.environ | {
        "SAIL_BASE_URL": f"https://{connection.host}",
        "SAIL_CLIENT_ID": connection.login or "",
        "SAIL_CLIENT_SECRET": connection.password or "",
    }
    program = Variable.get("harvester_program", default="harvester")
    status = subprocess.run([program, *arguments], env=environment, check=False).returncode
    if status in HOPELESS:
        raise AirflowFailException(f"harvester {arguments[0]} ended with {status}: see the log above")
    if status not in FINISHED:
        raise AirflowException(f"harvester {arguments[0]} stopped with {status}: the next try goes on")
    return status


@dag(
    schedule="17 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 12, "retry_delay": timedelta(minutes=10)},
    tags=["sailpoint"],
    doc_md=__doc__,
)
def account_usages() -> None:
    """List, harvest, verify."""

    @task
    def list_accounts() -> None:
        # A list that a stopped harvest was begun with stays as it is until that is finished.
        if not USAGES.with_name(f"{USAGES.name}.ledger").exists():
            harvester("accounts", "-o", str(LIST))

    @task
    def harvest() -> int:
        return harvester("run", str(LIST), "-o", str(USAGES), "--progress", "off")

    @task
    def verify() -> None:
        harvester("verify", str(USAGES), "--input", str(LIST))

    list_accounts() >> harvest() >> verify()


account_usages()
