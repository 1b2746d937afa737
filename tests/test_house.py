"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "harvester").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
LAZY = {"harvester/__init__.py", "harvester/cli/__init__.py"}
"""Where the library's names and the commands are imported when they are asked for."""
OPTIONAL = {"keyring"}
"""Packages of the extras: imported only when used."""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_no_own_import_hides_in_a_function(path: Path) -> None:
    """An import of our own inside a function only dodges the floors."""
    if place(path) in LAZY:
        return
    for function in functions(ast.parse(path.read_text())):
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("harvester"), f"{place(path)}:{node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_a_file_fits_a_room(path: Path) -> None:
    """A file that outgrows some three hundred lines becomes a folder with rooms in it."""
    assert len(path.read_text().splitlines()) <= 340


@pytest.mark.parametrize("path", TESTS, ids=place)
def test_each_test_says_what_it_holds(path: Path) -> None:
    """One line a test: the behaviour it holds."""
    for function in functions(ast.parse(path.read_text())):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), f"{place(path)}:{function.lineno} {function.name}"


def test_functions_are_short_enough_to_read_at_a_glance() -> None:
    """The median function has fewer than ten lines of body."""
    lengths = sorted(
        (function.end_lineno or 0) - function.body[0].lineno + 1
        for path in SOURCES
        for function in functions(ast.parse(path.read_text()))
    )
    assert lengths[len(lengths) // 2] < 10
