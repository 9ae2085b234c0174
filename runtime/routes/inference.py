"""One inference request of any dialect: a place in the queue, the body, the run, and the limits on all of them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request

from runtime.errors import BodyTimeout, RunTimeout
from runtime.routes.answers import read_body
from runtime.routes.serving import Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation

_MIB = 1 << 20


async def answer(
    serving: Serving, request: Request, name: str, work: "Callable[[bytes, Cancellation], bytes]"
) -> bytes:
    """What ``work`` makes of the request's body, in a thread: large bodies must not hold up the event loop.

    Args:
        name: Of the model, for errors.

    Raises:
        Overloaded: No place is free; the body is not read then.
        BodyTimeout, BodyTooLarge, EncodingRefused: The body did not come, or not in a form that is read.
        RunTimeout: The answer took too long; the run is told to stop.
    """
    limit_s = serving.settings.request_timeout_s
    body: bytes | None = None
    with serving.queue.enter() as place:
        try:
            async with asyncio.timeout(limit_s):
                body = await read_body(request, limit_bytes=serving.settings.max_body_mib * _MIB)
                return await place.run(_bound(work, body))
        except TimeoutError:
            if body is None:
                raise BodyTimeout(f"the body did not arrive within {limit_s:g} s") from None
            hint = "send fewer rows at a time, or raise DRAY_REQUEST_TIMEOUT_S"
            raise RunTimeout(f"the model {name!r} did not answer within {limit_s:g} s", hint=hint) from None


def _bound(work: "Callable[[bytes, Cancellation], bytes]", body: bytes) -> "Callable[[Cancellation], bytes]":
    return lambda cancellation: work(body, cancellation)
