"""A Delta table in an object store: a real S3 server on loopback."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from deltalake import DeltaTable

from harvester.errors import AccessDenied, OutputError, StoppedEarly
from harvester.events import DestinationUnavailable, Event
from harvester.export import export
from harvester.ledger import LedgerReader
from tests.export.stores import s3_server
from tests.export.tables.harvests import after, ledger, night
from tests.export.tables.kits import DeltaKit, merge, output, truth_of


class StoreKit(DeltaKit):
    def __init__(self) -> None:
        self.dest = "s3://lake/usages/"

    def table(self) -> DeltaTable:
        return DeltaTable(self.dest, storage_options={"allow_http": "true"})


def test_nights_in_a_store(tmp_path: Path) -> None:
    """As on a disk; while the server is away it is waited for, and the same export succeeds later."""
    kit = StoreKit()
    nights = [night(20), night(20, (12, 11), changed=3), night(20, (12,), changed=9)]
    ledgers = [ledger(tmp_path / f"{n}.ledger", one, f"run-{n}") for n, one in enumerate(nights)]
    with s3_server("lake") as server:
        merge(kit, ledgers[0])
        merge(kit, ledgers[1], ledgers[0])
        assert truth_of(kit.table().to_pyarrow_table().to_pylist()) == after({}, *nights[:2])
        assert kit.table().version() == 1
        events: list[Event] = []
        found = output(kit, events, clock=map(float, count(step=100)).__next__, max_outage=50.0)
        objects = server.objects("lake")
        server.stop()
        with pytest.raises(StoppedEarly, match="has not been available"), LedgerReader(ledgers[2]) as reader:
            export([reader], found)
        assert {type(event) for event in events} == {DestinationUnavailable}
        assert all("\n" not in event.detail for event in events if isinstance(event, DestinationUnavailable))
        assert len(objects) >= 6


def test_a_bucket_that_is_not_there() -> None:
    """Is refused before the first request."""
    kit = StoreKit()
    kit.dest = "s3://nowhere/usages/"
    with s3_server("lake"), pytest.raises((OutputError, AccessDenied)):
        output(kit).try_out()
