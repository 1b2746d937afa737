"""`harvester check` as people and programs meet it: lines, JSON, statuses, estimates."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harvester.cli.check import command
from tests.ops.tenants import environment, harvester, pat, sandbox_process


@pytest.fixture(scope="module")
def tenant() -> Iterator[str]:
    """A simulated tenant."""
    with sandbox_process("--accounts", "30", "--quota", "none") as url:
        yield url


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, at home in itself."""
    for name in environment(tmp_path).keys() ^ set(os.environ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str, **variables: str) -> Result:
    """Run the command here."""
    return CliRunner().invoke(command, arguments, env=variables, standalone_mode=False)


def as_json(*arguments: str, **variables: str) -> dict[str, Any]:
    """Run it with --json; the status it returns is the one in the document."""
    result = check("--json", *arguments, **variables)
    document: dict[str, Any] = json.loads(result.output)
    assert result.return_value == document["status"]
    return document


def test_lines_for_people(desk: Path, tenant: str) -> None:
    """Settings with their places first, then a line for each thing tried; status 0; no secret anywhere."""
    result = check("--quota", "600/1m", **pat(tenant))
    assert result.return_value == 0
    lines = result.output.splitlines()
    assert lines[0].split() == ["base_url", tenant, "SAIL_BASE_URL"]
    assert ["quota", "600/60s", "--quota"] in [line.split() for line in lines]
    assert [line.split()[1] for line in lines if line.startswith("ok ")][:3] == ["name", "TLS", "tenant"]
    assert lines[-1] == "A harvest can begin."
    assert list(desk.iterdir()) == []


def test_the_status_is_that_of_the_problem(desk: Path, tenant: str) -> None:
    """4 for credentials and scopes, 2 for the way to the tenant; the mend follows on a line of its own."""
    wrong = check(**pat(tenant, secret="not-the-secret"))
    assert wrong.return_value == 4
    problem = next(
        place for place, line in enumerate(wrong.output.splitlines()) if line.startswith("problem")
    )
    assert wrong.output.splitlines()[problem + 1].strip().startswith("mend: check client id and secret")
    assert "not-the-secret" not in wrong.output
    assert check(**pat(tenant, "noscope")).return_value == 4
    assert check(**pat("http://127.0.0.1:9")).return_value == 2
    assert "Mend this first" in wrong.output


def test_json_for_programs(desk: Path, tenant: str) -> None:
    """One object: every setting with its source, every finding with topic, verdict, text, mend and facts."""
    document = as_json(**pat(tenant))
    assert {one["name"]: one["source"] for one in document["settings"]}["base_url"] == "SAIL_BASE_URL"
    assert all(set(one) == {"topic", "verdict", "text", "mend", "facts"} for one in document["findings"])
    assert "sandbox" not in json.dumps([one for one in document["settings"] if one["name"] == "clients"])


def test_what_is_missing_is_a_finding_too(desk: Path) -> None:
    """Without any configuration the check says what to set, in text and in JSON, and ends with 2."""
    (finding,) = as_json()["findings"]
    assert (finding["topic"], finding["verdict"]) == ("settings", "problem")
    assert "SAIL_CLIENT_ID" in finding["mend"]
    assert check("--quota", "lots").return_value == 2


def test_warnings_of_the_settings_are_told(desk: Path, tenant: str) -> None:
    """A variable that means nothing is a warning, and no hindrance."""
    document = as_json(**pat(tenant), HARVESTER_QOUTA="1/1s")
    assert document["status"] == 0
    assert any("HARVESTER_QUOTA" in one["text"] for one in document["findings"] if one["topic"] == "settings")


def estimate(document: dict[str, Any]) -> dict[str, Any]:
    """The facts of the estimate."""
    (facts,) = [one["facts"] for one in document["findings"] if one["topic"] == "estimate"]
    assert isinstance(facts, dict)
    return facts


def test_the_estimate_for_a_list(desk: Path, tenant: str) -> None:
    """Distinct accounts by the quota: how long, and when it will be done."""
    (desk / "ids.txt").write_text("".join(f"id{number % 1200}\n" for number in range(2000)))
    before = datetime.now().astimezone()
    facts = estimate(as_json("--for", "ids.txt", **pat(tenant)))
    assert (facts["accounts"], facts["seconds"]) == (1200, 120.0)
    done = datetime.fromisoformat(facts["done"]) - before
    assert timedelta(seconds=115) < done < timedelta(seconds=150)


def test_the_estimate_for_a_number(desk: Path, tenant: str) -> None:
    """A bare number stands for a list of that length, unless there is a file of that name."""
    assert estimate(as_json("--for", "250000", **pat(tenant)))["accounts"] == 250_000
    (desk / "7").write_text("a\nb\n")
    assert estimate(as_json("--for", "7", **pat(tenant)))["accounts"] == 2


def test_the_estimate_minds_the_latency(desk: Path, tenant: str) -> None:
    """One request at a time can't be faster than the tenant answers."""
    facts = estimate(as_json("--for", "1000", "--concurrency", "1", "--quota", "none", **pat(tenant)))
    latency = 1 / facts["requestsPerSecond"]
    assert facts["seconds"] == pytest.approx(1000 * latency, abs=0.06)
    assert "there is no quota" in check("--for", "9", "--quota", "none", **pat(tenant)).output


def test_a_list_that_is_wrong_is_told_before_anything_is_sent(desk: Path) -> None:
    """The list costs no request, so it is read first."""
    document = as_json("--for", "nosuch.txt", **pat("http://127.0.0.1:9"))
    assert [(one["topic"], one["verdict"]) for one in document["findings"]] == [("list", "problem")]


def test_the_command_line_ends_with_the_status(tmp_path: Path, tenant: str) -> None:
    """The whole program: stdout has it all, stderr nothing."""
    done = harvester("check", "--for", "3", folder=tmp_path, **pat(tenant))
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 accounts take" in done.stdout
    refused = harvester("check", folder=tmp_path, **pat(tenant, secret="wrong"))
    assert (refused.returncode, refused.stderr) == (4, "")


def test_a_failed_check_is_annotated_on_github(desk: Path) -> None:
    """The first problem is one error on the page of the run; the lines on stdout stay as they are."""
    result = check(**pat("http://127.0.0.1:9"), GITHUB_ACTIONS="true")
    assert result.stderr.count("::error title=harvester::can't connect to 127.0.0.1") == 1
    assert "::error" not in result.stdout


def test_colours_only_where_they_are_wanted(desk: Path) -> None:
    """A terminal gets colours unless NO_COLOR is set; a pipe never does."""
    variables = pat("http://127.0.0.1:9")
    coloured = CliRunner().invoke(command, [], env=variables, color=True)
    assert "\x1b[31mproblem" in coloured.output
    plain = CliRunner().invoke(command, [], env=variables | {"NO_COLOR": "1"}, color=True)
    assert "\x1b" not in plain.output
    assert "\x1b" not in CliRunner().invoke(command, [], env=variables).output
