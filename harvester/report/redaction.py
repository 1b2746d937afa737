"""The last line of defence: secrets are masked in every line that is written for people or machines.

No part of the program hands a secret to the log. Should an error of a library quote one all the same,
it is masked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

from harvester.settings.model import Client

MASK: Final = "[secret]"

_SHORTEST = 8
"""A shorter secret is none, and masking it would garble common words (the sandbox's is its own name)."""

# Tokens come and go during a run, but all look alike: a JWT begins with the base64 of `{"`.
_ALWAYS = (
    r"(?:(?<=[Bb]earer )|(?<=[Bb]asic ))[\w.~+/=-]{8,}",
    r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?",
    r"(?<=client_secret=)[^&\s\"']+",
)


class Redactor:
    """Masks the given secrets, plain or encoded for JSON or URLs, and what looks like a token."""

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        # The longest first: one secret may begin with another.
        known = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*known, *_ALWAYS]))

    @classmethod
    def of(cls, clients: Iterable[Client]) -> Redactor:
        """Masks what the clients hold: secrets and ready tokens."""
        return cls(secret for c in clients for secret in (c.client_secret, c.access_token))

    def __repr__(self) -> str:
        return "<Redactor>"

    def __call__(self, text: str) -> str:
        """`text` with every secret masked."""
        return self._pattern.sub(MASK, text)


def _forms(secret: str) -> set[str]:
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe="", errors="surrogatepass"),
        quote_plus(secret, errors="surrogatepass"),
    }
