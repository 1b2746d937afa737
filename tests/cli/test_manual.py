"""`harvester help` shows the pages of the manual, and the help of commands."""

from __future__ import annotations

from click.testing import CliRunner, Result

from harvester.cli import harvester
from tests.docs.manual import DOCS


def _help(*words: str) -> Result:
    return CliRunner().invoke(harvester, ["help", *words])


def test_every_page_is_a_topic_with_its_title() -> None:
    """Without a topic, the topics are listed."""
    lines = _help().output.splitlines()
    assert [line.split()[0] for line in lines] == sorted(page.stem for page in DOCS.glob("*.md"))
    assert "unused           Unused accounts" in lines


def test_a_topic_shows_its_page() -> None:
    """As it is, without the marks for the generated tables."""
    output = _help("events").output
    assert output.startswith("# Events and metrics\n")
    assert "| `run_started` |" in output
    assert "<!--" not in output


def test_a_command_shows_its_help() -> None:
    """Where there is no page of that name."""
    assert "Usage: harvester verify [OPTIONS] OUTPUT" in _help("verify").output


def test_an_unknown_topic_is_refused_with_the_nearest() -> None:
    """One sentence, status 2."""
    result = _help("trouble-shooting")
    assert result.exit_code == 2
    assert "There is no page called 'trouble-shooting': did you mean troubleshooting?" in result.output
