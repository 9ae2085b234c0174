"""Servers of gateways and ingresses: each request goes to a pod of the backend whose turn it is."""

import asyncio
import logging
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import httpx

from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.service_fronts import backends
from targets.rehearsal.kubernetes.traffic import Backend, Rule, Splitter, find

if TYPE_CHECKING:
    import uvicorn

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PATIENCE_S: Final = 60.0
_BACKLOG: Final = 128
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a listener of HTTPS shows, as PEM."""

    chain: bytes
    key: bytes = field(repr=False)


class HttpFront:
    """Listens on one address and port; its rules may change at any time."""

    def __init__(self, cluster: Cluster, rules: Callable[[], Sequence[Rule]]) -> None:
        self._cluster = cluster
        self._rules = rules
        self._splitter = Splitter()
        self._turns: dict[Backend, count[int]] = {}
        # Without kept connections, none of which ends with a pod while a request is on its way.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False, limits=limits)
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, address: str, port: int, certificate: Certificate | None) -> None:
        """Raises OSError: the port cannot be had."""
        listener = socket.create_server((address, port), backlog=_BACKLOG)
        self._server = _server(self, certificate)
        self._task = asyncio.ensure_future(self._server.serve(sockets=[listener]))

    async def end(self) -> None:
        """Let what is under way finish, and listen no more."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        host = headers.get("host", "").partition(":")[0]
        rule = find(self._rules(), host, scope["path"], scope["method"], headers, query)
        content = [piece async for piece in _body(receive)]
        if rule is None:
            await _refuse(send, 404)
            return
        backend = self._splitter.choose(rule)
        if backend is None or not backend.known:
            await _refuse(send, 500)
            return
        await self._pass_on(scope, rule, backend, b"".join(content), send)

    async def _pass_on(self, scope: Scope, rule: Rule, backend: Backend, content: bytes, send: Send) -> None:
        pods = backends(self._cluster, backend.service, backend.port)
        first = next(self._turns.setdefault(backend, count()))
        for step in range(len(pods)):
            address, port = pods[(first + step) % len(pods)]
            request = self._request(scope, rule, f"{address}:{port}", content)
            try:
                answer = await self._client.send(request, stream=True)
            except httpx.ConnectError:
                # It went this moment; the next one has the turn.
                continue
            except httpx.HTTPError as error:
                logger.debug("a pod behind a gateway did not answer: %s", error)
                await _refuse(send, 504 if isinstance(error, httpx.TimeoutException) else 502)
                return
            await _relay(answer, send)
            return
        await _refuse(send, 503)

    def _request(self, scope: Scope, rule: Rule, where: str, content: bytes) -> httpx.Request:
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.decode("latin-1").lower() not in _HOP_BY_HOP
        ]
        changed = {name for name, _ in rule.set_headers}
        headers = [(name, value) for name, value in headers if name.lower() not in changed]
        headers += [(name, value) for name, value in rule.set_headers if value]
        client = (scope.get("client") or ("",))[0]
        headers += [("x-forwarded-for", client), ("x-forwarded-proto", scope["scheme"])]
        url = f"http://{where}{path}" + (f"?{query}" if query else "")
        return self._client.build_request(scope["method"], url, headers=headers, content=content)


async def _relay(answer: httpx.Response, send: Send) -> None:
    headers = [(name, value) for name, value in answer.headers.raw if name.decode("latin-1").lower() not in _HOP_BY_HOP]
    try:
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        async for piece in answer.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _server(app: HttpFront, certificate: Certificate | None) -> "uvicorn.Server":
    import uvicorn

    class Server(uvicorn.Server):
        """Without signal handlers: it is one of several in its process."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    options: dict[str, Any] = {
        "lifespan": "off", "ws": "none", "log_config": None, "access_log": False, "server_header": False,
        "date_header": False, "timeout_graceful_shutdown": 2, "proxy_headers": False,
    }  # fmt: skip
    if certificate is None:
        return Server(uvicorn.Config(app, **options))
    with tempfile.TemporaryDirectory(prefix="dray-gateway-") as folder:
        chain, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        for path, content in ((chain, certificate.chain), (key, certificate.key)):
            path.touch(mode=0o600)
            path.write_bytes(content)
        config = uvicorn.Config(app, ssl_certfile=str(chain), ssl_keyfile=str(key), **options)
        # Reads the files, which go now.
        config.load()
        return Server(config)
