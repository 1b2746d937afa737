"""The last line of defense: secrets are masked in every line written for people or programs.

No part of the program passes a secret to the log. Should an error of a library quote one all the same,
it is masked here: secrets that are known, and what is a secret wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "[secret]"

_SHORTEST: Final = 8
"""A shorter word is hardly a secret, and masking it would garble sentences (the sandbox's is `sandbox`)."""

# Tokens come and go during a run, but all look alike: a JWT begins with the base64 of `{"`.
_ALWAYS: Final = (
    r"(?:(?<=[Bb]earer )|(?<=[Bb]asic ))[\w.~+/=-]{8,}",
    r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?",
)
_NAMED: Final = re.compile(
    r"""(?ix) ( \b (?: client_secret | access_token | refresh_token | password | passwd | sslpassword | sig
    | aws_secret_access_key | secret_access_key | x-amz-signature | x-amz-security-token )
    (?: = ["']? | ["'] \s? : \s? ["'] ) )
    [^&\s"',;}]+"""
)
"""`client_secret=…` in a form, `"access_token": "…"` in JSON, `sig=…` in a signed URL."""
_USER_INFO: Final = re.compile(r"(://[^\s/@:\"']*:)[^\s\"']+@")
"""The password of a URL, up to the last `@`: passwords that should have been encoded hold `/`, `#` and `?`.

That `host:443/…@…` loses a path is the lesser evil.
"""


class Redactor:
    """Masks the given secrets, plain or encoded for JSON or URLs, and what looks like a secret."""

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        # The longest first: one secret may begin with another.
        known = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*known, *_ALWAYS]))

    def __repr__(self) -> str:
        return "<Redactor>"

    def __call__(self, text: str) -> str:
        """`text` with every secret masked."""
        text = self._pattern.sub(MASK, text)
        return _USER_INFO.sub(rf"\1{MASK}@", _NAMED.sub(rf"\1{MASK}", text))


def _forms(secret: str) -> set[str]:
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe="", errors="surrogatepass"),
        quote_plus(secret, errors="surrogatepass"),
    }
