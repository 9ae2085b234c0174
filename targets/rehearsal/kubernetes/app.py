"""The stand-in's API as an ASGI app; it, its store and its controllers share the event loop."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

import orjson

from targets.rehearsal.asgi import App, Receive, Scope, Send, body_of
from targets.rehearsal.kubernetes.calls import Answer, Stream
from targets.rehearsal.kubernetes.control_plane import ControlPlane
from targets.rehearsal.kubernetes.errors import ApiError, internal
from targets.rehearsal.kubernetes.forwarding import forward
from targets.rehearsal.kubernetes.paths import query_of
from targets.rehearsal.world import World

logger = logging.getLogger(__name__)

# As the real server's limit.
MAX_BODY_BYTES: Final = 3 * 1024 * 1024


def create_app(world: World) -> App:
    """A Kubernetes cluster in a world of its own; its controllers begin with the server."""
    return _App(world)


class _App:
    def __init__(self, world: World) -> None:
        self.plane = ControlPlane(world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await forward(self.plane.cluster, scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = await body_of(receive, MAX_BODY_BYTES)
        given = await self._answer(scope, content)
        if isinstance(given, Stream):
            await _send_stream(given, receive, send)
        else:
            await _send(given, send, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, content: bytes | None) -> Answer | Stream:
        path = (
            unquote(scope["raw_path"].decode("latin-1").partition("?")[0]) if scope.get("raw_path") else scope["path"]
        )
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        try:
            if content is None:
                message = f"Request entity too large: limit is {MAX_BODY_BYTES}"
                raise ApiError(413, "RequestEntityTooLarge", message)
            return await self.plane.gate.answer(scope["method"], path, query_of(pairs), headers_of(scope), content)
        except ApiError as error:
            return Answer(error.status, error.body(), error.headers)
        except Exception:
            # The stand-in lives on: its log has the traceback, its answer is what a real server says of its own.
            logger.exception("unexpected, in %s %s", scope["method"], path)
            fault = internal("the stand-in's log has more")
            return Answer(fault.status, fault.body())

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.plane.begin()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.plane.end()
                await send({"type": "lifespan.shutdown.complete"})
                return


def headers_of(scope: Scope) -> Mapping[str, str]:
    """Of a request, names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def _send(given: Answer, send: Send, *, with_body: bool) -> None:
    text = isinstance(given.body, str)
    content = str(given.body).encode() if text else b"" if given.body is None else orjson.dumps(given.body)
    headers = {
        "content-type": "text/plain; charset=utf-8" if text else "application/json",
        "content-length": str(len(content)),
        "cache-control": "no-cache, private",
        **{name.lower(): value for name, value in given.headers.items()},
    }
    await send({"type": "http.response.start", "status": given.status, "headers": _encoded(headers)})
    if given.cut:
        # A body that is shorter than its length: the server closes the connection, the client sees it cut.
        raise ConnectionAbortedError("cut, as the fault 'drop' wants it")
    await send({"type": "http.response.body", "body": content if with_body else b""})


async def _send_stream(given: Stream, receive: Receive, send: Send) -> None:
    """Piece by piece, until it ends or its reader goes."""
    headers = {"content-type": "application/json", "cache-control": "no-cache, private", **given.headers}
    await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
    gone = asyncio.ensure_future(_gone(receive))
    pieces = given.pieces
    coming = asyncio.ensure_future(anext(pieces, None))
    try:
        while True:
            await asyncio.wait({gone, coming}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                break
            piece = await coming
            if piece is None:
                break
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            coming = asyncio.ensure_future(anext(pieces, None))
    finally:
        for task in (gone, coming):
            task.cancel()
        await asyncio.gather(gone, coming, return_exceptions=True)
        await pieces.aclose()  # type: ignore[attr-defined]  # they are generators, which end what they hold
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
