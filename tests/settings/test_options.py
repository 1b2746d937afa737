"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from harvester.cli.options import (
    SettingsCommand,
    dry_run_option,
    inputs_argument,
    loaded,
    setting_options,
    settings_given,
)
from harvester.errors import SettingFault
from harvester.settings.load import Loaded
from harvester.settings.table import FIELDS, SECTIONS


@click.command(cls=SettingsCommand)
@inputs_argument
@setting_options(*SECTIONS)
@dry_run_option
@click.pass_obj
def command(seen: dict[str, Any], /, **options: Any) -> None:
    """Do what is asked."""
    seen |= options


def given(*arguments: str) -> dict[str, Any]:
    """The options that a command line leads to."""
    seen: dict[str, Any] = {}
    result = CliRunner().invoke(command, arguments, obj=seen)
    assert result.exit_code == 0, result.output
    return seen


def test_only_what_was_given_is_passed_on() -> None:
    """Defaults stay with the settings, so that environment and file can speak."""
    assert settings_given(given()) == {}
    assert settings_given(given("a", "-", "--quota", "1/1s", "-o", "x", "--config", "c", "--dry-run")) == {
        "inputs": ("a", "-"),
        "quota": "1/1s",
        "output": "x",
    }


def test_pairs_of_flags() -> None:
    """What can be switched on by a file can be switched off by a flag."""
    options = given("--ordered", "--resume", "--no-split-quota")
    assert settings_given(options) == {"ordered": True, "fresh": False, "split_quota": False}
    assert settings_given(given("--no-ordered", "--fresh"))["fresh"] is True


@pytest.mark.parametrize(("flags", "verbosity"), [(["-v"], 1), (["-vv"], 2), (["-vvv"], 2), (["-q"], -1)])
def test_verbosity(flags: list[str], verbosity: int) -> None:
    """-v and -q are one setting."""
    assert settings_given(given(*flags)) == {"verbosity": verbosity}


def test_verbose_and_quiet_exclude_each_other() -> None:
    """Both at once are wrong usage."""
    with pytest.raises(click.UsageError):
        settings_given(given("-v", "-q"))


def test_options_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line to settings: flags over environment over file, no tenant needed for a plan."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SAIL_BASE_URL", "SAIL_CLIENT_ID", "SAIL_CLIENT_SECRET", "SAIL_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HARVESTER_ATTEMPTS", "2")
    Path("c.toml").write_text("page_size = 3\n[profile.p]\npage_size = 4\n")
    options = given("--config", "c.toml", "--profile", "p", "--timeout", "1m", "-v")
    found: Loaded = loaded(options, needs_tenant=False)
    settings = found.settings
    assert (settings.page_size, settings.attempts, settings.timeout, settings.verbosity) == (4, 2, 60.0, 1)
    assert found.sources["verbosity"] == "-v"
    with pytest.raises(SettingFault, match="credentials: none found"):
        loaded(options)


def test_help_has_every_flag_in_its_group() -> None:
    """Help shows the table: titles in order, each flag under its own, each with its default."""
    text = CliRunner().invoke(command, ["--help"], terminal_width=200, max_content_width=200).output
    places = [text.index(f"\n{title}:\n") for title in SECTIONS.values()]
    assert places == sorted(places)
    groups = dict(
        zip(SECTIONS, (text[a:b] for a, b in zip(places, [*places[1:], None], strict=True)), strict=True)
    )
    for field in FIELDS:
        if field.flag:
            line = next(line for line in groups[field.section].splitlines() if f"{field.flag} " in line)
            assert "[default: " in groups[field.section][groups[field.section].index(line) :]
    assert all(flag in groups["tenant"] for flag in ("--config", "--profile", "--clients"))


def test_no_option_takes_a_secret() -> None:
    """A process list shows arguments: there is no flag for a secret or token."""
    flags = [name for param in command.params for name in param.opts]
    assert not [flag for flag in flags if any(word in flag for word in ("secret", "token", "password"))]


def test_completion_offers_words_and_files() -> None:
    """A shell completes choices by their words and files by the shell's own means."""
    params = {param.name: param for param in command.params}
    context = click.Context(command)
    words = [item.value for item in params["input_format"].shell_complete(context, "t")]
    assert words == ["text"]
    assert [item.type for item in params["output"].shell_complete(context, "")] == ["file"]
    assert [item.type for item in params["inputs"].shell_complete(context, "")] == ["file"]
