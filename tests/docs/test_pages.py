"""Links lead somewhere, tables are current, every command and option is found, the words are ours."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import harvester
from harvester.settings import TABLE
from harvester.settings.template import template
from tests.docs.manual import DOCS, IN_GITHUB, PAGES, README, ROOT, anchors, blocks, links, prose
from tests.docs.tables import CONFIGURATION, commands, options_of, written

_OPTIONS = DOCS / "options.md"
_ALL = (*PAGES, *IN_GITHUB, ROOT / "CHANGELOG.md")
_PACKAGE = Path(harvester.__file__).parent


def _home(page: Path) -> Path:
    """The directory that the links of a page begin in."""
    return ROOT if page == README else page.parent


@pytest.mark.parametrize("page", _ALL, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each file that is linked exists, and each anchor is a heading of the page it is on."""
    for target in links(page):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        found = (_home(page) / name).resolve() if name else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    """One hop from the front page to each page of the manual."""
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(README)}
    assert set(DOCS.glob("*.md")) <= linked


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_generated_tables_are_current(page: Path) -> None:
    """What the page says is what the code does."""
    text = page.read_text(encoding="utf-8")
    assert written(text) == text, "run `make docs`"


def test_the_example_configuration_is_current() -> None:
    """config/harvester.toml is what `harvester config init` writes."""
    assert CONFIGURATION.read_text(encoding="utf-8") == template(), "run `make docs`"


def test_every_command_and_option_is_two_hops_away() -> None:
    """From the README to the options page, and there to a section that names the option."""
    assert "docs/options.md" in links(README)
    text = _OPTIONS.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (harvester [^\n]*)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL))
    shared = text.partition("## Settings")[2] + text.partition("## Commands")[0]
    for name, command in commands():
        section = sections[f"harvester {name}"]
        for option in options_of(command):
            flag = option.opts[-1]
            assert re.search(rf"`{flag}|[ ,]{flag}\b", section + shared), f"harvester {name} {flag}"


def test_every_option_of_a_command_says_what_it_means() -> None:
    """A row of a table without a meaning helps nobody."""
    for line in _OPTIONS.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            assert line.rstrip("| ").count("|") >= 2, line


def test_every_setting_is_documented() -> None:
    """Each key, also those without an option."""
    text = _OPTIONS.read_text(encoding="utf-8")
    for one in TABLE:
        assert f"| `{one.name}` |" in text


def test_the_front_page_is_short() -> None:
    """A stranger reads it to its end."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_pages_mention_exist(page: Path) -> None:
    """`harvester` is always followed by one of its commands or options, in blocks that are not run too."""
    known = {name.split()[0] for name, _ in commands()} | {"COMMAND"}
    found = re.findall(r"`harvester ([a-z]+)", prose(page))
    for block in blocks(page):
        found += re.findall(r"^(?:\$ )?harvester ([a-z]+)", block.text, re.MULTILINE)
    for word in found:
        assert word in known, f"{page.name}: harvester {word}"


def test_the_merge_for_warehouses_is_the_one_that_is_run() -> None:
    """The tests run the statement in DuckDB, word by word."""
    found = {
        block.info: block.text
        for block in reversed(list(blocks(DOCS / "lake.md")))
        if "USING usages_stage AS s" in block.text
    }
    assert found["sql"] in found["sql duckdb"]


# --- troubleshooting


def _messages() -> str:
    """Every text in the program, with … where something is put in."""
    texts = []
    for path in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                texts.append("".join(_piece(one) for one in node.values))
    return "\n".join(texts)


def _piece(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "…"


def test_troubleshooting_quotes_what_the_program_says() -> None:
    """Whoever searches the page for a message finds it: each one is in the code, word for word."""
    said = _messages()
    rows = [
        line
        for line in (DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
        if "| `" in line
    ]
    assert len(rows) > 30
    for row in rows:
        for quoted in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
            for piece in quoted.split("‹…›"):
                words = piece.strip(" (")
                assert words in said or not words.strip(")"), quoted


# --- words

_OLD = (
    "is no JSON",
    "tells the plan",
    "is waited for",
    "nothing is there twice",
    "nothing twice",
    "whole, complete as to the list",
    "no token can be had",
    "the tenant is away",
    "tenant away",
    "All 1 ",
    "whoever read stdout",
    "mend",
    "takes the brake off",
    "refused but to loopback",
    "a harvest a day",
    "whatever for",
    "Bodies of answers",
    "a 429 is none",
    "gets no token",
)


def _read_by_users() -> list[Path]:
    code = [path for path in _PACKAGE.rglob("*") if path.suffix in {".py", ".html", ".css"}]
    config = [path for path in (ROOT / "config").rglob("*") if path.is_file()]
    return [*code, *_ALL, *config, ROOT / "Makefile"]


@pytest.mark.parametrize("phrase", _OLD)
def test_old_phrases_are_gone(phrase: str) -> None:
    """Plain English everywhere: help, messages, docstrings, documentation."""
    pattern = re.compile(rf"\b{re.escape(phrase)}" + (r"\b" if phrase[-1].isalpha() else ""))
    found = [str(path) for path in _read_by_users() if pattern.search(path.read_text(encoding="utf-8"))]
    assert not found
