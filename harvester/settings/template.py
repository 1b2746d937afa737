"""A configuration file with every setting, made from the table: nothing can be missing in it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from harvester.settings.setting import Setting
from harvester.settings.settings import SECTIONS, TABLE

_WIDTH = 98

_HEAD = """\
# harvester: every setting with its default. Remove the # in front of a line to change it.
#
# Precedence: a flag (--page-size), an environment variable (HARVESTER_PAGE_SIZE), this file (page_size),
# the default. harvester reads the file that --config or HARVESTER_CONFIG names, else ./harvester.toml,
# else $XDG_CONFIG_HOME/account-usage-harvester/config.toml (XDG_CONFIG_HOME is ~/.config if not set).
#
# Paths are relative to the working directory; ~ is the home directory. Durations are seconds or have
# units: 90s, 2h30m, 1d.
"""

_CLIENTS = """
# Credentials: one client (ID and secret of a personal access token), or several, further down. Without
# either, harvester looks at the environment (SAIL_CLIENT_ID and SAIL_CLIENT_SECRET, or
# SAIL_ACCESS_TOKEN; both secrets also as …_FILE), then ./config.json, then ~/.sailpoint/config.yaml with
# the system keyring. Keep the secret out of this file: name an environment variable or a file that
# holds it. If none is named, SAIL_CLIENT_SECRET is used.
#client_id = "0123456789abcdef0123456789abcdef"
#client_secret_env = "SAIL_CLIENT_SECRET"
# or: client_secret_file = "/run/secrets/harvester"
# or: client_secret = "…", and then chmod 600 this file
# or a token that something else renews: access_token_file, access_token_env, access_token
"""

_TAIL = """

# --- Several clients ---
# They share the list; each has its own token and quota. They replace client_id above. --clients FILE
# names a file with nothing but such tables.

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
# Laid over all above by --profile NAME or HARVESTER_PROFILE. A profile that names clients has only those.

#[profile.sandbox]
#base_url = "http://127.0.0.1:8080"
#client_id = "demo"
#client_secret_env = "SANDBOX_SECRET"
#quota = "none"
"""


def template() -> str:
    """The file's text: valid TOML as it is, and with the # of every ``#name = value`` line removed."""
    return "\n".join([_HEAD, *_sections()]).rstrip("\n") + "\n" + _TAIL


def _sections() -> Iterator[str]:
    for section, title in SECTIONS.items():
        yield f"\n# --- {title} ---"
        yield from (_entry(one) for one in TABLE if one.section == section and one.name != "clients")
        if section == "connection":
            yield _CLIENTS.rstrip("\n")


def _entry(one: Setting) -> str:
    about = one.help
    if "|" in one.kind.metavar and one.kind.choices:
        about += f" One of {', '.join(one.kind.choices)}."
    if one.unset:
        about += f" Default: {one.unset}."
    lines = textwrap.wrap(about, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    return "\n".join(["", *lines, f"#{one.name} = {_literal(one)}"])


def _literal(one: Setting) -> str:
    """The default as TOML; if there is none to write, an example."""
    default = one.default
    if default in (None, "", ()):
        written = one.example if not one.none else one.none
        return json.dumps([written] if default == () and written else written or [], ensure_ascii=False)
    shown = one.show(default)
    plain = isinstance(default, (bool, tuple)) or (isinstance(default, int) and shown == str(default))
    return json.dumps(default if plain else shown, ensure_ascii=False)
