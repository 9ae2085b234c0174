"""Inference requests answered below ASGI: by the protocol that parsed them, in the turn of the loop in which they came.

uvicorn's own protocol goes on to do all else: parsing, pipelining, keep-alive, flow control, and every other path. A
request here stands in its queue as one of its cycles does. The answer, errors and headers included, is made by the
functions that FastAPI's routes call, so that nobody can tell which way it went; ``tests/runtime/test_one_behaviour.py``
asks both.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.app import admits, error_response, marks, request_id_of, unauthorised, unforeseen
from runtime.codec.compression import decompressor, too_large
from runtime.contract.errors import DrayError
from runtime.engine.queue import Place
from runtime.routes.dialects import Ask, Read, Reply
from runtime.routes.inference import MIB, late
from runtime.routes.serving import Serving
from runtime.server.hot_routes import HotRoute, HotRoutes

logger = logging.getLogger(__name__)

# Bodies above these are read in a thread: JSON takes some 6 ms a megabyte, binary tensors nearly nothing.
_INLINE_JSON: Final = 32 << 10
_INLINE_BINARY: Final = 1 << 20
_MARK_NAMES: Final = frozenset({b"x-request-id", b"x-ms-client-request-id", b"connection"})


class _NoEvent:
    """In the place of the event that wakes an ASGI application: there is none here."""

    def set(self) -> None:
        """Nobody waits."""


class FastCycle:
    """One request, in the place of uvicorn's RequestResponseCycle; the names that uvicorn uses are its."""

    message_event: Final = _NoEvent()

    def __init__(
        self, protocol: "FastProtocol", route: HotRoute, headers: Mapping[bytes, bytes], *, keep_alive: bool
    ) -> None:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.more_body = True
        self.response_complete = False
        self._protocol = protocol
        self._route = route
        self._headers = headers
        self._began = time.perf_counter()
        self._chunks: list[bytes] = []
        self._size = 0
        self._request_id = ""
        self._started = False
        self._read: Read | None = None
        self._expand: Callable[[bytes], bytes] | None = None
        self._place: Place | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # --- what the protocol tells

    def start(self) -> None:
        """It is this request's turn: check what its head says, and answer if its body is there."""
        self._started = True
        self._busy().add(self)
        serving = self._protocol.serving
        self._request_id = request_id_of(self._headers)
        try:
            if not admits(serving.keys, self._headers.get(b"authorization", b"")):
                raise unauthorised()
            limit_bytes = serving.settings.max_body_mib * MIB
            texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers.items()}
            self._read = self._route.dialect(texts)
            self._expand = decompressor(texts.get("content-encoding"), limit_bytes=limit_bytes)
            self._place = serving.queue.enter()
            announced = texts.get("content-length", "")
            if announced.isascii() and announced.isdigit() and int(announced) > limit_bytes:
                raise too_large(announced, limit_bytes)
            if self._size > limit_bytes:
                raise too_large(f"more than {limit_bytes}", limit_bytes)
        except DrayError as error:
            self._fail(error)
            return
        if not self.more_body:
            self._answer()

    def take(self, chunk: bytes) -> None:
        """A part of the body."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        limit_bytes = self._protocol.serving.settings.max_body_mib * MIB
        if self._size > limit_bytes:
            self._chunks.clear()
            if self._started:
                self._fail(too_large(f"more than {limit_bytes}", limit_bytes))

    def end(self) -> None:
        """The body is whole."""
        self.more_body = False
        if self._started and not self.response_complete:
            self._answer()

    def wait(self) -> None:
        """The body is not whole yet: it has until the time limit."""
        if self._timer is None and self._started and not self.response_complete:
            limit_s = self._protocol.serving.settings.request_timeout_s
            left_s = max(0.0, limit_s - (time.perf_counter() - self._began))
            self._timer = self._protocol.loop.call_later(left_s, self._too_late)

    def lose(self) -> None:
        """The client has left."""
        self.disconnected = True
        if self._task is not None:
            self._task.cancel()
        if self._started and not self.response_complete:
            self._finish(499)

    def _busy(self) -> set[Any]:
        """What the server waits for when it drains: it asks only whether there is any."""
        return self._protocol.tasks

    # --- the answer

    def _answer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        batcher = self._route.batcher
        binary = b"inference-header-content-length" in self._headers
        inline = len(body) <= (_INLINE_BINARY if binary else _INLINE_JSON) and self._expand is None
        if batcher is None or not inline or self._read is None:
            self._task = self._protocol.loop.create_task(self._in_thread(body))
            return
        try:
            asked = self._read(body, self._route.model.manifest)
            self._route.model.check(asked.inputs)  # before it meets others in a batch
        except DrayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a bug must not take the connection down
            self._fail_unforeseen(error)
        else:
            batcher.submit(
                asked.inputs, asked.outputs, done=lambda came: self._done(asked, came), gone=lambda: self.disconnected
            )

    def _done(self, asked: Ask, came: "Mapping[str, Any] | Exception") -> None:
        if self.response_complete:
            return
        try:
            if isinstance(came, Exception):
                raise came
            reply = asked.reply(came)
        except DrayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a bug must not take the connection down
            self._fail_unforeseen(error)
        else:
            self._send(reply)

    async def _in_thread(self, body: bytes) -> None:
        model, read, expand, place = self._route.model, self._read, self._expand, self._place
        limit_s = self._protocol.serving.settings.request_timeout_s
        if read is None or place is None:
            return

        def work(cancellation: Any) -> Reply:
            asked = read(body if expand is None else expand(body), model.manifest)
            return asked.reply(model.run(asked.inputs, asked.outputs, cancellation=cancellation))

        try:
            async with asyncio.timeout(max(0.0, limit_s - (time.perf_counter() - self._began))):
                reply = await place.run(work)
        except TimeoutError:
            self._fail(late(model.manifest.name, limit_s, arrived=True))
        except DrayError as error:
            self._fail(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not take the connection down
            self._fail_unforeseen(error)
        else:
            self._send(reply)

    def _too_late(self) -> None:
        limit_s = self._protocol.serving.settings.request_timeout_s
        self._fail(late(self._route.model.manifest.name, limit_s, arrived=False))

    def _fail_unforeseen(self, error: Exception) -> None:
        logger.error("unforeseen failure", exc_info=error)
        self._fail(unforeseen(self._request_id))

    def _fail(self, error: DrayError) -> None:
        response = error_response(error, self._request_id)
        own = [(name, value) for name, value in response.raw_headers if name not in _MARK_NAMES]
        self._write(response.status_code, own, bytes(response.body))

    def _send(self, reply: Reply) -> None:
        headers = [
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()),
            (b"content-length", b"%d" % len(reply.body)),
            (b"content-type", reply.media_type.encode("latin-1")),
        ]
        self._write(200, headers, reply.body)

    def _write(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self.disconnected or self.response_complete:
            self._finish(status)
            return
        protocol = self._protocol
        marked = marks(self._headers, self._request_id, draining=protocol.serving.closing)
        if protocol.serving.closing:
            self.keep_alive = False
        elif not self.keep_alive:
            marked.append((b"connection", b"close"))
        parts = [STATUS_LINE[status]]
        for name, value in (*protocol.server_state.default_headers, *headers, *marked):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", body)
        # In one piece: half of what a small request costs is a second write.
        protocol.transport.write(b"".join(parts))
        self._finish(status)
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()

    def _finish(self, status: int) -> None:
        """Let go of everything, once."""
        if self.response_complete:
            return
        self.response_complete = True
        self._chunks.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._place is not None:
            self._place.close()
        self._busy().discard(self)
        self._protocol.serving.requests.add_hot(
            dialect=self._route.dialect_name,
            path=self._route.path,
            status=status,
            seconds=time.perf_counter() - self._began,
            request_id=self._request_id,
            later=self._protocol.loop.call_soon,
        )


class FastProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the hot paths answered before ASGI; ``serving`` and ``routes`` are set by a subclass."""

    serving: Serving
    routes: HotRoutes

    def on_headers_complete(self) -> None:
        """Take the request if it is one of the hot ones, else leave it to uvicorn."""
        route = self.routes.find(self.url) if self.parser.get_method() == b"POST" else None
        if route is None or self.expect_100_continue or self.parser.should_upgrade():
            super().on_headers_complete()
            return
        headers = dict(self.headers)
        if len(headers) != len(self.headers):  # a field that comes twice has rules of its own
            super().on_headers_complete()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        before: Any = self.cycle
        cycle = FastCycle(self, route, headers, keep_alive=keep_alive)
        self.cycle = cycle  # type: ignore[assignment]
        if before is None or before.response_complete:
            cycle.start()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, FastCycle):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A part of the body of the request that is being read."""
        cycle: Any = self.cycle
        if not isinstance(cycle, FastCycle):
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.take(body)

    def on_message_complete(self) -> None:
        """The request that is being read is whole."""
        cycle: Any = self.cycle
        if isinstance(cycle, FastCycle):
            cycle.end()
        else:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not whole after it has a time limit."""
        super().data_received(data)
        cycle: Any = self.cycle
        if isinstance(cycle, FastCycle) and cycle.more_body:
            cycle.wait()

    def on_response_complete(self) -> None:
        """As uvicorn does; a client that does not read its answers is not read from."""
        super().on_response_complete()
        if self.flow.write_paused and not self.transport.is_closing():
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left; what was asked is not answered any more."""
        waiting: list[Any] = [self.cycle, *(cycle for cycle, _ in self.pipeline)]
        super().connection_lost(exc)
        for cycle in waiting:
            if isinstance(cycle, FastCycle):
                cycle.lose()
