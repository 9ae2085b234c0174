"""The stand-in's API as an ASGI app: requests in, answers out; what blocks is done in threads."""

import json
import logging
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote

from targets.rehearsal.arm.calls import Answer, Call
from targets.rehearsal.arm.cloud import Cloud
from targets.rehearsal.arm.errors import ArmError, internal
from targets.rehearsal.arm.gate import answer
from targets.rehearsal.world import World

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A body of ARM's is at most 4 MB.
MAX_BODY_BYTES = 4 * 1024 * 1024
_THREADS = 32


def create_app(world: World) -> App:
    """The ARM API that container groups need, over a world of its own."""
    return _App(Cloud(world))


class _App:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="arm")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            content = await _content(receive)
            call = _call(scope, content)
            given = await get_running_loop().run_in_executor(self._threads, self._answer, call)
            await _send(call, given, send)

    def _answer(self, call: Call) -> Answer:
        try:
            return answer(self.cloud, call)
        except ArmError as error:
            return _refusal(error)
        except Exception:
            # The stand-in lives on: its log has the traceback, its answer is what Azure says of its own faults.
            logger.exception("unexpected, in %s %s", call.method, call.path)
            return _refusal(internal(call.activity, call.correlation))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await get_running_loop().run_in_executor(self._threads, self.cloud.end)
                self._threads.shutdown(wait=False, cancel_futures=True)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _refusal(error: ArmError) -> Answer:
    return Answer(error.status, error.body(), error.headers)


async def _content(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body", False) or sum(map(len, parts)) > MAX_BODY_BYTES:
            break
    return b"".join(parts)


def _call(scope: Scope, content: bytes) -> Call:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    given = headers.get("x-ms-correlation-request-id")
    host = headers.get("host", "")
    call = Call(
        method=scope["method"],
        path=unquote(scope["raw_path"].decode("latin-1").partition("?")[0]) if scope.get("raw_path") else scope["path"],
        origin=f"{scope['scheme']}://{host}",
        query={name.lower(): value for name, value in query.items()},
        headers=headers,
        content=content,
    )
    return replace(call, correlation=given) if given else call


async def _send(call: Call, given: Answer, send: Send) -> None:
    content = b"" if given.body is None or given.status == 204 else json.dumps(given.body).encode()
    headers = {
        "content-length": str(len(content)),
        "cache-control": "no-cache",
        "pragma": "no-cache",
        "expires": "-1",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-ms-request-id": call.activity,
        "x-ms-correlation-request-id": call.correlation,
        "x-ms-routing-request-id": f"REHEARSAL:{call.activity}",
        **{name.lower(): value for name, value in given.headers.items()},
    }
    if content:
        headers["content-type"] = "application/json; charset=utf-8"
    if call.headers.get("x-ms-client-request-id") and call.headers.get("x-ms-return-client-request-id") == "true":
        headers["x-ms-client-request-id"] = call.headers["x-ms-client-request-id"]
    await send({"type": "http.response.start", "status": given.status, "headers": _encoded(headers)})
    if given.cut:
        # An answer that ends before its length: the server closes the connection, and the client sees it cut.
        return
    await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else content})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
