"""The scikit-learn version that a pickle says it was saved with, read as data: nothing is loaded.

Every estimator of scikit-learn carries ``_sklearn_version`` in its state. joblib puts the bytes of arrays, which are no
opcodes, between those of the pickle; so the key is looked for, and the opcodes are read from there.
"""

import bz2
import lzma
import pickletools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

# The key as each protocol writes a string; it is not interesting without the opcode that makes it one.
_KEY = b"_sklearn_version"
_LOADS_KEY = re.compile(
    rb"(?:\x8c\x10|X\x10\0\0\0|U\x10|\x8d\x10\0\0\0\0\0\0\0|V)_sklearn_version|S['\"]_sklearn_version"
)
_LONGEST_PREFIX = 9
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING"}
_BETWEEN = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "FRAME"}
_WINDOW = 512
_CHUNK = 1 << 20
# What a small file may grow to while it is searched, and how much memory its dictionary may take.
MAX_DECOMPRESSED = 2 << 30
_LZMA_MEMORY = 256 << 20


def recorded_version(path: Path, *, limit: int = MAX_DECOMPRESSED) -> str | None:
    """The version that the first estimator in a pickle or joblib file carries, exactly as it stands there.

    Args:
        limit: Bytes to decompress at most; what lies beyond is not searched.

    Returns:
        None where the file names none, is not a pickle, or ends too early; who loads it will say so.
    """
    tail = b""
    try:
        with path.open("rb") as stream:
            for block in _plain(stream, limit):
                window = tail + block
                if (version := _search(window)) is not None:
                    return version
                tail = window[-_WINDOW - _LONGEST_PREFIX :]
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        return None
    return _search(tail, final=True)


def _search(window: bytes, *, final: bool = False) -> str | None:
    """The version after the first key in ``window`` that lies wholly in it."""
    at = window.find(_KEY)
    while at >= 0 and (final or at + _WINDOW <= len(window)):
        found = _LOADS_KEY.search(window, max(0, at - _LONGEST_PREFIX), at + len(_KEY))
        if found and (version := _value(window[found.start() : at + _WINDOW])) is not None:
            return version
        at = window.find(_KEY, at + 1)
    return None


def _value(code: bytes) -> str | None:
    """The string that the opcodes load after the key."""
    try:
        opcodes = pickletools.genops(code)
        next(opcodes)
        for opcode, argument, _ in opcodes:
            if opcode.name not in _BETWEEN:
                return argument if opcode.name in _STRINGS and isinstance(argument, str) else None
    except (ValueError, StopIteration):  # cut off, or no opcodes at all
        return None
    return None


def _plain(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    """The content in blocks, decompressed as joblib would."""
    head = stream.read(8)
    stream.seek(0)
    if _decompressor(head) is None:
        while block := stream.read(_CHUNK):
            yield block
        return
    left = limit
    for block in _decompressed(stream, head):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def _decompressed(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """Every member of a compressed file, at most ``_CHUNK`` bytes at a time."""
    pending = stream.read(_CHUNK)
    while pending and (decompressor := _decompressor(pending[:8])):
        while not decompressor.eof:
            block = decompressor.decompress(pending, _CHUNK)
            # zlib hands back what it has not looked at yet; bz2 and lzma keep it.
            pending = getattr(decompressor, "unconsumed_tail", b"")
            if block:
                yield block
            elif not pending and not decompressor.eof:
                pending = stream.read(_CHUNK)
                if not pending:
                    return
        pending = decompressor.unused_data + (stream.read(_CHUNK) if len(decompressor.unused_data) < len(head) else b"")


def _decompressor(head: bytes) -> Any:
    """What undoes the compression that these first bytes announce, or None. Source: joblib.compressor."""
    if head.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    if head.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    if head.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    if head[:1] == b"x" and len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0:
        return zlib.decompressobj()
    return None
