"""The settings' names, types and defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harvester.model import Quota, Shard
from harvester.settings.client import Client

DEFAULT_QUOTA = Quota(100, 10.0)
"""SailPoint's documented limit: 100 requests per client id and API version in 10 seconds."""

COLUMNS = ("harvestedAt", "tenant", "apiVersion", "runId")
"""What `Values.columns` can add to a row, in the order in which rows have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """All settings, unchecked. Times are seconds, sizes bytes; None is no limit unless said otherwise."""

    # the tenant
    base_url: str = ""
    api_version: str = "v2024"
    clients: tuple[Client, ...] = ()
    ca_bundle: Path | None = None
    timeout: float = 30.0
    max_body_bytes: int = 8 * 1024 * 1024

    # what is asked for
    page_size: int = 250
    sorters: str = "-date"
    since: str | None = None
    """First month wanted, ``YYYY-MM``."""

    # pace
    quota: Quota | None = DEFAULT_QUOTA
    """Per client; None takes the brake off."""
    burst: int | None = None
    concurrency: int | None = None
    max_retry_after: float = 3600.0

    # giving up
    attempts: int = 5
    deadline: float | None = None
    max_failures: int | None = None
    max_outage: float = 1800.0
    stop_grace: float = 5.0

    # the list
    inputs: tuple[str, ...] = ()
    input_format: Literal["auto", "text", "csv", "ndjson"] = "auto"
    id_field: str | None = None
    shard: Shard | None = None
    split_quota: bool = True

    # the output
    output: str = "-"
    format: Literal["ndjson", "parquet", "singer"] = "ndjson"
    shape: Literal["rows", "accounts"] = "rows"
    compress: Literal["none", "gzip", "zstd"] | None = None
    """None: by the suffix of `output`."""
    partition_by: Literal["month", "harvested"] | None = None
    columns: tuple[str, ...] = ()
    """Of `COLUMNS`: where each row comes from, behind the API's own properties."""
    part_rows: int | None = None
    part_bytes: int | None = None
    ordered: bool = False
    changes: Path | None = None
    """State of the last complete harvest: only what differs from it is written."""
    singer_state: Path | None = None
    """The last STATE of a Singer stream, to go on from."""
    failures: Path | None = None
    summary: Path | None = None
    ledger: Path | None = None
    fresh: bool = False
    file_mode: int = 0o600

    # seeing it work
    progress: Literal["auto", "on", "off"] = "auto"
    log_format: Literal["text", "json"] = "text"
    verbosity: int = 0
    """-1 quiet, 0 normal, 1 and 2 more."""
    report: Path | None = None
    """Where the run goes as a page to look at, HTML."""
    metrics: Path | None = None
    metrics_port: int | None = None
    metrics_address: str = "127.0.0.1"

    @property
    def differences_only(self) -> bool:
        """Whether rows that an earlier run has written are left out of the output."""
        return self.changes is not None or self.singer_state is not None

    @property
    def output_is_folder(self) -> bool:
        """Whether the output is parts in a folder or an object store, not one file or stdout."""
        return self.output.endswith("/") or "://" in self.output


_DEFAULTS = {one.name: one.default for one in dataclasses.fields(Values)}


def default_of(name: str) -> Any:
    """A setting's default."""
    return _DEFAULTS[name]
