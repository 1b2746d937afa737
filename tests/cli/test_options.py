"""The options that commands share are those of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from harvester.cli.options import (
    DRY_RUN,
    INPUTS,
    SettingsCommand,
    loaded,
    setting_options,
    settings_given,
)
from harvester.errors import NoCredentials, SettingError
from harvester.settings import SECTIONS, TABLE


@click.command(cls=SettingsCommand, params=[INPUTS, *setting_options(*SECTIONS), DRY_RUN])
@click.pass_obj
def command(seen: dict[str, Any], /, **options: Any) -> None:
    """Do what is asked."""
    seen |= options
    if seen.get("and_load"):
        seen["loaded"] = loaded(
            options, needs_tenant=seen["and_load"] != "no tenant", **seen.get("fixed", {})
        )
    if "fail" in seen:
        raise SettingError(seen["fail"], "is also an input")


def run(*arguments: str, **seen: Any) -> dict[str, Any]:
    """What a command line leads to."""
    result = CliRunner().invoke(command, arguments, obj=seen, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return seen


def given(*arguments: str) -> dict[str, Any]:
    """The settings that a command line gives."""
    return settings_given(run(*arguments))


@pytest.fixture
def quiet_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without anybody's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SAIL_BASE_URL", "SAIL_CLIENT_ID", "SAIL_CLIENT_SECRET", "SAIL_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_only_what_was_given_is_passed_on() -> None:
    """Defaults stay with the settings, so that environment and file are heard."""
    assert given() == {}
    arguments = ("a", "-", "--quota", "1/1s", "-o", "x", "--config", "c", "--dry-run", "--account", "b")
    assert given(*arguments, "--account", "c") == {
        "inputs": ("a", "-"),
        "quota": "1/1s",
        "output": "x",
        "account": ("b", "c"),
    }


def test_every_switch_can_be_switched_off() -> None:
    """What a file switches on, a flag can switch off."""
    for one in TABLE:
        if one.switch:
            assert given(one.flag) == {one.name: True}
            assert given(one.negative) == {one.name: False}


@pytest.mark.parametrize(("flags", "verbosity"), [(["-v"], 1), (["-vv"], 2), (["-vvv"], 2), (["-q"], -1)])
def test_verbosity(flags: list[str], verbosity: int) -> None:
    """-v and -q are one setting."""
    assert given(*flags) == {"verbosity": verbosity}


def test_verbose_and_quiet_exclude_each_other() -> None:
    """Both at once are wrong usage."""
    with pytest.raises(click.UsageError):
        given("-v", "-q")


def test_options_load(quiet_desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line to settings: flags over environment over file, no tenant needed for a plan."""
    monkeypatch.setenv("HARVESTER_ATTEMPTS", "2")
    (quiet_desk / "c.toml").write_text("page_size = 3\n[profile.p]\npage_size = 4\n")
    arguments = ("--config", "c.toml", "--profile", "p", "--timeout", "1m", "-v")
    found = run(*arguments, and_load="no tenant")["loaded"]
    settings = found.settings
    assert (settings.page_size, settings.attempts, settings.timeout, settings.verbosity) == (4, 2, 60.0, 1)
    assert found.origins["verbosity"] == "-v"
    with pytest.raises(NoCredentials, match="credentials: none found"):
        run(*arguments, and_load="all")


@pytest.mark.usefixtures("quiet_desk")
def test_a_command_may_decide_a_setting_itself() -> None:
    """`accounts` is always a listing, for example."""
    found = run("--filters", "x", and_load="no tenant", fixed={"list": True})["loaded"]
    assert (found.settings.list, found.settings.filters) == (True, "x")


@pytest.mark.usefixtures("quiet_desk")
def test_errors_call_a_setting_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that come up only in the run, from a part that knows the setting's name alone."""
    monkeypatch.setenv("HARVESTER_SUMMARY", "s")
    with pytest.raises(SettingError, match=r"^HARVESTER_SUMMARY: is also an input"):
        run(and_load="no tenant", fail="summary")
    with pytest.raises(SettingError, match=r"^--failures: is also an input"):
        run("--failures", "f", and_load="no tenant", fail="failures")
    with pytest.raises(SettingError, match=r"^anything: is also an input"):
        run(fail="anything")
    with pytest.raises(
        SettingError, match=r"^--config: '~nobody-of-this-name/x' begins with a home directory"
    ):
        run("--config", "~nobody-of-this-name/x", and_load="no tenant")


def test_no_option_takes_a_secret() -> None:
    """A process list shows arguments: there is no flag for a secret or token."""
    flags = [name for param in command.params for name in param.opts]
    assert not [flag for flag in flags if any(word in flag for word in ("secret", "token", "password"))]


def test_a_selection_of_options() -> None:
    """A command has those sections and settings that it names, and what every command has."""

    @click.command(cls=SettingsCommand, params=setting_options("pace", "file_mode"))
    def small(**_: Any) -> None:
        """Do little."""

    names = {param.name for param in small.params} - {"h"}
    assert names == {"quota", "burst", "concurrency", "file_mode", "config", "profile", "verbose", "quiet"}


def test_completion_offers_words_and_files() -> None:
    """A shell completes choices by their words and files by the shell's own means."""
    params = {param.name: param for param in command.params}
    context = click.Context(command)
    assert [item.value for item in params["input_format"].shell_complete(context, "t")] == ["text"]
    for name in ("output", "inputs", "config", "changes"):
        assert [item.type for item in params[name].shell_complete(context, "")] == ["file"]
