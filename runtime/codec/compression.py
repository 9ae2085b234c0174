"""Compressed request bodies: gzip and deflate, never larger inside than a body may be."""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Final

from runtime.errors import BodyTooLarge, EncodingRefused, InvalidInput

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS


def decompressor(encoding: str | None, *, limit_bytes: int) -> Callable[[bytes], bytes] | None:
    """What undoes a Content-Encoding; None where there is none.

    The function raises BodyTooLarge before more than ``limit_bytes`` are there, and InvalidInput for damaged bytes.

    Raises:
        EncodingRefused: One that is not read.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return None
    if name not in ("gzip", "x-gzip", "deflate"):
        raise EncodingRefused(
            f"the body has the content encoding {encoding!r}, which is not read here",
            hint="send it with gzip or deflate, or uncompressed",
        )
    return partial(_inflate if name == "deflate" else _gunzip, limit_bytes=limit_bytes)


def too_large(size: str, limit_bytes: int) -> BodyTooLarge:
    """The error about a body beyond its limit."""
    return BodyTooLarge(
        f"the body has {size} bytes, the limit is {limit_bytes}",
        hint="send fewer rows at a time, or raise DRAY_MAX_BODY_MIB",
        detail={"limit_bytes": limit_bytes},
    )


def _gunzip(body: bytes, *, limit_bytes: int) -> bytes:
    """A gzip file may have several members, one after the other. Source: RFC 1952, section 2.2."""
    parts, left = [], limit_bytes
    while body:
        part, body = _expanded(body, _GZIP, left, limit_bytes)
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _inflate(body: bytes, *, limit_bytes: int) -> bytes:
    """With zlib's header as RFC 9110 has it, or without, as some clients send it."""
    headed = len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    part, rest = _expanded(body, zlib.MAX_WBITS if headed else _RAW, limit_bytes, limit_bytes)
    if rest:
        raise InvalidInput(f"the body goes on for {len(rest)} bytes behind the end of its compression")
    return part


def _expanded(body: bytes, window: int, left: int, limit_bytes: int) -> tuple[bytes, bytes]:
    engine = zlib.decompressobj(window)
    try:
        part = engine.decompress(body, left + 1)  # one more than may be there: 0 would mean without a bound
    except zlib.error as error:
        raise InvalidInput(f"the body is not in the compression that its header names: {error}") from error
    if len(part) > left:
        raise too_large(f"more than {limit_bytes}", limit_bytes)
    if not engine.eof:
        raise InvalidInput("the body is cut off inside its compression")
    return part, engine.unused_data
