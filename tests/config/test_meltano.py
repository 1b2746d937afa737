"""The Meltano project fits Meltano's schema, and its tap harvests."""

from __future__ import annotations

import json
import os

from tests.config.machine import CONFIG, WRONG, Machine, checked

PROJECT = CONFIG / "meltano" / "meltano.yml"
TAP = CONFIG / "meltano" / "tap-account-usages"
_GIVEN = ("--config", "tap.config.json", "--catalog", "tap.properties.json", "--state", "state.json")
"""What Meltano calls a tap with."""


def test_the_project_fits_meltanos_schema() -> None:
    """By the schema that check-jsonschema carries; the tap can be run."""
    checked("check-jsonschema", "--builtin-schema", "vendor.meltano", PROJECT)
    assert os.access(TAP, os.X_OK)


def test_the_tap_harvests(machine: Machine) -> None:
    """Meltano's arguments are accepted, status 3 is a success, and the ledger stays; a refusal is one."""
    done = machine.run(TAP, *_GIVEN, env=machine.credentials())
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert kinds == ["SCHEMA", *["RECORD"] * (len(kinds) - 2), "STATE"]
    assert len(kinds) > 2
    assert machine.run("harvester", "unused", "usages.ledger", env={}).returncode == 0
    assert machine.run(TAP, *_GIVEN, env=machine.credentials(WRONG)).returncode == 4
