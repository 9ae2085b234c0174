"""Port forwarding over a web socket, as the official clients do it (``v4.channel.k8s.io``).

Each port has two channels: data both ways, and errors. The first message on each holds the port's number.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

from targets.rehearsal.kubernetes import errors, resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.paths import Place, place_of
from targets.rehearsal.kubernetes.store import Object

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOCOL: Final = "v4.channel.k8s.io"
_CHUNK: Final = 1 << 16
_CONNECT_S: Final = 5.0
_MAX_PORTS: Final = 128


async def forward(cluster: Cluster, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one web socket, or refuse it."""
    from targets.rehearsal.kubernetes.gate import authorise  # the gate knows all that serves

    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    await receive()
    try:
        authorise(cluster.world, headers)
        address, ports = _asked(cluster, place_of(scope["path"]), scope)
        if PROTOCOL not in scope.get("subprotocols", ()):
            raise errors.bad_request(f"unable to negotiate protocol: client supports {scope.get('subprotocols')}")
    except errors.ApiError as error:
        await _refuse(error, scope, send)
        return
    await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
    await _Forwarding(address, ports, send).serve(receive)


def _asked(cluster: Cluster, place: Place, scope: Scope) -> tuple[str, list[int]]:
    if place.resource != resources.PODS or place.subresource != "portforward":
        raise errors.bad_request("a web socket here can only forward ports of a pod")
    pod = cluster.store.get(resources.PODS, place.namespace, place.name)
    if pod is None:
        raise errors.not_found(resources.PODS, place.name)
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    ports = [int(each) for name, value in query if name == "ports" for each in value.split(",") if each.isdecimal()]
    if not ports or len(ports) > _MAX_PORTS:
        raise errors.bad_request('query parameter "ports" is required')
    return _address(pod), ports


def _address(pod: Object) -> str:
    status = pod.get("status", {})
    if status.get("phase") != "Running":
        phase = status.get("phase", "Pending")
        raise errors.bad_request(f"unable to forward port because pod is not running. Current status={phase}")
    return str(status["podIP"])


async def _refuse(error: errors.ApiError, scope: Scope, send: Send) -> None:
    import orjson

    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": orjson.dumps(error.body())})


class _Forwarding:
    def __init__(self, address: str, ports: list[int], send: Send) -> None:
        self._address = address
        self._ports = ports
        self._send = send
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._readers: list[asyncio.Task[None]] = []

    async def serve(self, receive: Receive) -> None:
        """Until the client or all pods' ends have gone."""
        try:
            for index in range(len(self._ports)):
                await self._open(index)
            while (message := await receive())["type"] == "websocket.receive":
                content = message.get("bytes") or b""
                if len(content) > 1:
                    await self._take(content[0], content[1:])
        except OSError as error:
            logger.debug("a forwarded port ended: %s", error)
        finally:
            for task in self._readers:
                task.cancel()
            for writer in self._writers.values():
                writer.close()

    async def _open(self, index: int) -> None:
        port = self._ports[index]
        for channel in (2 * index, 2 * index + 1):
            await self._message(channel, port.to_bytes(2, "little"))
        try:
            connecting = asyncio.open_connection(self._address, port, limit=_CHUNK)
            reader, writer = await asyncio.wait_for(connecting, _CONNECT_S)
        except (OSError, TimeoutError):
            words = f"error forwarding port {port} to pod: connect to {self._address}:{port}: connection refused"
            await self._message(2 * index + 1, words.encode())
            return
        self._writers[2 * index] = writer
        self._readers.append(asyncio.ensure_future(self._pass_on(2 * index, reader)))

    async def _take(self, channel: int, content: bytes) -> None:
        writer = self._writers.get(channel)
        if writer is not None:
            writer.write(content)
            await writer.drain()

    async def _pass_on(self, channel: int, reader: asyncio.StreamReader) -> None:
        while content := await reader.read(_CHUNK):
            await self._message(channel, content)
        if all(task.done() or task is asyncio.current_task() for task in self._readers):
            await self._send({"type": "websocket.close", "code": 1000})

    async def _message(self, channel: int, content: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": bytes([channel]) + content})
