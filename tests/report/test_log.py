"""Log lines are stable, readable, and never hold a secret or garble the terminal."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester import events
from harvester.report import event_log
from harvester.report.event_log import EventLog
from harvester.report.log import LOGGER, Lines, logging_to, say
from harvester.report.redaction import MASK, Redactor
from harvester.settings.model import Client

EVENTS: list[events.Event] = [
    events.RequestEnded("a", 200, None, 0.1, 2),
    events.RequestEnded("a", None, "timeout", 30.0, 0),
    events.Committed(5, 60, 2000, 0.25),
    events.RetryScheduled("id1", "timeout", 1, 0.5, "did not answer in time"),
    events.TokenRenewed("a", None),
    events.RateChanged("a", 5.0),
    events.RateChanged("a", 6.0),
    events.Resumed(7, "r"),
    events.ListRead(5, 1, 2, whole=False),
    events.ListRead(9, 1, 2, whole=True),
    events.ClientPaused("a", 7.0, asked=False),
    events.OutageProbed("refused", 4.0),
    events.PartFinished("part-1.ndjson", 10, 100),
    events.AccountSettled("x", 3, None),
    events.AccountSettled("x", 0, "not_found", "gone"),
    events.ClientDropped("b", "401"),
    events.OutageBegan("refused"),
    events.OutageEnded(12.0),
    events.Stopping("the deadline has come"),
    events.OutputSpooled("s3://b/p/", "/var/spool"),
    events.OutputAway("s3://b/p/", "503", 4.0),
    events.OutputBack("s3://b/p/", 9.0),
]


def logged(verbosity: int) -> list[dict[str, Any]]:
    """What is logged of all events, as JSON."""
    stream = io.StringIO()
    with logging_to(stream, log_format="json", verbosity=verbosity):
        log = EventLog()
        for event in EVENTS:
            log.observe(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def documented() -> dict[str, tuple[str, set[str]]]:
    """Level and fields of each event, from the table that people read."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.*) \|$", event_log.__doc__ or "", flags=re.MULTILINE)
    return {name: (level, set(re.findall(r"`(\w+)`", fields))) for name, level, fields in rows}


def test_every_event_is_logged_as_documented() -> None:
    """At -vv each event comes out with the name, level and fields that the table promises."""
    table = documented()
    lines = logged(verbosity=2)
    assert len(lines) == len(EVENTS) - 2  # a list not yet whole and a good account say nothing
    for line in lines:
        level, fields = table[line["event"]]
        assert level.startswith(line["level"])
        assert set(line) - {"time", "level", "event", "message"} <= fields
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    told_elsewhere = {"run_started", "progress", "run_ended", "accounts_listed", "metrics_served", "error"}
    told_elsewhere |= {"report_written", "report_missed"}
    assert {line["event"] for line in lines} == set(table) - told_elsewhere


@pytest.mark.parametrize(
    ("verbosity", "levels"),
    [(-1, {"warning"}), (0, {"warning", "info"}), (1, {"warning", "info", "debug"})],
)
def test_verbosity_decides_what_is_said(verbosity: int, levels: set[str]) -> None:
    """Quiet leaves warnings, normal the outline, -v each retry; requests come only with -vv."""
    lines = logged(verbosity)
    assert {line["level"] for line in lines} == levels
    assert "request" not in {line["event"] for line in lines}
    assert ("retry" in {line["event"] for line in lines}) == (verbosity == 1)


def test_requests_are_not_even_heard_unless_wanted() -> None:
    """The log costs nothing a request at the usual verbosity."""
    with logging_to(io.StringIO(), verbosity=1):
        assert events.RequestEnded not in EventLog().handlers


def test_a_text_line_is_one_line() -> None:
    """What the tenant says can neither begin a line of its own nor move the cursor."""
    stream = io.StringIO()
    with logging_to(stream):
        EventLog().observe(events.AccountSettled("id", 0, "refused", "a\nb\x1b[2J\x9b1mc"))
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r"warning  account id failed: a\x0ab\x1b[2J\x9b1mc (refused)")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", line)


def test_percent_signs_are_plain_text() -> None:
    """An ID with a percent sign is no format."""
    stream = io.StringIO()
    with logging_to(stream):
        say(logging.INFO, "progress", "100%s of %(x)s")
    assert "100%s of %(x)s" in stream.getvalue()


def test_other_libraries_come_out_as_lines_too() -> None:
    """A warning of asyncio or aiohttp is a JSON line that names its logger, with its exception."""
    stream = io.StringIO()
    with logging_to(stream, log_format="json"):
        try:
            raise RuntimeError("Bearer abcdefghijklmnop")  # noqa: TRY301  # to have a traceback
        except RuntimeError:
            logging.getLogger("asyncio").exception("task failed")
        logging.getLogger("asyncio").info("noise")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["event"], line["logger"], line["message"]) == ("log", "asyncio", "task failed")
    assert "RuntimeError" in line["exception"]
    assert "abcdefghijklmnop" not in stream.getvalue()


def test_logging_leaves_no_trace() -> None:
    """After the run the loggers are as they were: a library keeps no global state."""
    loggers = [LOGGER, logging.getLogger("asyncio"), logging.getLogger("aiohttp")]
    before = [(list(x.handlers), x.level, x.propagate) for x in loggers]
    with logging_to(io.StringIO(), verbosity=2):
        assert before != [(list(x.handlers), x.level, x.propagate) for x in loggers]
    assert before == [(list(x.handlers), x.level, x.propagate) for x in loggers]


def test_a_stderr_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    """A log that can't be written is not written, and that is all."""
    stream = (tmp_path / "log").open("w")
    with logging_to(stream):
        stream.close()
        say(logging.INFO, "progress", "unheard")


def test_lines_can_be_led_elsewhere_for_a_while() -> None:
    """While something live is shown, lines go through it, and back to the stream afterwards."""
    stream, above = io.StringIO(), list[str]()
    lines = Lines(stream, Redactor(["a-long-secret"]))
    with lines.through(above.append):
        lines.write("one a-long-secret")
    lines.write("two a-long-secret")
    assert above == [f"one {MASK}"]
    assert stream.getvalue() == f"two {MASK}\n"


@given(st.text(min_size=8, max_size=60))
def test_a_secret_is_masked_however_it_is_written(secret: str) -> None:
    """Plain, in JSON or in a URL: nothing of a registered secret is left."""
    redact = Redactor.of([Client(client_id="x", client_secret=secret)])
    assert redact(secret) == MASK
    assert json.loads(redact(json.dumps({"x": secret})))["x"] == MASK
    assert json.loads(redact(json.dumps({"x": secret}, ensure_ascii=False)))["x"] == MASK


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        "token eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl",
        "grant_type=client_credentials&client_secret=abcdefghijklmnopqrstuvwxyz&x=1",
    ],
)
def test_tokens_are_masked_without_being_known(text: str) -> None:
    """Whatever looks like a token or a posted secret is masked, whoever holds it."""
    masked = Redactor()(text)
    assert MASK in masked
    assert not re.search(r"abcdefghij|eyJ|c2ln", masked)


def test_common_words_are_no_secrets() -> None:
    """The sandbox's secret is a word of every sentence about it, and stays readable."""
    assert Redactor(["sandbox"])("the sandbox answers") == "the sandbox answers"
