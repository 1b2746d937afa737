"""Log lines are stable, readable, capped where they must be, and never end a run."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harvester import events
from harvester.errors import SettingError
from harvester.model import AccountOutcome
from harvester.report.event_log import LINES_PER_REASON, EventLog, say_error
from harvester.report.log import LOGGER, Lines, logging_to, say
from harvester.report.redaction import MASK, Redactor
from tests.docs.manual import table_of
from tests.report.samples import SECRET
from tests.report.screen import terminal

FAILED = AccountOutcome.FAILED
EVENTS: list[events.Event] = [
    events.RunStarted("2", "acme", ("v3",), "-", "100/10s", 1, None),
    events.RequestEnded("a", "usage", 200, None, 0.1, 1),
    events.RequestEnded("a", "probe", None, "timeout", 30.0, 0),
    events.Committed(5, 60, 0.25),
    events.RetryScheduled("id1", "timeout", 1, 0.5, "did not answer in time"),
    events.TokenRenewed("a", None),
    events.RateChanged("a", 5.0),
    events.RateChanged("a", 6.0),
    events.Resumed(7, "r"),
    events.ListRead(9, 1, 2),
    events.ListChanged(3, 2, 1),
    events.LanePaused("a", 503, 7.0, asked=False),
    events.FilePublished("usages.ndjson", 10, 100),
    events.AccountSettled("x", AccountOutcome.EMPTY, 0),
    events.AccountSettled("x", FAILED, 0, "not_found", "gone"),
    events.TokenFailed("a", "503 Service Unavailable", 2.0),
    events.ClientDropped("b", "401"),
    events.LaneDropped("a/v1", "404"),
    events.OutageBegan("refused"),
    events.OutageProbed("refused", 4.0),
    events.OutageEnded(12.0),
    events.DestinationUnavailable("s3://b/p/", "503", 4.0),
    events.DestinationAvailable("s3://b/p/", 9.0),
    events.Warned("rows_win", "a source", "look at it"),
    events.Stopping("SIGINT", 5.0, by_signal=True),
]


def logged(
    heard: Iterable[events.Event],
    verbosity: int = 0,
    *,
    log_format: str = "json",
    failures: str | None = "f.ndjson",
) -> str:
    """What is logged of these events."""
    stream = io.StringIO()
    with logging_to(stream, log_format=log_format, verbosity=verbosity):  # type: ignore[arg-type]  # a str
        log = EventLog(failures)
        for event in heard:
            log.observe(event)
        log.finish()
    return stream.getvalue()


def json_lines(heard: Iterable[events.Event], verbosity: int = 0, **how: Any) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [json.loads(line) for line in logged(heard, verbosity, **how).splitlines()]


def messages(heard: Iterable[events.Event], verbosity: int = 0, **how: Any) -> list[str]:
    """The same as sentences."""
    return [line["message"] for line in json_lines(heard, verbosity, **how)]


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """Levels and fields of each event, from the table that people read."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.*) \|$", table_of("log events"), flags=re.MULTILINE)
    return {
        name: (set(re.findall(r"\w+", levels)), set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", fields))))
        for name, levels, fields in rows
    }


def failures(number: int, reason: str = "not_found") -> list[events.Event]:
    """Accounts that fail one after the other."""
    return [events.AccountSettled(f"id{n}", FAILED, 0, reason, "gone") for n in range(number)]


def test_every_event_is_logged_as_documented() -> None:
    """At -vv each event has the name, level and fields that the table promises."""
    table = documented()
    many = [*EVENTS, *failures(30), *[events.Warned("rows_win", "b")] * 30]
    lines = json_lines(many, verbosity=2)
    for line in lines:
        levels, fields = table[line["event"]]
        assert line["level"] in levels
        assert set(line) - {"time", "level", "event", "message"} == fields
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    elsewhere = {"progress", "run_ended", "listing", "listed", "error"}
    assert {line["event"] for line in lines} == set(table) - elsewhere


@pytest.mark.parametrize(
    ("verbosity", "levels"),
    [(-1, {"warning"}), (0, {"warning", "info"}), (1, {"warning", "info", "debug"})],
)
def test_verbosity_decides_what_is_said(verbosity: int, levels: set[str]) -> None:
    """Quiet leaves warnings, normal the outline, -v each retry; requests come only with -vv."""
    lines = json_lines(EVENTS, verbosity)
    assert {line["level"] for line in lines} == levels
    assert "request" not in {line["event"] for line in lines}
    assert ("retry" in {line["event"] for line in lines}) == (verbosity == 1)


def test_requests_cost_nothing_unless_they_are_logged() -> None:
    """At the usual verbosity the log does not even look at them."""
    unreadable: Any = events.RequestEnded("a", "usage", 200, None, None, None)  # type: ignore[arg-type]
    with logging_to(io.StringIO(), verbosity=1):
        EventLog().observe(unreadable)


@pytest.mark.parametrize("verbosity", [-1, 0])
def test_lines_about_accounts_are_capped_and_the_rest_is_counted(verbosity: int) -> None:
    """Twenty of a reason, the last of them says where the others are, and the end has their number."""
    said = messages([*failures(1000), *failures(3, "timeout"), *failures(21, "forbidden")], verbosity)
    assert sum("id" in line and "(not_found)" in line for line in said) == LINES_PER_REASON
    assert said[19].endswith(
        "more accounts that fail as not_found are only counted here, and listed in f.ndjson"
    )
    assert sum("(timeout)" in line for line in said) == 3
    assert said[-2:] == [
        "980 more accounts failed: no such account (404) (not_found)",
        "1 more account failed: the tenant forbids it (403) (forbidden)",
    ]


def test_without_a_failures_file_each_failure_has_its_line() -> None:
    """Where the log is the only place that names them, none is left out."""
    said = messages(failures(1000), verbosity=-1, failures=None)
    assert [line.split()[1] for line in said] == [f"id{n}" for n in range(1000)]


def test_warnings_of_one_kind_are_capped() -> None:
    """A warning that thousands of accounts cause does not bury the others."""
    said = messages([events.Warned("rows_win", f"source {n}") for n in range(50)])
    assert len(said) == LINES_PER_REASON + 1
    assert said[-1] == "30 more warnings of this kind: rows_win"


def test_an_outage_states_its_reason_first_and_still_only_later() -> None:
    """Each line has the cause; the second outage begins anew."""
    probe = events.OutageProbed("503 Service Unavailable", 4.0)
    said = messages([events.OutageBegan("HTTP 503"), probe, probe, events.OutageEnded(60.0), probe])
    assert said == [
        "the tenant is not reachable (HTTP 503): waiting for it, no account loses an attempt",
        "the tenant is still not reachable (503 Service Unavailable): next probe in 4.0 s",
        "the tenant is still not reachable (503 Service Unavailable): next probe in 4.0 s",
        "the tenant responds again after 1 min 00 s",
        "the tenant is not reachable (503 Service Unavailable): next probe in 4.0 s",
    ]


def test_a_token_that_cannot_be_fetched_is_reported_with_its_reason() -> None:
    """Loud the first time, even with -q; then quieter, and its end is said, too."""
    failed = events.TokenFailed("a", "HTTP 503", 2.0)
    stream: list[events.Event] = [failed, failed, events.TokenRenewed("a", 749.0), failed]
    assert messages(stream, verbosity=0) == [
        "client a: could not get a token (HTTP 503): next attempt in 2.0 s",
        "client a: still could not get a token (HTTP 503): next attempt in 2.0 s",
        "client a has a new token, valid for 12 min 29 s",
        "client a: could not get a token (HTTP 503): next attempt in 2.0 s",
    ]
    assert len(messages(stream, verbosity=-1)) == 3  # without the second one


def test_a_store_that_cannot_be_written_to_is_reported_with_its_reason() -> None:
    """The same for a destination."""
    away = events.DestinationUnavailable("s3://b/p/", "403", 4.0)
    said = messages([away, away, events.DestinationAvailable("s3://b/p/", 9.0)])
    assert said[0] == "s3://b/p/ cannot be written to (403): next attempt in 4.0 s"
    assert "still" in said[1]
    assert said[2] == "s3://b/p/ can be written to again after 9.0 s"


def test_stopping_says_how_long_and_what_a_second_signal_does() -> None:
    """Grace always, the second signal only where there was a first one."""
    assert messages([events.Stopping("SIGINT", 5.0, by_signal=True), events.Stopping("deadline", 5.0)]) == [
        "stopping (SIGINT): requests in flight get up to 5.0 s to finish; a second signal exits at once",
        "stopping (deadline): requests in flight get up to 5.0 s to finish",
    ]


def test_a_retry_after_that_makes_no_sense_is_called_so() -> None:
    """A header that says 0 did say something: it is not usable."""
    said = messages(
        [events.LanePaused("a", 429, 1.0, asked=False), events.LanePaused("a", 503, 9.0, asked=True)]
    )
    assert said == [
        "lane a pauses for 1.0 s after a 429, without a usable Retry-After",
        "lane a pauses for 9.0 s after a 503, as Retry-After asks",
    ]


def started(**more: Any) -> events.RunStarted:
    """A run of one lane into stdout."""
    fields: dict[str, Any] = {"output": "-", "quota": "100/10s", "lanes": 1, "shard": "1/2"} | more
    return events.RunStarted("2", "acme", ("v3", "v2024"), **fields)


def test_the_first_line_of_a_run() -> None:
    """It has the tenant, the destination, the quotas and how many lanes have them."""
    one, two = messages([started(), started(quota="100/10s, none", lanes=2, output="x.csv", shard=None)])
    assert one == "harvesting acme (v3, v2024) into stdout, quota 100/10s, shard 1/2"
    assert two == "harvesting acme (v3, v2024) into x.csv, quota 100/10s, none on each of 2 lanes"


def test_an_error_is_a_line_too() -> None:
    """With its status and its hint."""
    stream = io.StringIO()
    with logging_to(stream, log_format="json"):
        say_error(SettingError("--quota", "is not valid", "write it as 100/10s"))
    line = json.loads(stream.getvalue())
    assert (line["status"], line["hint"]) == (2, "write it as 100/10s")
    assert set(line) - {"time", "level", "event", "message"} == documented()[line["event"]][1]


def test_a_text_line_is_one_line() -> None:
    """What the tenant says can neither begin a line of its own nor move the cursor."""
    text = logged(
        [events.AccountSettled("id", FAILED, 0, "refused", "a\nb\x1b[2J\x9b1m\u202ec")], log_format="text"
    )
    (line,) = text.splitlines()
    assert line.endswith(r"warning  account id failed: a\nb\x1b[2J\x9b1m\u202ec (refused)")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", line)


def test_a_json_line_is_harmless_on_a_terminal() -> None:
    """A control character of the second set is escaped, and still read as it was."""
    text = logged([events.AccountSettled("id", FAILED, 0, "refused", "\x9b2J\u202e")])
    assert json.loads(text)["detail"] == "\x9b2J\u202e"
    assert "\x9b" not in text
    assert "\u202e" not in text


def test_a_line_is_wrapped_between_words() -> None:
    """On a terminal of 60 columns no word is broken, the second line is indented, and secrets stay masked."""
    with terminal(60) as screen, logging_to(screen.stream, redact=Redactor([SECRET])):
        say(
            logging.WARNING,
            "warning",
            f"somewhere over the rainbow skies are blue and so is {SECRET} in the evening",
        )
        shown = screen.shown()
    assert len(shown) == 2
    assert shown[1].startswith("                  ")
    assert " ".join(" ".join(shown).split()[2:]) == (
        f"somewhere over the rainbow skies are blue and so is {MASK} in the evening"
    )


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


def test_a_stderr_that_is_closed_or_full_ends_nothing(tmp_path: Path) -> None:
    """A log that can't be written is not written, and that is all."""
    stream = (tmp_path / "log").open("w")
    with logging_to(stream) as lines:
        stream.close()
        say(logging.INFO, "progress", "unheard")
        lines.write("unheard")
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115  # closing it would raise, too
    with logging_to(full) as lines:
        say(logging.INFO, "progress", "unheard")
        lines.write("unheard")
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_lines_can_be_sent_elsewhere_for_a_while() -> None:
    """While something live is shown, lines go through it, and back to the stream afterwards."""
    stream, above = io.StringIO(), list[str]()
    lines = Lines(stream, Redactor(["a-long-secret"]))
    with lines.through(above.append):
        lines.write("one a-long-secret")
    lines.write("two a-long-secret")
    assert above == [f"one {MASK}"]
    assert stream.getvalue() == f"two {MASK}\n"
