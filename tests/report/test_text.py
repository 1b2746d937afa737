"""Nothing that is shown can act on a terminal, break a word, or give away a secret."""

from __future__ import annotations

import io
import json
from unicodedata import bidirectional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.report.redaction import MASK, Redactor
from harvester.report.text import (
    columns,
    cut,
    is_terminal,
    percent,
    plural,
    rate,
    safe,
    safe_json,
    size,
    span,
    wrap,
)

BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë Ångström 山田", "Zoë Ångström 山田"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x9b1m\x7f", r"\x1b[2J\x9b1m\x7f"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("\u200f\u2066\u2028\ufeff", r"\u200f\u2066\u2028\ufeff"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("a\ud800b", r"a\ud800b"),
        ("a\ufffeb\U0001ffff\ufdd0", r"a\ufffeb\U0001ffff\ufdd0"),
        ("علی\u200cرضا", "علی\u200cرضا"),
    ],
)
def test_what_could_act_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    """Controls, escape sequences, direction marks and separators become visible; scripts stay as they are."""
    assert safe(text) == shown


@given(st.text(st.characters()))
def test_safe_text_is_one_line_without_controls(text: str) -> None:
    """Whatever comes from the tenant: no control, no override of the direction, no line break."""
    shown = safe(text)
    assert len(shown.splitlines()) <= 1
    assert not any(bidirectional(c) in BIDIRECTIONAL or c < " " or "\x7f" <= c < "\xa0" for c in shown)
    assert safe(shown) == shown


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_safe_json_is_the_same_document(text: str) -> None:
    """JSON stays what it says, and is harmless on a terminal, too."""
    document = safe_json(json.dumps({"x": text}, ensure_ascii=False))
    assert json.loads(document) == {"x": text}
    assert safe(document) == document


words = st.lists(st.text("abc-/é.", min_size=1, max_size=30), min_size=1, max_size=40).map(" ".join)


@given(words, st.integers(20, 120), st.integers(0, 18))
def test_wrapping_breaks_no_word(text: str, width: int, indent: int) -> None:
    """Every word is whole, in its order, and only a word that is too long makes a line too long."""
    lines = wrap(text, width, indent)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)


def test_text_is_cut_where_it_must_fit() -> None:
    """The mark shows that something is missing."""
    assert (cut("abcdef", 6), cut("abcdef", 4), cut("abcdef", 1)) == ("abcdef", "abc…", "…")


def test_a_closed_stream_is_no_terminal() -> None:
    """Neither is one without a descriptor, and both are as wide as they like."""
    closed = io.StringIO()
    closed.close()
    assert not is_terminal(closed)
    assert columns(closed) is None
    assert columns(io.StringIO()) is None


@given(st.text(st.characters(), min_size=8, max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_masked_however_it_is_written(secret: str, before: str, after: str) -> None:
    """Plain, in JSON or in a URL, in the middle of anything: nothing of a known secret is left."""
    redact = Redactor([secret])
    assert secret not in redact(f"{before}{secret}{after}").replace(MASK, "")
    assert json.loads(redact(json.dumps({"x": secret})))["x"] == MASK
    assert json.loads(redact(json.dumps({"x": secret}, ensure_ascii=False)))["x"] == MASK
    assert redact(redact(secret)) == redact(secret) == MASK


@pytest.mark.parametrize("password", ["s3cret", "p#a/s?s", "a@b", "x:y", "%C5%82ong", "12/34@5"])
@pytest.mark.parametrize("url", ["http://user:{}@proxy.acme.com:8080", "see https://:{}@proxy/ for it"])
def test_the_password_of_a_url_is_masked_without_being_known(password: str, url: str) -> None:
    """Also where it should have been encoded and was not; the host stays readable."""
    masked = Redactor()(url.format(password))
    assert password not in masked
    assert "proxy" in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        "Proxy-Authorization: Basic abcdefghijklmnopqrstuvwxyz==",
        "token eyJhbGciOiJIUzI1NiJ9.abcdefghijMTJ9.c2lnbmF0dXJl",
        "grant_type=client_credentials&client_secret=abcdefghijklmnopqrstuvwxyz&x=1",
        '{"access_token": "abcdefghijklmnopqrst", "expires_in": 749}',
        "PUT https://x.blob.core.windows.net/a?sv=1&sig=abcdefghijklmnopqrstu&se=2",
        "host=db user=me password=abcdefghijklmnop dbname=x",
        "X-Amz-Signature=abcdefghijklmnop",
    ],
)
def test_what_is_a_secret_anywhere_is_masked_without_being_known(text: str) -> None:
    """Tokens, posted secrets, signed URLs and connection strings."""
    masked = Redactor()(text)
    assert MASK in masked
    assert "abcdefghij" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "the sandbox responds",
        "--proxy password: is not valid",
        "http://127.0.0.1:8080/ab and mail@acme.com",
        "HTTPS_PROXY: the password must be encoded",
        "postgresql://me@host/database",
    ],
)
def test_ordinary_words_stay_readable(text: str) -> None:
    """A mask over what is no secret would hide what a person needs to know."""
    assert Redactor(["sandbox"])(text) == text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (plural(1, "row"), "1 row"),
        (plural(12404, "row"), "12,404 rows"),
        (percent(0.62345), "62.3%"),
        (percent(0.99999), "99.9%"),
        (percent(1.0), "100.0%"),
        (span(0.35), "350 ms"),
        (span(4.21), "4.2 s"),
        (span(9.97), "10 s"),
        (span(59.7), "1 min 00 s"),
        (span(252), "4 min 12 s"),
        (span(7500), "2 h 05 min"),
        (span(273600), "3 d 4 h"),
        (size(512), "512 B"),
        (size(14_200_000), "14.2 MB"),
        (size(3 * 10**15), "3,000.0 TB"),
        (rate(9.94), "9.9/s"),
        (rate(998.2), "998/s"),
        (rate(0.05), "0.05/s"),
        (rate(0), "0.0/s"),
    ],
)
def test_figures_are_short_and_never_more_than_is_true(shown: str, expected: str) -> None:
    """Two units at most, and nothing rounds up to a whole."""
    assert shown == expected
