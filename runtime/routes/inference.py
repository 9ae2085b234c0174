"""One inference request of any dialect: a place in the queue, the body, the run, and the limits on all of them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import Request

from runtime.codec.compression import decompressor
from runtime.errors import BodyTimeout, RunTimeout
from runtime.routes.answers import read_body
from runtime.routes.serving import Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation

_MIB = 1 << 20
_T = TypeVar("_T")


async def answer(serving: Serving, request: Request, name: str, work: "Callable[[bytes, Cancellation], _T]") -> _T:
    """What ``work`` makes of the request's body, in a thread: large bodies must not hold up the event loop.

    Args:
        name: Of the model, for errors.

    Raises:
        EncodingRefused: The body is in a compression that is not read.
        Overloaded: No place is free; the body is not read then.
        BodyTimeout, BodyTooLarge, InvalidInput: The body did not come, or is too large or damaged in its compression.
        RunTimeout: The answer took too long; the run is told to stop.
    """
    settings = serving.settings
    limit_s, limit_bytes = settings.request_timeout_s, settings.max_body_mib * _MIB
    expand = decompressor(request.headers.get("content-encoding"), limit_bytes=limit_bytes)
    body: bytes | None = None
    with serving.queue.enter() as place:
        try:
            async with asyncio.timeout(limit_s):
                body = await read_body(request, limit_bytes=limit_bytes)
                return await place.run(_bound(work, body, expand))
        except TimeoutError:
            if body is None:
                raise BodyTimeout(f"the body did not arrive within {limit_s:g} s") from None
            hint = "send fewer rows at a time, or raise DRAY_REQUEST_TIMEOUT_S"
            raise RunTimeout(f"the model {name!r} did not answer within {limit_s:g} s", hint=hint) from None


def _bound(
    work: "Callable[[bytes, Cancellation], _T]", body: bytes, expand: Callable[[bytes], bytes] | None
) -> "Callable[[Cancellation], _T]":
    return lambda cancellation: work(body if expand is None else expand(body), cancellation)
