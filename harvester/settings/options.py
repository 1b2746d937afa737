"""The settings as keywords, for type checkers: a test compares them with the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, TypedDict

from harvester.credentials import Credentials
from harvester.model import Quota, Shard
from harvester.settings.destination import Compression, Format
from harvester.settings.settings import (
    InputFormat,
    LogFormat,
    PartitionBy,
    Progress,
    Shape,
    Sorters,
    SourceStatus,
)

AnyPath: TypeAlias = str | Path


class Options(TypedDict, total=False):
    """Keywords of `load_settings`, each as text or as a ready value; see `Settings` for what they mean.

    A keyword that is not given leaves the setting to the environment, the file and the default. None
    is a value: ``quota=None`` disables the limit.
    """

    config: AnyPath | None
    profile: str | None
    inputs: AnyPath | Sequence[str]
    list: bool
    account: str | Sequence[str]
    filters: str | None
    with_usage: bool
    add: str | Sequence[str]
    input_format: InputFormat
    id_field: str | None
    keep: str | Sequence[str]
    shard: Shard | str | None
    split_quota: bool
    base_url: str
    api_version: str | Sequence[str]
    clients: AnyPath | Sequence[Credentials]
    ca_bundle: AnyPath | None
    timeout: float | str
    max_body_bytes: int | str
    since: str | None
    skip_unreported: bool
    source_status: SourceStatus
    page_size: int
    sorters: Sorters
    count: bool
    output: AnyPath
    format: Format | None
    shape: Shape
    compress: Compression | None
    part_rows: int | None
    partition_by: PartitionBy | None
    columns: str | Sequence[str]
    changes: AnyPath | None
    failures: AnyPath | None
    file_mode: int | str
    fresh: bool
    replace: bool
    retry_failed: bool
    ledger: AnyPath | None
    keep_ledger: bool
    quota: Quota | str | None
    burst: int | None
    concurrency: int | None
    attempts: int
    max_outage: float | str
    deadline: float | str | None
    max_failures: int | None
    stop_grace: float | str
    progress: Progress
    log_format: LogFormat
    verbosity: int
    summary: AnyPath | None
    report: AnyPath | None
    metrics: AnyPath | None
