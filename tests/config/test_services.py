"""The systemd units and the cron line: accepted by systemd, and what they start harvests."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from tests.config.machine import CONFIG, WRONG, Machine, checked

SERVICE = CONFIG / "systemd" / "harvester.service"
TIMER = CONFIG / "systemd" / "harvester.timer"
CRON = CONFIG / "cron" / "harvester"
INSTALLED = "/opt/harvester/bin/harvester"


def settings() -> dict[str, list[str]]:
    """The service's settings; some are there several times."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", SERVICE.read_text(), flags=re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def configured(machine: Machine, secret: str = "sandbox", more: str = "") -> Path:
    """A settings file and a secret as LAYOUT.md describes them."""
    kept = machine.directory / "client-secret"
    kept.write_text(secret)
    kept.chmod(0o600)
    path = machine.directory / "harvester.toml"
    path.write_text(f'base_url = "{machine.tenant.url}"\nclient_id = "any"\n{more}')
    return path


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent, and its judgment of the exposure is good."""
    program = tmp_path / "harvester"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / SERVICE.name
    unit.write_text(SERVICE.read_text().replace(INSTALLED, str(program)))
    shutil.copy(TIMER, tmp_path)
    assert checked("systemd-analyze", "verify", "--man=no", unit, tmp_path / TIMER.name) == ""
    checked("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


def test_each_exit_status_is_treated_as_it_should() -> None:
    """3 is a success; 2 and 4 are not tried again, by whichever command; 5 is, every ten minutes."""
    found = settings()
    assert found["Restart"] == ["on-failure"]
    assert found["RestartPreventExitStatus"] == ["2 4"]
    assert found["SuccessExitStatus"] == ["3 143"]
    # RestartPreventExitStatus says nothing about other commands, which would be tried again 60 times.
    assert not found.keys() & {"ExecStartPre", "ExecStartPost", "ExecCondition"}
    assert len(found["ExecStart"]) == 1


def test_the_secret_comes_as_a_credential_only() -> None:
    """Neither the unit nor its environment has it."""
    assert settings()["LoadCredential"] == ["client-secret:/etc/harvester/client-secret"]
    assert "SAIL_CLIENT_SECRET_FILE=%d/client-secret" in settings()["Environment"]
    assert not any(one.startswith("SAIL_CLIENT_SECRET=") for one in settings()["Environment"])


def test_the_service_harvests(machine: Machine) -> None:
    """Its command, in its environment, ends with 3; node_exporter may read the metrics."""
    configuration = configured(machine)
    state, cache = machine.directory / "state" / "harvester", machine.directory / "cache" / "harvester"
    for directory in (state, cache):
        directory.mkdir(parents=True)
    places = {"%S": state.parent, "%C": cache.parent, "%d": machine.directory}
    places |= {"/etc/harvester/harvester.toml": configuration, INSTALLED: machine.program}

    def here(text: str) -> str:
        for written, place in places.items():
            text = text.replace(written, str(place))
        return text

    variables = dict(here(one).split("=", 1) for one in settings()["Environment"])
    command = shlex.split(here(settings()["ExecStart"][0]))
    done = machine.run(*command, env=variables, cwd=Path(here(settings()["WorkingDirectory"][0])))
    assert done.returncode == 3, done.stderr
    assert (cache / "harvester.prom").stat().st_mode & 0o777 == 0o644
    assert (state / "usages.ndjson.zst").exists()


def test_the_cron_line_harvests_and_mails_what_is_wrong(machine: Machine) -> None:
    """Status 3 is a success, and only the failed accounts are mailed; refused credentials are no success."""
    *variables, line = [one for one in CRON.read_text().splitlines() if not one.startswith("#")]
    *schedule, user, command = line.split(" ", 6)
    assert (schedule, user) == (["17", "1", "*", "*", "*"], "harvester")
    assert not re.search(r"(?<!\\)%", command)
    command = command.replace(INSTALLED, str(machine.program))
    command = command.replace("/var/lib/harvester", str(machine.directory))
    named = f'client_secret_file = "{machine.directory}/client-secret"\n'
    given = dict(one.split("=", 1) for one in variables)
    given["HARVESTER_CONFIG"] = str(configured(machine, more=named))

    done = machine.run(given["SHELL"], "-c", command, env=given)
    assert done.returncode == 0, done.stderr
    assert (machine.directory / "usages.ndjson.zst").exists()
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == done.stderr.count("failed: 404") == 2

    configured(machine, WRONG, named)
    refused = machine.run(given["SHELL"], "-c", command, env=given)
    assert refused.returncode != 0
    assert "401" in refused.stderr
