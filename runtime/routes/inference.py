"""One inference request of any dialect: a place in the queue, the body, the run, and the limits on all of them."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from runtime.codec.binary import Body
from runtime.codec.compression import decompressor
from runtime.errors import BodyTimeout, RunTimeout
from runtime.routes.answers import read_body
from runtime.routes.dialects import Answered, Ask, Dialect
from runtime.routes.observing import sample
from runtime.routes.serving import Serving
from runtime.telemetry import dialect_of

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation, OnnxModel

MIB = 1 << 20


async def answer(serving: Serving, request: Request, find: "Callable[[], OnnxModel]", dialect: Dialect) -> Response:
    """The model's answer, made in a thread: large bodies must not hold up the event loop.

    Raises:
        UnknownModel, ModelNotReady: As ``find`` does.
        EncodingRefused: The body is in a form or a compression that is not read.
        Overloaded: No place is free; the body is not read then.
        BodyTimeout, BodyTooLarge, InvalidInput: The body did not come, or is too large or damaged in its compression.
        RunTimeout: The answer took too long; the run is told to stop.
    """
    settings = serving.settings
    limit_s, limit_bytes = settings.request_timeout_s, settings.max_body_mib * MIB
    read = dialect(request.headers)
    request.state.model = model = find()
    expand = decompressor(request.headers.get("content-encoding"), limit_bytes=limit_bytes)

    def work(cancellation: "Cancellation") -> Answered:
        return run(model, read(content if expand is None else expand(bytes(content)), model.manifest), cancellation)

    body: Body | None = None
    with serving.queue.enter() as place:
        try:
            async with asyncio.timeout(limit_s):
                body = content = await read_body(request, limit_bytes=limit_bytes)
                request.state.answered = answered = await place.run(work)
        except TimeoutError:
            raise late(model.manifest.name, limit_s, arrived=body is not None) from None
    sample(serving, model, answered, dialect=dialect_of(request.url.path), request_id=request.state.request_id)
    reply = answered.reply
    return Response(reply.body, media_type=reply.media_type, headers=dict(reply.headers))


def run(model: "OnnxModel", asked: Ask, cancellation: "Cancellation | None" = None) -> Answered:
    """The answer to a request that has been read; blocks."""
    began = time.time_ns()
    outputs = model.run(asked.inputs, asked.outputs, cancellation=cancellation)
    ended = time.time_ns()
    return Answered(asked.reply(outputs), asked.inputs, outputs, (began, ended))


def late(model: str, limit_s: float, *, arrived: bool) -> BodyTimeout | RunTimeout:
    """The error about a request that took too long, before or after its body had arrived."""
    if not arrived:
        return BodyTimeout(f"the body did not arrive within {limit_s:g} s")
    hint = "send fewer rows at a time, or raise DRAY_REQUEST_TIMEOUT_S"
    return RunTimeout(f"the model {model!r} did not answer within {limit_s:g} s", hint=hint)
