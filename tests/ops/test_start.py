"""The first line of a run's log says what is harvested into what."""

from __future__ import annotations

import io
import json
import re

from harvester.model import Shard
from harvester.report import event_log
from harvester.report.log import logging_to
from harvester.settings.model import Settings
from tests.report.samples import SETTINGS


def test_the_start_is_told_as_documented() -> None:
    """Event, level and fields are those of the table; no credential is among them."""
    stream = io.StringIO()
    with logging_to(stream, log_format="json"):
        event_log.say_start(Settings(**SETTINGS, shard=Shard(2, 3)))
    line = json.loads(stream.getvalue())
    table = event_log.__doc__ or ""
    fields = re.search(r"^\| `run_started` \| info \| (.*) \|$", table, flags=re.MULTILINE)
    assert fields
    own = set(line) - {"time", "level", "event", "message"}
    assert own == set(re.findall(r"`(\w+)`", fields[1]))
    assert (line["event"], line["tenant"], line["shard"]) == (
        "run_started",
        "acme.api.identitynow.com",
        "2/3",
    )
    assert line["message"].startswith("harvesting acme.api.identitynow.com (v2024) into usages.ndjson")
    assert "0123456789abcdef" not in stream.getvalue()
