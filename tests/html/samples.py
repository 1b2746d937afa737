"""Summaries to draw: of a real sandbox's harvest, and changed from it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

ACTIVITY: dict[str, Any] = {
    "asOf": "2026-11",
    "since": None,
    "accounts": 100,
    "months": {"2026-02": {"accounts": 5, "days": 40}, "2026-11": {"accounts": 60, "days": 900}},
    "lastActive": {"2025-01": 1, "2026-02": 5, "2026-07": 7, "2026-08": 8, "2026-11": 60},
    "inactive": 19,
    "activeDays": [
        {"from": 0, "to": 0, "accounts": 19},
        {"from": 1, "to": 5, "accounts": 21},
        {"from": 6, "to": None, "accounts": 60},
    ],
    "unreadable": 0,
}

SUMMARY: dict[str, Any] = {
    "schemaVersion": 1,
    "runId": "20261123T135025Z-e0d8e5",
    "version": "1.0.0",
    "tenant": "acme.api.identitynow.com",
    "apiVersion": "v2024",
    "shard": None,
    "status": 3,
    "stop": None,
    "start": "2026-11-23T13:50:25.250Z",
    "end": "2026-11-23T13:50:29.650Z",
    "seconds": 4.4,
    "counts": {
        "distinct": 103,
        "repeated": 2,
        "harvested": 81,
        "empty": 19,
        "failed": 3,
        "notAttempted": 0,
        "finishedEarlier": 0,
    },
    "rows": 700,
    "requests": 120,
    "unsuccessfulByReason": {"server_error": 9, "throttled": 4, "not_found": 3},
    "retries": 9,
    "retriesByReason": {"server_error": 9},
    "throttled": 4,
    "secondsPaused": 1.5,
    "quota": "100/3s",
    "quotaShare": 0.9123,
    "permittedPerSecond": 33.333333,
    "latencySeconds": {"p50": 0.05, "p90": 0.08, "p95": 0.1, "p99": 0.2, "max": 1.1},
    "bytesWritten": 54321,
    "outages": 1,
    "secondsAway": 2.0,
    "failuresByReason": {"not_found": {"count": 3, "accountId": "id-of-one", "detail": "404 Not found"}},
    "clients": {
        "a": {
            "requests": 120,
            "throttled": 4,
            "secondsPaused": 1.5,
            "requestsPerSecond": None,
            "dropped": False,
        }
    },
    "outputs": [{"name": "usages.ndjson", "rows": 700, "accounts": 81, "bytes": 54321, "sha256": "ab" * 32}],
    "activity": ACTIVITY,
    "timeline": {
        "secondsPerPoint": 1.0,
        "secondsOfLastPoint": 0.4,
        "requests": [30, 34, 20, 30, 6],
        "throttled": [0, 4, 0, 0, 0],
        "settled": [28, 28, 18, 25, 4],
        "failed": [0, 1, 1, 1, 0],
        "paused": [0.0, 0.5, 1.0, 0.0, 0.0],
    },
}


def summary(**changed: Any) -> dict[str, Any]:
    """A summary with some keys changed."""
    return deepcopy(SUMMARY) | changed


def activity(**changed: Any) -> dict[str, Any]:
    """What the rows say, with some keys changed."""
    return deepcopy(ACTIVITY) | changed
