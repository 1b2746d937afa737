"""Opens an input, reads its bytes as they arrive, and decompresses them.

Nothing here waits for more than the next byte: a list that trickles through a pipe is passed on as
it arrives, also from the middle of a gzip or zstd stream.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from harvester.errors import InputError

STDIN = "-"
CHUNK = 64 * 1024
"""Most bytes asked for at a time: a pipe's usual size, and small beside what a run holds anyway."""

_SLICE = 512
"""Compressed bytes unpacked at a time: four of zstd can become 128 KiB, so this bounds memory at 16 MiB."""

_KINDS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31)),
    b"\x28\xb5\x2f\xfd": ("zstd", lambda: zstandard.ZstdDecompressor().decompressobj()),
}
"""How compressed data begins, what it is called, and what unpacks one member or frame of it."""


def shown(name: str) -> str:
    """How messages name an input: on one line, and printable even if the path is not UTF-8."""
    if name == STDIN:
        return "stdin"
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def check_exists(name: str) -> None:
    """Refuse an input that cannot be read at all, before any input is."""
    if name == STDIN:
        return
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError) as error:
        raise _cannot_read(name, error) from error
    if stat.S_ISDIR(mode):
        hint = f"name the files in it, for example {shown(name).rstrip('/')}/*.txt"
        raise InputError(shown(name), "is a directory, not a list", hint)


@contextmanager
def opened(name: str, stdin: BinaryIO) -> Iterator[Iterator[bytes]]:
    """The decompressed bytes of one input, in chunks as they come. `stdin` is left open."""
    if name == STDIN:
        _make_blocking(stdin)
        yield _decompressed(_chunks(stdin, name), name)
        return
    try:
        file = Path(name).open("rb", buffering=0)  # noqa: SIM115  # closed by the `with` below
    except (OSError, ValueError) as error:
        raise _cannot_read(name, error) from error
    with file:
        yield _decompressed(_chunks(file, name), name)


def _make_blocking(stdin: BinaryIO) -> None:
    """A non-blocking stdin (some parents leave one) would seem to have ended whenever it is merely slow."""
    try:
        descriptor = stdin.fileno()
    except OSError:  # an in-memory stream
        return
    if not os.get_blocking(descriptor):
        os.set_blocking(descriptor, True)


def _chunks(stream: Any, name: str) -> Iterator[bytes]:
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    try:
        while chunk := read(CHUNK):
            yield chunk
    except OSError as error:
        raise _cannot_read(name, error) from error


def _cannot_read(name: str, error: OSError | ValueError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(shown(name), "no such file", "check the path, or give - to read stdin")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError(shown(name), f"cannot be read ({reason})")


def _decompressed(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The first bytes show gzip and zstd, not the name: people rename files."""
    head = b""
    for chunk in chunks:
        head += chunk
        if not any(len(head) < len(magic) and magic.startswith(head) for magic in _KINDS):
            break
    everything = chain((head,) if head else (), chunks)
    for magic, (kind, start) in _KINDS.items():
        if head.startswith(magic):
            return _unpacked(everything, name, kind, start)
    return everything


def _unpacked(chunks: Iterator[bytes], name: str, kind: str, start: Callable[[], Any]) -> Iterator[bytes]:
    """All gzip members or zstd frames; zero bytes between and after them are padding, as gzip has it."""
    stream = start()
    try:
        for chunk in chunks:
            ready = bytearray()
            for at in range(0, len(chunk), _SLICE):
                rest = chunk[at : at + _SLICE]
                while rest := rest.lstrip(b"\0") if stream.eof else rest:
                    stream = start() if stream.eof else stream
                    ready += stream.decompress(rest)
                    rest = stream.unused_data
                if len(ready) >= CHUNK:
                    yield bytes(ready)
                    ready.clear()
            if ready:
                yield bytes(ready)
    except (zlib.error, zstandard.ZstdError) as error:
        hint = "make or fetch the file again"
        raise InputError(shown(name), f"its {kind} data is damaged ({error})", hint) from error
    if not stream.eof:
        hint = "it was cut off: make or fetch it again"
        raise InputError(shown(name), f"ends in the middle of its {kind} data", hint)


def standard_input() -> BinaryIO:
    """The process's stdin, apart from `sys.stdin`, whose lock a thread that still reads it would hold."""
    return open(0, "rb", buffering=0, closefd=False)
