"""The keywords of the library are those of the table, and a type checker knows them."""

from __future__ import annotations

from collections.abc import Sequence
from types import GenericAlias, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from harvester.settings import Options, Settings


def members(hint: Any) -> set[Any]:
    """The members of a union; a fixed tuple of some kind is a sequence of it."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {GenericAlias(Sequence, get_args(one)[0]) if get_origin(one) is tuple else one for one in parts}


def test_the_keywords_are_the_settings() -> None:
    """Each setting is a keyword that accepts what the setting holds; `config` and `profile` are extra."""
    fields, options = get_type_hints(Settings), get_type_hints(Options)
    assert list(options) == ["config", "profile", *fields]
    for name, hint in fields.items():
        missing = members(hint) - members(options[name])
        assert not missing, f"{name} does not accept {missing}"


def test_words_are_spelled_out() -> None:
    """A type checker finds a word that is not one of the choices."""
    options = get_type_hints(Options)
    for name, hint in get_type_hints(Settings).items():
        words = [one for one in members(hint) if get_origin(one) is Literal]
        assert not words or str not in members(options[name])
