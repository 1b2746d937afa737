"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import harvester

PACKAGE = Path(harvester.__file__).parent
ROOT = next(parent for parent in PACKAGE.parents if (parent / "pyproject.toml").exists())
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))
LAZY = {PACKAGE / "__init__.py", PACKAGE / "cli" / "__init__.py"}
"""Where the library's names and the commands are imported when they are asked for."""
LONGEST = 400
OLD_WORDS = re.compile(
    r"\b(crew|baton|roster|enrol|acquit|condemn\w*|hearing|judge named|spool|mend)\b", re.IGNORECASE
)
"""Words of version 1 that nobody else uses."""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_no_import_of_our_own_hides_in_a_function() -> None:
    """It would only get around the layers."""
    hidden = [
        f"{place(path)}:{node.lineno}"
        for path in SOURCES
        if path not in LAZY
        for function in functions(ast.parse(path.read_text()))
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harvester")
    ]
    assert not hidden


def test_each_file_can_be_kept_in_mind() -> None:
    """A file that outgrows some three hundred lines has more than one concept in it."""
    lengths = {place(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(Path(__file__).parent).as_posix())
def test_each_test_says_what_it_verifies(path: Path) -> None:
    """One line per test: the behavior it verifies."""
    for function in functions(ast.parse(path.read_text())):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), f"{place(path)}:{function.lineno} {function.name}"


def test_functions_can_be_read_at_a_glance() -> None:
    """The median function has fewer than ten lines of body."""
    lengths = sorted(
        (function.end_lineno or 0) - function.body[0].lineno + 1
        for path in SOURCES
        for function in functions(ast.parse(path.read_text()))
    )
    assert lengths[len(lengths) // 2] < 10


def test_the_words_are_those_of_the_field() -> None:
    """None of version 1's own vocabulary is left."""
    found = [
        f"{place(path)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if OLD_WORDS.search(line)
    ]
    assert not found
