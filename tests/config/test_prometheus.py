"""The alerts are about metrics that there are, and fire when they should."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.config.machine import CONFIG, Machine, checked, documents

RULES = CONFIG / "prometheus-alerts.yml"
TESTS = Path(__file__).with_name("alerts_test.yml")
_OTHERS = {"node_textfile_mtime_seconds", "kube_cronjob_status_last_successful_time"}
"""What node_exporter and kube-state-metrics have."""


def rules() -> list[dict[str, Any]]:
    """The rules of the one group."""
    (group,) = documents(RULES.name)[0]["groups"]
    return list(group["rules"])


def test_each_expression_can_be_read() -> None:
    """By a parser of PromQL; each alert says what happened and what to do."""
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        promql_parser.parse(rule["expr"])
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_alerts_name_metrics_and_labels_that_a_run_leaves_behind(machine: Machine) -> None:
    """Each metric, and each label that a text shows, is in the file of a run."""
    path = machine.directory / "nightly.prom"
    command = ["harvester", "run", "--list", "-o", "usages.ndjson", "--metrics", str(path)]
    machine.run(*command, env=machine.credentials())
    known: dict[str, set[str]] = {name: {"harvest", "instance"} for name in _OTHERS}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            known.setdefault(sample.name, {"instance"}).update(sample.labels)
    for rule in rules():
        named = set(re.findall(r"\b(?:harvester|node|kube)_[a-z_]+", rule["expr"]))
        assert named
        assert named <= known.keys(), rule["alert"]
        shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert shown <= set.union(*(known[name] for name in named)), rule["alert"]


def test_each_alert_has_a_test() -> None:
    """One that cannot fire helps nobody."""
    tested = {
        case["alertname"]
        for group in documents(str(TESTS))[0]["tests"]
        for case in group["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tested == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("command", ["check rules prometheus-alerts.yml", "test rules alerts_test.yml"])
def test_the_alerts_fire_when_they_should(tmp_path: Path, command: str) -> None:
    """Prometheus' own tool checks the rules and runs their tests."""
    shutil.copy(RULES, tmp_path)
    shutil.copy(TESTS, tmp_path)
    checked("promtool", *command.split(), cwd=tmp_path)
