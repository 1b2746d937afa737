"""The configuration file to start from, and the tables of the documentation, are made from the table."""

from __future__ import annotations

import re
import tomllib

from harvester.settings import BY_NAME, TABLE
from harvester.settings.config_file import CLIENT_KEYS
from harvester.settings.template import template
from tests.settings.desk import SECRET, Desk


def uncommented(text: str) -> str:
    """The file with all its settings taken in."""
    return re.sub(r"^#(?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)


def test_the_template_is_valid_as_it_is() -> None:
    """It is TOML that says nothing until a # is removed."""
    assert tomllib.loads(template()) == {}


def test_the_template_has_every_setting_with_its_default() -> None:
    """Each setting once, with the default it really has, or an example that would be accepted."""
    found = tomllib.loads(uncommented(template()).split("# --- Several")[0])
    names = [one.name for one in TABLE if one.name != "clients"]
    assert sorted(found) == sorted([*names, "client_id", "client_secret_env"])
    for name in names:
        one = BY_NAME[name]
        value = one.read(found[name])
        assert value == one.default or one.example, name


def test_the_template_fits_a_screen() -> None:
    """No line is wider than an editor."""
    assert max(map(len, template().splitlines())) <= 110


def test_the_templates_clients_and_profile_load(desk: Desk) -> None:
    """The examples at its end are right, and every way to give a secret is named."""
    text = template()
    tail = uncommented("# --- Several" + text.split("# --- Several")[1])
    environ = dict.fromkeys(("FIRST_SECRET", "SECOND_SECRET", "SANDBOX_SECRET"), SECRET)
    config = desk.write("tail.toml", tail)
    clients = desk.load(
        environ=environ | {"SAIL_BASE_URL": "https://a.example"}, config=config
    ).settings.clients
    assert [client.name for client in clients] == ["first", "second"]
    sandbox = desk.load(environ=environ, config=config, profile="sandbox").settings
    assert (sandbox.base_url, sandbox.quota) == ("http://127.0.0.1:8080", None)
    assert all(key in text for key in CLIENT_KEYS)


def test_the_template_loads_once_it_is_filled_in(desk: Desk) -> None:
    """With the # removed from address and client, it is a configuration."""
    text = re.sub(r"^#(?=base_url|client_)", "", template(), flags=re.MULTILINE).split("# --- Several")[0]
    loaded = desk.load(environ={"SAIL_CLIENT_SECRET": SECRET}, config=desk.write("c.toml", text))
    assert loaded.settings.base_url == "https://acme.api.identitynow.com"
    assert loaded.settings.clients[0].client_secret == SECRET
