"""Settings made by hand: the same checks as everywhere, under the settings' own names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from harvester.credentials import Credentials
from harvester.errors import SettingError
from harvester.model import Quota, Shard
from harvester.settings.settings import BY_NAME, SECTIONS, TABLE, Settings
from tests.settings.desk import SECRET

CLIENT = Credentials(client_id="a", client_secret=SECRET)


def test_settings_by_hand() -> None:
    """A library user needs an address and a client; the address gets its one form, and no secret shows."""
    settings = Settings(base_url="https://a.example/v2024/", clients=(CLIENT,))
    assert settings.base_url == "https://a.example"
    assert SECRET not in repr(settings)


def test_text_is_as_good_as_a_value() -> None:
    """What the command line accepts, the constructor does: one parser for all."""
    written: dict[str, Any] = {"quota": "5/s", "timeout": "1m", "shard": "1/2", "output": Path("a.csv")}
    settings = Settings(**written, api_version="v1,v2025", inputs="ids.txt")  # type: ignore[arg-type]  # the point
    assert (settings.quota, settings.timeout, settings.shard) == (Quota(5, 1.0), 60.0, Shard(1, 2))
    assert (settings.output, settings.api_version, settings.inputs) == (
        "a.csv",
        ("v1", "v2025"),
        ("ids.txt",),
    )
    assert dataclasses.replace(settings) == settings


def test_none_is_a_value() -> None:
    """It lifts a limit where there is one to lift, and is refused where there is none."""
    assert Settings(quota=None, deadline=None).quota is None
    with pytest.raises(SettingError, match=r"^page_size: 'None' is not a whole number"):
        Settings(page_size=None)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"base_url": "http://a.example"}, "base_url: 'http://a.example' would send"),
        ({"base_url": f"https://u:{SECRET}@a.example"}, "base_url: has a user name or password"),
        ({"page_size": 0}, "page_size: '0' is out of range: give 1 to 250"),
        ({"page_size": 1.5}, "page_size: '1.5' is not a whole number"),
        ({"timeout": float("nan")}, "timeout: 'nan' is not a duration"),
        ({"timeout": 0}, "timeout: '0' is out of range: give 0.001s to 1h"),
        ({"max_failures": 0}, "max_failures: '0' is out of range: give at least 1"),
        ({"format": "xml"}, "format: 'xml' is not one of ndjson, csv, parquet"),
        ({"since": "2999-01"}, "since: '2999-01' is in the future"),
        ({"api_version": "v2024,v7"}, "api_version: 'v2024,v7' has v7, which is not one of"),
        ({"api_version": "v2024,v1,v2024"}, "api_version: 'v2024,v1,v2024' has v2024 more than once"),
        ({"file_mode": 0o400}, "file_mode: '256' must let the owner read and write"),
        ({"clients": (CLIENT, CLIENT)}, "clients: a is listed 2 times, but has one quota"),
        ({"clients": (SECRET,)}, "clients: is not a list of credentials"),
        ({"clients": CLIENT}, "clients: is not a list of credentials"),
        ({"list": True, "inputs": ("a",)}, "list: lists the tenant's own accounts, but"),
        ({"list": True, "account": ("a",)}, "list: lists the tenant's own accounts, but"),
        ({"filters": "x"}, "filters: is for listing the tenant's own accounts: add --list"),
        ({"with_usage": True}, "with_usage: is for listing"),
        ({"add": ("usage",)}, "add: is for listing"),
        ({"id_field": "x", "input_format": "text"}, "id_field: a text list has no columns"),
        ({"skip_unreported": True, "source_status": "off"}, "skip_unreported: needs to know which sources"),
        ({"part_rows": 5}, "part_rows: only a directory or an object store has parts"),
        ({"partition_by": "harvested", "output": "a"}, "partition_by: only a directory"),
        ({"part_rows": 5, "output": "a/", "format": "delta"}, "part_rows: only a directory"),
        ({"compress": "zstd", "output": "a.gz"}, "compress: zstd contradicts the name a.gz, which says gzip"),
        ({"compress": "gzip", "output": "a"}, "compress: gzip contradicts the name a, which says none"),
        ({"compress": "none", "output": "a.gz"}, "compress: none contradicts the name a.gz"),
        ({"format": "ndjson", "output": "a.parquet"}, "format: ndjson contradicts the name a.parquet"),
        ({"format": "csv", "output": "a.ndjson.gz"}, "format: csv contradicts the name a.ndjson.gz"),
        ({"format": "parquet"}, "format: parquet cannot be written to stdout: give a file, a directory"),
        ({"format": "sqlite", "output": "a/"}, "format: sqlite cannot be written to a/"),
        ({"format": "singer", "output": "a/"}, "format: singer cannot be written to a/"),
        ({"format": "delta", "output": "a"}, "format: delta cannot be written to a"),
        ({"format": "iceberg", "output": "a"}, "format: iceberg cannot be written to a: give CATALOG"),
        (
            {"format": "postgres", "output": "a"},
            "format: postgres cannot be written to a: give postgresql://",
        ),
        ({"format": "csv", "output": "postgresql://h/d/s.t"}, "format: csv cannot be written to postgresql:"),
        ({"output": "a.parquet.gz"}, "output: parquet output cannot be compressed"),
        ({"output": "a.db.zst"}, "output: sqlite output cannot be compressed"),
        ({"output": "a/", "format": "parquet", "compress": "gzip"}, "compress: parquet output cannot be"),
        ({"shape": "accounts", "output": "a.csv"}, "shape: accounts cannot be written as csv"),
        ({"columns": ("runId",), "format": "singer"}, "columns: singer has columns of its own"),
        ({"changes": "last"}, "changes: stdout has no last harvest: name a ledger"),
        (
            {"changes": "last", "output": "a", "keep_ledger": False},
            "changes: the last harvest is in the ledger",
        ),
        ({"changes": "x", "format": "singer"}, "changes: singer always has every row"),
        ({"changes": "x", "shape": "accounts"}, "changes: rows change, not accounts"),
        ({"fresh": True, "retry_failed": True, "output": "a"}, "retry_failed: continues the harvest that"),
        ({"retry_failed": True}, "retry_failed: stdout has no finished harvest"),
        ({"metrics": "m.txt"}, "metrics: m.txt would never be read"),
        ({"output": "a.db", "keep_ledger": False}, "keep_ledger: the ledger is the output itself"),
    ],
)
def test_settings_check_themselves(values: dict[str, Any], said: str) -> None:
    """Out of range, contradictory, or a secret in the wrong place: one sentence, without the secret."""
    with pytest.raises(SettingError) as caught:
        Settings(**values)
    assert str(caught.value).startswith(said)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"since": "2020-01", "sorters": "date"},
        {"output": "a.ndjson.gz", "compress": "gzip"},
        {"output": "a/", "compress": "zstd", "part_rows": 1, "partition_by": "harvested"},
        {"output": "a.ndjson", "format": "singer"},
        {"output": "-", "ledger": "l", "changes": "last"},
        {"output": "-", "ledger": "l", "retry_failed": True},
        {"list": True, "filters": "x", "with_usage": True, "add": ("usage", "manager")},
        {"inputs": ("a",), "account": ("b",)},
        {"output": "s3://b/p/", "format": "delta", "columns": ("runId",)},
    ],
)
def test_what_goes_together(values: dict[str, Any]) -> None:
    """Combinations that are meant to be."""
    assert Settings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"client_id": "a"},
        {"client_secret": SECRET},
        {"access_token": SECRET, "access_token_file": Path("x")},
    ],
)
def test_a_client_without_credentials_is_refused(values: dict[str, Any]) -> None:
    """Half a credential, none, or two tokens are refused without showing any."""
    with pytest.raises(SettingError) as caught:
        Credentials(**values)
    assert SECRET not in str(caught.value)


def test_a_shard_has_its_part_of_the_quota_unless_told_otherwise() -> None:
    """Where each shard has a client of its own, each has the whole quota."""
    assert Settings(shard=Shard(1, 4)).quota_shard == Shard(1, 4)
    assert Settings(shard=Shard(1, 4), split_quota=False).quota_shard is None


@pytest.mark.parametrize("name", BY_NAME)
def test_the_table_is_sound(name: str) -> None:
    """Each setting is in a section, is explained, and shows a default that can be read back."""
    one = BY_NAME[name]
    assert one.section in SECTIONS
    assert one.help.endswith(".")
    if one.default not in (None, "", ()):
        assert one.read(one.show(one.default)) == one.default
    elif one.none:
        assert one.read(one.none) is None


def test_eight_settings_are_what_most_people_need() -> None:
    """With --config and --dry-run, which are no settings, they are the ten options that help shows first."""
    assert sorted(one.common for one in TABLE if one.common) == [1, 2, 3, 4, 6, 7, 8, 9]
