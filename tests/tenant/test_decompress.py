from __future__ import annotations

import gzip
import resource
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Reason
from harvester.tenant.decompress import BadBody, decompress

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}


@given(st.lists(st.binary(max_size=5000), min_size=1, max_size=6), st.sampled_from(["gzip", "zstd"]))
def test_several_members_make_one_body(pieces: list[bytes], coding: str) -> None:
    """Each member of a gzip body, each frame of a zstd body is unpacked, in order."""
    packed = b"".join(map(CODINGS[coding], pieces))
    assert decompress(packed, coding, 1 << 20) == b"".join(pieces)


@given(st.binary(min_size=1, max_size=3000), st.sampled_from(sorted(CODINGS)), st.data())
def test_a_body_that_is_cut_off_is_never_taken_for_whole(
    plain: bytes, coding: str, data: st.DataObject
) -> None:
    """Wherever a compressed body ends early, that is noticed."""
    packed = CODINGS[coding](plain)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(BadBody) as caught:
        decompress(packed[:cut], coding, 1 << 20)
    assert caught.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_the_unpacked_body_is_bounded(coding: str) -> None:
    """A body over the limit is refused, one at the limit is not."""
    packed = CODINGS[coding](b"y" * 3000)
    assert decompress(packed, coding, 3000) == b"y" * 3000
    with pytest.raises(BadBody, match="larger than 2,999 bytes"):
        decompress(packed, coding, 2999)


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_half_a_gigabyte_unpacked_stays_out_of_memory(coding: str) -> None:
    """What travels as half a megabyte and unpacks to 500 MB costs no more memory than the limit."""
    bomb = CODINGS[coding](bytes(500 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadBody):
        decompress(bomb, coding, 1 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_a_hundred_thousand_tiny_members_take_no_quadratic_time() -> None:
    """Many empty members are passed over one by one, without copying the rest each time."""
    assert (
        decompress(gzip.compress(b"", mtime=0) * 100_000 + gzip.compress(b"[]", mtime=0), "gzip", 1000)
        == b"[]"
    )


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (b"no gzip", "gzip", Reason.TRUNCATED),
        (b"no zstd", "zstd", Reason.TRUNCATED),
        (b"?", "br", Reason.NOT_JSON),
        (gzip.compress(b"[]", mtime=0) + b"junk", "gzip", Reason.TRUNCATED),
        (gzip.compress(b"[]", mtime=0), "deflate", Reason.TRUNCATED),
        (b"", "gzip", Reason.TRUNCATED),
    ],
)
def test_damaged_and_unknown_codings_are_told(body: bytes, coding: str, reason: Reason) -> None:
    """A coding that is damaged, missing or was not asked for is a bad body, not a traceback."""
    with pytest.raises(BadBody) as caught:
        decompress(body, coding, 1000)
    assert caught.value.reason == reason


def test_stacked_bare_and_padded_codings_are_undone() -> None:
    """Codings are undone in reverse order; bare deflate streams and zero padding are understood."""
    packer = zlib.compressobj(wbits=-15)
    bare = packer.compress(b"[]") + packer.flush()
    assert decompress(bare, "deflate", 100) == b"[]"
    stored = b"\0\2\0\xfd\xff[]\1\0\0\xff\xff"
    assert decompress(stored, "deflate", 100) == b"[]"
    assert decompress(gzip.compress(zlib.compress(b"[]"), mtime=0), "deflate, gzip", 100) == b"[]"
    assert (
        decompress(gzip.compress(b"[", mtime=0) + bytes(9000) + gzip.compress(b"]", mtime=0), "x-gzip", 100)
        == b"[]"
    )
    assert decompress(b"[]", "identity, ", 100) == b"[]"
