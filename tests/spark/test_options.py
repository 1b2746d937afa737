"""What the driver accepts, and what of it travels to the executors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.datasource import InputPartition
from pyspark.sql.types import StructType

from harvester.errors import NoCredentials, SettingError, UsageError
from harvester.model import Quota
from harvester.settings.settings import TABLE
from harvester.spark import AccountUsages
from harvester.spark.options import OPTIONS, read_options
from tests.docs.manual import DOCS
from tests.spark.tenants import SECRET, clients_file

GIVEN = {"ids": "ids.txt", "base_url": "https://acme.api.identitynow.com"}


def test_every_lane_has_its_client_version_and_quota(tmp_path: Path) -> None:
    """Clients times versions; a client's own quota comes before that of the read."""
    options = read_options({**GIVEN, "clients": str(clients_file(tmp_path)), "api_version": "v2024,v1"})
    assert [(lane.api_version, lane.quota) for lane in options.lanes] == [
        ("v2024", Quota(100, 10.0)),
        ("v1", Quota(100, 10.0)),
        ("v2024", Quota(30, 2.0)),
        ("v1", Quota(30, 2.0)),
    ]
    assert [lane.quota for lane in read_options({**GIVEN, "quota": "none"}).lanes] == [None]


def test_an_executor_finds_the_secrets_where_the_names_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a variable, a file, or the variables of the official tools; the settings come along."""
    options = read_options(
        {**GIVEN, "clients": str(clients_file(tmp_path)), "timeout": "7s", "since": "2026-08"}
    )
    with pytest.raises(SettingError, match="NORTH_KEY is not set in the environment"):
        options.settings_of(options.lanes[0])
    monkeypatch.setenv("NORTH_KEY", SECRET)
    for lane, label in zip(options.lanes, ("north", "south"), strict=True):
        settings = options.settings_of(lane)
        assert [(one.label, one.client_secret) for one in settings.clients] == [(label, SECRET)]
        assert (settings.timeout, settings.since, settings.base_url) == (7.0, "2026-08", GIVEN["base_url"])
    alone = read_options(GIVEN)
    monkeypatch.delenv("SAIL_CLIENT_ID", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoCredentials, match="on a Spark executor"):
        alone.settings_of(alone.lanes[0])
    monkeypatch.setenv("SAIL_CLIENT_ID", "robot")
    monkeypatch.setenv("SAIL_CLIENT_SECRET", SECRET)
    assert alone.settings_of(alone.lanes[0]).clients[0].client_secret == SECRET


def test_no_secret_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the data source nor the reader nor a partition has one, even where the driver knows it."""
    monkeypatch.setenv("NORTH_KEY", SECRET)
    monkeypatch.setenv("SAIL_CLIENT_SECRET", SECRET)
    (tmp_path / "ids.txt").write_text("a1\nb2\nc3\n")
    given = {**GIVEN, "ids": str(tmp_path / "ids.txt"), "clients": str(clients_file(tmp_path))}
    source = AccountUsages(given)
    reader = source.reader(source.schema())
    partitions = reader.partitions()
    assert len(partitions) == 2
    for one in (source, reader, *partitions):
        assert SECRET.encode() not in pickle.dumps(one)
        assert SECRET not in repr(one)
    assert b"NORTH_KEY" in pickle.dumps(reader)


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"shard": "1/2"}, "shard: the list is split by lane already: leave it out, or give a part of the list"),
    ({"list": "true"}, "list: .* give what `harvester accounts` writes"),
    ({"path": "ids.txt"}, "path: is called ids here: give nothing to load()"),
    ({"apiversion": "v2024"}, "did you mean api_version?"),
    ({"output": "x.ndjson"}, "output: has no meaning in Spark"),
    ({"qouta": "1/1s"}, "qouta: there is no such option: did you mean quota?"),
    ({"client_secret": "x"}, "client_secret: there is no such option"),
    ({"quota": "many"}, "quota: 'many' .*"),
    ({"api_version": "v9"}, "api_version: .*"),
    ({"since": "yesterday"}, "since: 'yesterday' .*"),
    ({"timeout": "-1"}, "timeout: .*"),
    ({"ids": ""}, "ids: there is no list of account IDs"),
    ({"ids": "-"}, "ids: there is no list of account IDs"),
    ({"base_url": ""}, "base_url: the tenant's address is not set"),
    ({"base_url": "http://acme.example"}, "base_url: .*"),
    ({"clients": "/nowhere.toml"}, "clients: /nowhere.toml cannot be read"),
    ({"skip_unreported": "true", "source_status": "off"}, "skip_unreported: needs to know"),
]


@pytest.mark.parametrize(("more", "message"), REFUSED, ids=lambda one: str(one)[:30])
def test_a_wrong_option_is_refused_in_one_sentence(
    more: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name that it has in Spark, when the data source is made."""
    monkeypatch.delenv("SAIL_BASE_URL", raising=False)
    with pytest.raises(SettingError, match=message) as caught:
        AccountUsages({**GIVEN, **more}).schema()
    assert "\n" not in str(caught.value)


ONE = 'client_id = "a"\nclient_secret_env = "A"'
CLIENTS: list[tuple[str, str]] = [
    ('client_id = "a"\nclient_secret = "s3cr3t"', r"client_secret: is a secret.* \(client_secret_env\)"),
    ('access_token = "s3cr3t"', r"access_token: is a secret.* \(access_token_file\)"),
    ('client_id = "a"', "has no client secret"),
    (f'{ONE}\nclient_secret_file = "f"', "contradicts client_secret_file"),
    (f'{ONE}\nquota = "x"', "quota"),
    (f"{ONE}\n[[clients]]\n{ONE}", "a is listed 2 times"),
    ('client_id = "a"\nclient_secret_en = "A"', "did you mean client_secret_env"),
]


@pytest.mark.parametrize(("table", "message"), CLIENTS, ids=lambda one: one[:40])
def test_a_client_that_cannot_work_is_refused_in_the_driver(table: str, message: str, tmp_path: Path) -> None:
    """Above all one whose secret is written down; the secret is not in the message."""
    path = tmp_path / "clients.toml"
    path.write_text(f"[[clients]]\n{table}\n")
    with pytest.raises(SettingError, match=message) as caught:
        read_options({**GIVEN, "clients": str(path)})
    assert "s3cr3t" not in str(caught.value)


def test_a_schema_of_the_users_own_is_refused() -> None:
    """The columns are what they are."""
    source = AccountUsages(GIVEN)
    with pytest.raises(UsageError, match="schema of its own"):
        source.reader(StructType().add("accountId", "string"))


def test_options_are_settings() -> None:
    """All but `ids` have the name and the meaning of a setting; the manual has each of them."""
    assert {*OPTIONS} - {one.name for one in TABLE} == {"ids"}
    table = (DOCS / "lake.md").read_text().partition("\n## Spark\n")[2].partition("\n## ")[0]
    for name in OPTIONS:
        assert f"`{name}`" in table


def test_an_empty_list_has_no_rows(tmp_path: Path) -> None:
    """The failures file of a harvest in which nothing failed is a good list."""
    (tmp_path / "u.failures.ndjson").touch()
    source = AccountUsages({**GIVEN, "ids": str(tmp_path / "u.failures.ndjson")})
    reader = source.reader(source.schema())
    assert reader.partitions() == []
    assert list(reader.read(InputPartition(None))) == []


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the driver; it travels with the plan."""
    monkeypatch.setenv("SAIL_BASE_URL", "https://other.api.identitynow.com")
    found: Any = read_options({"ids": "ids.txt"}).settings["base_url"]
    assert found == "https://other.api.identitynow.com"
