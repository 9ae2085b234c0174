"""One inference request that is answered below ASGI, from its head to its answer.

The answer, errors and headers included, is made by the functions that FastAPI's routes call, so that nobody can tell
which way it went; ``tests/runtime/test_one_behaviour.py`` asks both.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from runtime.app import admits, error_response, marks, request_id_of, unauthorised, unforeseen
from runtime.codec.binary import HEADER, Body, joined, room_for
from runtime.codec.compression import decompressor, too_large
from runtime.contract.errors import DrayError
from runtime.engine.queue import Place
from runtime.routes.dialects import JSON, Answered, Ask, Read, Reply
from runtime.routes.inference import MIB, late, run
from runtime.routes.observing import sample
from runtime.server.heads import HeaderTexts, KnownHead
from runtime.server.hot_routes import TURNS, HotRoute

if TYPE_CHECKING:
    from runtime.server.fast_path import FastProtocol

logger = logging.getLogger(__name__)

_HEADER_LENGTH: Final = HEADER.encode("ascii")
# Bodies above these are read in a thread: JSON takes milliseconds a megabyte, binary tensors nearly nothing.
_INLINE_JSON: Final = 32 << 10
_INLINE_BINARY: Final = 1 << 20
_CLIENT_ID: Final = b"x-ms-client-request-id"
_MARK_NAMES: Final = frozenset({b"x-request-id", _CLIENT_ID, b"connection"})
_USUAL_HEAD: Final = b"content-length: %d\r\ncontent-type: application/json\r\nx-request-id: %b\r\n\r\n"


class _NoEvent:
    """In the place of the event that wakes an ASGI application: there is none here."""

    def set(self) -> None:
        """Nobody waits."""


class FastCycle:
    """One request, in the place of uvicorn's RequestResponseCycle; the names that uvicorn uses are its."""

    message_event: Final = _NoEvent()
    # What most requests leave as it is stands here, once: the making of a cycle is part of every request.
    disconnected = False
    more_body = True
    response_complete = False
    size = 0
    _request_id = ""
    _started = False
    _read: Read | None = None
    _expand: Callable[[bytes], bytes] | None = None
    _place: Place | None = None
    _timer: asyncio.TimerHandle | None = None
    _task: "asyncio.Task[None] | None" = None
    _body: Body | None = None
    _asked: Ask | None = None
    _answered: Answered | None = None

    def __init__(
        self, protocol: "FastProtocol", route: HotRoute, headers: Mapping[bytes, bytes], *, keep_alive: bool
    ) -> None:
        self.keep_alive = keep_alive
        self._protocol = protocol
        self._route = route
        self._headers = headers
        self._began = time.perf_counter()
        self._chunks: list[bytes] = []

    # --- what the protocol tells

    def start(self) -> None:
        """It is this request's turn: check what its head says, and answer if its body is there."""
        self._started = True
        self._protocol.active = self
        self._busy().add(self)
        serving, headers = self._protocol.serving, self._headers
        self._request_id = request_id_of(headers)
        try:
            if serving.keys and not admits(serving.keys, headers.get(b"authorization", b"")):
                raise unauthorised()
            limit_bytes = serving.settings.max_body_mib * MIB
            self._read = self._route.dialect(HeaderTexts(headers))
            if b"content-encoding" in headers:
                self._expand = decompressor(headers[b"content-encoding"].decode("latin-1"), limit_bytes=limit_bytes)
            self._route.check_turn(self._began, serving.settings.max_wait_s / TURNS)
            self._place = serving.queue.enter()
            announced = headers.get(b"content-length", b"")
            if announced.isdigit() and int(announced) > limit_bytes:
                raise too_large(announced.decode("ascii"), limit_bytes)
            if self.size > limit_bytes:
                raise too_large(f"more than {limit_bytes}", limit_bytes)
        except DrayError as error:
            self._fail(error)
            return
        if not self.more_body:
            self._answer()

    def known(self, data: bytes) -> KnownHead | None:
        """What a next request with the same head may skip, where ``data`` was this one and nothing else."""
        end = data.find(b"\r\n\r\n") + 4
        length = self._headers.get(b"content-length", b"")
        whole = (
            self.keep_alive
            and b"transfer-encoding" not in self._headers
            and length.isdigit()
            and end + int(length) == len(data)
        )
        return KnownHead(data[:end], len(data), self._route, self._headers) if whole else None

    def take(self, chunk: bytes) -> None:
        """A part of the body."""
        self._chunks.append(chunk)
        self.size += len(chunk)
        limit_bytes = self._protocol.serving.settings.max_body_mib * MIB
        if self.size > limit_bytes:
            self._chunks.clear()
            if self._started:
                self._fail(too_large(f"more than {limit_bytes}", limit_bytes))

    def left_bytes(self) -> int:
        """How much of an announced body is still to come; 0 where nobody waits for it."""
        length = self._headers.get(b"content-length", b"")
        known = self._started and self.more_body and not self.response_complete and length.isdigit()
        return int(length) - self.size if known else 0

    def room(self) -> memoryview:
        """Room for the whole body, with what has come of it."""
        room = room_for(self.size + self.left_bytes(), self._headers.get(_HEADER_LENGTH), self._chunks)
        self._chunks.clear()
        return room

    def end_with(self, body: memoryview) -> None:
        """The body is whole, and lies in the room that was made for it."""
        if not self.response_complete:
            self._body = body
        self.end()

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
        header_length = self._headers.get(_HEADER_LENGTH) if self._route.dialect_name == "v2" else None
        body = self._body or joined(self._chunks, header_length if self._expand is None else None)
        self._chunks.clear()
        self._body = None
        batcher = self._route.batcher
        most = _INLINE_JSON if header_length is None else _INLINE_BINARY
        inline = len(body) <= most and self._expand is None
        if batcher is None or not inline or self._read is None:
            self._task = self._protocol.loop.create_task(self._in_thread(body))
            return
        try:
            asked = self._read(body, self._route.model.manifest)
        except DrayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a bug must not take the connection down
            self._fail_unforeseen(error)
        else:
            if not batcher.suits(asked.inputs):
                self._task = self._protocol.loop.create_task(self._in_thread(body, asked))
                return
            self._asked = asked
            batcher.submit(asked.inputs, asked.outputs, done=self._done, gone=self._gone)

    def _gone(self) -> bool:
        return self.disconnected

    def _done(self, came: "Mapping[str, Any] | Exception") -> None:
        asked = self._asked
        if self.response_complete or asked is None:
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
            serving, batcher = self._protocol.serving, self._route.batcher
            if batcher is not None and (serving.samples is not None or serving.traces is not None):
                self._observe(Answered(reply, asked.inputs, came, batcher.ran_ns))
            self._send(reply)

    def _observe(self, answered: Answered) -> None:
        route, serving = self._route, self._protocol.serving
        self._answered = answered
        sample(serving, route.model, answered, dialect=route.dialect_name, request_id=self._request_id)

    async def _in_thread(self, body: Body, asked: Ask | None = None) -> None:
        model, read, expand, place = self._route.model, self._read, self._expand, self._place
        limit_s = self._protocol.serving.settings.request_timeout_s
        if read is None or place is None:
            return

        def work(cancellation: Any) -> Answered:
            content = body if expand is None else expand(bytes(body))
            return run(model, asked or read(content, model.manifest), cancellation)

        try:
            async with asyncio.timeout(max(0.0, limit_s - (time.perf_counter() - self._began))):
                answered = await place.run(work)
        except TimeoutError:
            self._fail(late(model.manifest.name, limit_s, arrived=True))
        except DrayError as error:
            self._fail(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not take the connection down
            self._fail_unforeseen(error)
        else:
            self._observe(answered)
            self._send(answered.reply)

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
        protocol = self._protocol
        usual = self.keep_alive and not protocol.serving.closing and not self.disconnected
        if usual and reply.media_type == JSON and not reply.headers and _CLIENT_ID not in self._headers:
            # What _write would make of it.
            own = _USUAL_HEAD % (len(reply.body), self._request_id.encode("ascii"))
            protocol.transport.write(b"".join((STATUS_LINE[200], protocol.own_lines(), own, reply.body)))
            self._finish(200)
            protocol.on_response_complete()
            return
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
        parts = [STATUS_LINE[status], protocol.own_lines()]
        for name, value in (*headers, *marked):
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
        seconds, serving = time.perf_counter() - self._began, self._protocol.serving
        trace_id = ""
        if serving.traces is not None:
            said = (self._protocol.scheme, status, seconds, self._headers, self._request_id, self._answered)
            trace_id = serving.traces.add(self._route.traced(*said))
        serving.requests.add_hot(
            dialect=self._route.dialect_name,
            path=self._route.path,
            status=status,
            seconds=seconds,
            request_id=self._request_id,
            later=self._protocol.later,
            trace_id=trace_id,
        )
