"""The summary has every figure, adds up, keeps its schema, and holds no secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import InternalError, StoppedEarly
from harvester.events import AccountSettled, LanePaused
from harvester.model import AccountOutcome, Counts, FailureGroup
from harvester.report.redaction import Redactor
from harvester.report.summary import Report, check_counts, summary_document, summary_json
from harvester.report.tally import Tally
from tests.docs.manual import table_of
from tests.report.samples import BEGAN, HUNDRED, SECRET, Run, a_report, a_troubled_report, counts_of

NUMBER = {"type": "number", "minimum": 0}
COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string"}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def by_word(schema: dict[str, Any]) -> dict[str, Any]:
    """An object with any names."""
    return {"type": "object", "additionalProperties": schema}


def every(schema: dict[str, Any]) -> dict[str, Any]:
    """A list of these."""
    return {"type": "array", "items": schema}


SCHEMA = record(
    schemaVersion={"const": 2},
    runId=TEXT,
    version=TEXT,
    tenant=TEXT,
    apiVersions=every(TEXT),
    shard=nullable({"type": "string", "pattern": r"^\d+/\d+$"}),
    status={"enum": [0, 1, 2, 3, 4, 5, 129, 130, 141, 143]},
    stop=nullable(record(error=TEXT, problem=TEXT, hint=TEXT)),
    start=MOMENT,
    end=MOMENT,
    seconds=NUMBER,
    counts=record(
        distinct=COUNT, harvested=COUNT, empty=COUNT, unreported=COUNT, failed=COUNT, notAttempted=COUNT
    ),
    failuresByReason=by_word(record(count=COUNT, accountId=TEXT, detail=TEXT)),
    repeated=COUNT,
    settledEarlier=COUNT,
    rows=COUNT,
    output=TEXT,
    ledger=nullable(TEXT),
    failures=nullable(TEXT),
    changes=nullable(record(new=COUNT, changed=COUNT, gone=COUNT)),
    outputs=every(
        record(name=TEXT, rows=COUNT, accounts=COUNT, bytes=COUNT, sha256={"pattern": "^[0-9a-f]{64}$"})
    ),
    requests=COUNT,
    requestsByPurpose=by_word(COUNT),
    unsuccessfulByReason=by_word(COUNT),
    retries=COUNT,
    retriesByReason=by_word(COUNT),
    throttled=COUNT,
    secondsPaused=NUMBER,
    grantedPerSecond=nullable(NUMBER),
    quotaShare=nullable(NUMBER),
    permittedPerSecond=nullable(NUMBER),
    latencySeconds=nullable(record(p50=NUMBER, p90=NUMBER, p95=NUMBER, p99=NUMBER, max=NUMBER)),
    bytesReceived=COUNT,
    bytesWritten=COUNT,
    tokens=COUNT,
    outages=COUNT,
    secondsOfOutage=NUMBER,
    warnings=by_word(COUNT),
    lanes=by_word(
        record(
            quota=nullable(TEXT),
            requests=COUNT,
            throttled=COUNT,
            secondsPaused=NUMBER,
            requestsPerSecond=nullable(NUMBER),
            dropped={"type": "boolean"},
        )
    ),
    timeline=record(
        secondsPerPoint=NUMBER,
        secondsOfLastPoint=NUMBER,
        requests=every(COUNT),
        granted=every(COUNT),
        throttled=every(COUNT),
        settled=every(COUNT),
        failed=every(COUNT),
        rows=every(COUNT),
        paused=every(NUMBER),
    ),
)


def keeps_schema(report: Report) -> dict[str, Any]:
    """The summary as a reader gets it, after its schema has accepted it."""
    document: dict[str, Any] = json.loads(summary_json(report, str))
    import_module("jsonschema").validate(document, SCHEMA)
    return document


def test_every_key_is_documented() -> None:
    """The manual names each key, and no other."""
    keys = re.findall(r"^\| ((?:`\w+` ?)+)\|", table_of("summary"), flags=re.MULTILINE)
    documented = [key for group in keys for key in re.findall(r"\w+", group)]
    assert sorted(documented) == sorted(summary_document(a_troubled_report()))


def test_the_summary_has_every_figure() -> None:
    """Counts, requests, trouble and outputs are in the document as they were."""
    run_ended = a_troubled_report(shard="1/2", quotas={"a": HUNDRED, "b": HUNDRED})
    document = keeps_schema(run_ended)
    assert document["counts"] == {
        "distinct": 5,
        "harvested": 2,
        "empty": 1,
        "unreported": 0,
        "failed": 2,
        "notAttempted": 0,
    }
    assert document["requests"] == 7
    assert document["requestsByPurpose"] == {"token": 1, "usage": 6}
    assert document["unsuccessfulByReason"] == {"server_error": 1, "throttled": 1, "not_found": 1}
    assert (document["throttled"], document["retriesByReason"]) == (1, {"server_error": 1})
    assert (document["start"], document["end"]) == ("2026-08-01T12:00:00.000Z", "2026-08-01T12:00:24.000Z")
    assert (document["status"], document["stop"], document["seconds"]) == (3, None, 24.0)
    assert document["quotaShare"] == pytest.approx(5 / 401, abs=1e-3)
    assert document["permittedPerSecond"] == 20
    assert document["failuresByReason"]["server_error"]["accountId"] == "id5"
    assert document["outputs"][0]["bytes"] == document["bytesWritten"] == 4321
    assert list(document["lanes"]) == ["a", "b"]
    assert sum(document["timeline"]["requests"]) == 7


def test_the_summary_of_a_run_that_did_nothing_is_complete() -> None:
    """A run that stopped before its first request has a summary with every key, and claims no output."""
    stop = StoppedEarly("the deadline has passed", "run it again")
    report = a_report(Run(), counts_of(3), status=5, stop=stop, outputs=(), ledger=None, failures=None)
    document = keeps_schema(report)
    assert document["stop"] == {
        "error": "StoppedEarly",
        "problem": "the deadline has passed",
        "hint": "run it again",
    }
    assert (document["latencySeconds"], document["quotaShare"], document["outputs"]) == (None, None, [])


def test_counts_are_those_of_the_harvest_and_requests_those_of_the_run() -> None:
    """After a resume, reasons add up to the failed accounts though this run saw one of them."""
    run = Run()
    run.listed(10, earlier=8)
    run.request()
    run.account(name="x", rows=0, reason="timeout")
    failures = {"timeout": FailureGroup(3, "a", ""), "not_found": FailureGroup(2, "b", "")}
    report = a_report(run, counts_of(10, 4, 0, 5), failures_by_reason=failures, rows=48)
    document = keeps_schema(report)
    assert sum(group["count"] for group in document["failuresByReason"].values()) == 5
    assert (document["settledEarlier"], document["rows"], document["requests"]) == (8, 48, 1)


def test_durations_are_monotonic() -> None:
    """A wall clock that jumps back an hour changes neither seconds nor what is derived from them."""
    run = Run()
    run.clock.now += 90
    report = a_report(run, counts_of(0), ended=BEGAN - timedelta(hours=1))
    assert keeps_schema(report)["seconds"] == 90.0
    assert report.seconds == 90


def test_the_text_has_one_line_for_each_key_and_no_secret() -> None:
    """So people can read it and `diff` can compare it."""
    text = summary_json(a_troubled_report(), Redactor([SECRET]))
    assert len(text.splitlines()) == len(SCHEMA["properties"]) + 2
    assert SECRET not in text
    assert json.loads(text)["failuresByReason"]["server_error"]["detail"] == "HTTP 500, secret [secret]"


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    """The moments are RFC 3339 in UTC."""
    local = (BEGAN + timedelta(seconds=1, microseconds=1500)).astimezone()
    assert keeps_schema(a_troubled_report(ended=local))["end"] == "2026-08-01T12:00:01.001Z"


def test_a_running_pause_ends_with_the_run() -> None:
    """A pause of an hour in a run of ten seconds is ten seconds, however late the summary is written."""
    run = Run()
    run.tally.observe(LanePaused("a", 429, 3600.0, asked=True))
    run.clock.now += 10
    report = a_report(run, counts_of(0))
    run.clock.now += 500
    document = keeps_schema(report)
    assert (document["secondsPaused"], document["lanes"]["a"]["secondsPaused"]) == (10, 10)
    assert sum(document["timeline"]["paused"]) == pytest.approx(10)


numbers = st.integers(0, 50)


@given(numbers, numbers, numbers, numbers, numbers, numbers)
def test_counts_that_add_up_are_accepted(  # noqa: PLR0917  # one for each kind
    harvested: int, empty: int, unreported: int, failed: int, missing: int, earlier: int
) -> None:
    """Each distinct account is in exactly one count, whatever part of them earlier runs settled."""
    counts = Counts(
        harvested + empty + unreported + failed + missing, harvested, empty, unreported, failed, missing
    )
    tally = Tally()
    for outcome, number in zip(AccountOutcome, (harvested, empty, unreported, failed), strict=True):
        for _ in range(max(0, number - earlier)):
            tally.observe(AccountSettled("x", outcome, 0, "timeout"))
    failures = {"timeout": FailureGroup(failed, "x", "")} if failed else {}
    check_counts(counts, failures, tally, complete=False)
    if missing:
        with pytest.raises(InternalError, match="some accounts were never requested"):
            check_counts(counts, failures, tally, complete=True)
    else:
        check_counts(counts, failures, tally, complete=True)


GOOD = counts_of(5, 2, 1, 2)


@pytest.mark.parametrize(
    ("counts", "failed", "problem"),
    [
        (replace(GOOD, harvested=3), 2, "6 accounts are accounted for, 5 are on the list"),
        (replace(GOOD, harvested=6, not_attempted=-4), 2, "5 accounts are accounted for"),
        (GOOD, 1, "1 failures have a reason"),
        (replace(GOOD, harvested=1, empty=2), 2, "2 accounts ended as harvested in this run alone"),
    ],
)
def test_counts_that_contradict_each_other_are_a_bug(counts: Counts, failed: int, problem: str) -> None:
    """A ledger that disagrees with itself or the engine ends the run with an error, not with a summary."""
    tally = a_troubled_report().tally
    with pytest.raises(InternalError, match=f"do not add up: {problem}"):
        check_counts(counts, {"timeout": FailureGroup(failed, "x", "")}, tally, complete=True)


def test_a_summary_of_a_path_that_is_not_utf8_can_be_written() -> None:
    """Whatever bytes a path has, the summary is valid UTF-8 and JSON."""
    written = summary_json(a_troubled_report(output="caf\udce9.ndjson"), str)
    assert orjson.loads(written.encode())["output"] == r"caf\udce9.ndjson"
