"""uvicorn's httptools protocol with bounds on what a client may leave unfinished: heads, bodies, and unread answers."""

import asyncio
import math
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.app import error_response
from runtime.contract.errors import DrayError
from runtime.errors import HeadTimeout, HeadTooLarge, InvalidInput
from runtime.routes.serving import Serving

# Of a head that does not come in one piece; nginx takes 32 KiB, Apache 8 KiB a field.
MOST_HEAD_BYTES: Final = 64 << 10
# What stands around a body: a chunk of one byte is framed by five, and trailers may follow.
_FRAMING: Final = 8
# A body has the time limit for itself, so that who reads it can answer first.
_LONGER_S: Final = 1.0


class PipelineFlow(FlowControl):
    """Flow control under which nothing is read while requests wait that were read already."""

    def __init__(self, transport: asyncio.Transport, waiting: Any) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Unless requests wait: each answer would let in more of them than it is."""
        if not self._waiting:
            super().resume_reading()


class Refusal:
    """In the pipeline's place of what is no request: its turn comes when those before it have been answered."""

    def __init__(self, error: DrayError) -> None:
        self.error = error
        self.disconnected = False


class GuardedProtocol(HttpToolsProtocol):
    """One connection; ``serving`` is set by a subclass."""

    serving: Serving
    _unfinished: asyncio.TimerHandle | None = None
    _unfinished_bytes = 0
    _idle_since = math.inf
    _body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client that never asks is let go as one that asks no more."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        self._await_next()
        self.serving.connection_made()

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not whole after it has a time limit."""
        super().data_received(data)
        cycle: Any = self.cycle
        if cycle is not None and cycle.more_body:
            self._watch(len(data), MOST_HEAD_BYTES + self._allowed_framing(cycle), longer_s=_LONGER_S)
        elif (cycle is None or cycle.response_complete) and self._idle_since == math.inf:
            # No answer has just gone out: this was a part of a head.
            self._watch(len(data), MOST_HEAD_BYTES, longer_s=0.0)

    def on_headers_complete(self) -> None:
        """The head is whole: what comes now has its own bounds."""
        self._unwatch()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body of the request that is being read."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._unwatch()
        super().on_message_complete()
        self._await_next_after(self.cycle)

    def on_response_complete(self) -> None:
        """As uvicorn does, with one timer a connection; a client that does not read its answers is not read from."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._await_next()
        self.flow.resume_reading()  # of the last one that waited, the rest may still be to come
        if self.flow.write_paused:
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._unwatch()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def send_400_response(self, msg: str) -> None:
        """What is not even HTTP gets the error object too."""
        self.refuse(InvalidInput(msg.lower().rstrip(".")))

    def refuse(self, error: DrayError) -> None:
        """Answer what is no request, after those that came before it, and end the connection."""
        self._unwatch()
        cycle: Any = self.cycle
        if cycle is not None and cycle.more_body and cycle.response_complete:  # it has its answer
            self.transport.close()
        elif self.pipeline and cycle.more_body:
            self.pipeline[0] = (Refusal(error), self.app)  # type: ignore[assignment]
        elif self.pipeline or not (cycle is None or cycle.response_complete or cycle.more_body):
            self.flow.pause_reading()
            self.pipeline.appendleft((Refusal(error), self.app))  # type: ignore[arg-type]
        else:
            self._write_refusal(error)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, Refusal):
            self._write_refusal(cycle.error)
        else:
            super()._start_asgi_task(cycle, app)

    def _write_refusal(self, error: DrayError) -> None:
        if self.transport.is_closing():
            return
        response = error_response(error, None)
        parts = [STATUS_LINE[response.status_code]]
        for name, value in (*self.server_state.default_headers, *response.raw_headers):
            parts += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join([*parts, b"connection: close\r\n\r\n", bytes(response.body)]))
        self.transport.close()
        self.serving.requests.count("other", response.status_code, 0.0)

    def _allowed_framing(self, cycle: Any) -> int:
        """How many bytes may have come in all behind the head of a request whose body is not whole."""
        most = self.serving.settings.max_body_mib << 20
        return most if cycle.response_complete else _FRAMING * self._body_bytes

    def _unset_keepalive_if_required(self) -> None:
        """A request begins: the connection's timer goes on, and will find that it is not idle."""
        self._idle_since = math.inf

    def _await_next(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again(self.timeout_keep_alive)

    def _await_next_after(self, cycle: Any) -> None:
        """A request is whole that may have been answered before it was."""
        if cycle.response_complete and self._idle_since == math.inf:
            cycle.more_body = False
            self._await_next()

    def _look_again(self, after_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(after_s, self._close_if_idle)

    def _close_if_idle(self) -> None:
        idle_s = self.loop.time() - self._idle_since
        if idle_s >= self.timeout_keep_alive:
            self.timeout_keep_alive_handler()
        else:
            self._look_again(self.timeout_keep_alive - max(0.0, idle_s))

    def _watch(self, size: int, most: int, *, longer_s: float) -> None:
        """Bound what came in time and size. The first piece is not counted: whole requests may stand in it as well."""
        if self.transport.is_closing():
            return
        if self._unfinished is None:
            limit_s = self.serving.settings.request_timeout_s + longer_s
            self._unfinished = self.loop.call_later(limit_s, self._too_late)
            return
        self._unfinished_bytes += size
        if self._unfinished_bytes > most:
            hint = "send fewer and shorter header fields, and larger chunks"
            self.refuse(HeadTooLarge(f"the head or the framing of the request is larger than {most} bytes", hint=hint))

    def _unwatch(self) -> None:
        if self._unfinished is not None:
            self._unfinished.cancel()
            self._unfinished = None
        self._unfinished_bytes = self._body_bytes = 0

    def _too_late(self) -> None:
        self._unfinished = None
        cycle: Any = self.cycle
        if cycle is not None and cycle.more_body:  # its head came long ago: whoever reads it has had its time
            self.transport.close()
            return
        limit_s = self.serving.settings.request_timeout_s
        self.refuse(HeadTimeout(f"the head of the request did not arrive within {limit_s:g} s"))
