"""A configuration file to begin with, made from the table of settings: nothing can be missing in it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from harvester.settings.field import Field
from harvester.settings.table import FIELDS, SECTIONS
from harvester.settings.values import default_of

_WIDTH = 98

_HEAD = """\
# harvester: every setting with its default. Take out the # in front of a line to change it.
#
# What decides, in this order: a flag (--page-size), an environment variable (HARVESTER_PAGE_SIZE), this
# file (page_size), the default. Times are seconds or have units: 90s, 2h30m, 1d. Sizes are bytes or have
# units: 64MB (decimal), 1GiB (binary).
"""

_CLIENTS = """
# Who asks: a personal access token's id and secret. The secret is better kept out of this file: name an
# environment variable or a file that holds it.
#client_id = "0123456789abcdef0123456789abcdef"
#client_secret_env = "SAIL_CLIENT_SECRET"
# or: client_secret_file = "/run/secrets/harvester"
"""

_TAIL = """

# --- Several clients ---
# They share the list; each has its own token and quota. They stand instead of client_id above.

#[[clients]]
#name = "first"
#client_id = "0123456789abcdef0123456789abcdef"
#client_secret_env = "FIRST_SECRET"

#[[clients]]
#name = "second"
#client_id = "fedcba9876543210fedcba9876543210"
#client_secret_env = "SECOND_SECRET"
#quota = "50/10s"


# --- Profiles ---
# Laid over all above by --profile NAME or HARVESTER_PROFILE. A profile that names clients has those only.

#[profile.sandbox]
#base_url = "http://127.0.0.1:8080"
#client_id = "demo"
#client_secret_env = "SANDBOX_SECRET"
#quota = "none"
"""


def template() -> str:
    """The file's text: valid TOML as it is, and with every `#name = value` line's `#` taken out."""
    return "\n".join([_HEAD, *_sections()]).rstrip("\n") + "\n" + _TAIL


def _sections() -> Iterator[str]:
    for section, title in SECTIONS.items():
        yield f"\n# --- {title} ---"
        for field in FIELDS:
            if field.section == section:
                yield _entry(field)
        if section == "tenant":
            yield _CLIENTS.rstrip("\n")


def _entry(field: Field) -> str:
    default = default_of(field.name)
    words = f"{field.help} One of {', '.join(field.kind.choices)}." if field.kind.choices else field.help
    if default is None and not field.none:
        words += f" Default: {field.unset}."
    elif default == "":
        words += f" Or by {field.unset}."
    about = textwrap.wrap(words, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    return "\n".join(["", *about, f"#{field.name} = {_literal(field, default)}"])


def _literal(field: Field, default: Any) -> str:
    """The default as TOML; where there is none to write, the kind of value stands in its place."""
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, tuple):
        return f'["{field.kind.metavar}"]'
    if isinstance(default, int) and field.show(default).lstrip("-").isdigit() and field.kind.metavar == "N":
        return str(default)
    if default is None:
        return f'"{field.none or field.kind.metavar}"'
    return f'"{field.show(default)}"' if default != "" else f'"{_EXAMPLES.get(field.name, "…")}"'


_EXAMPLES = {"base_url": "https://acme.api.identitynow.com"}
"""For settings without a default, where the word for the kind of value would not do."""
