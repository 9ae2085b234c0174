"""The connections of the fast path: hot requests are answered in the turn of the loop in which they were parsed.

uvicorn's own protocol goes on to do all else: parsing, pipelining, keep-alive, flow control, and every other path. A
hot request stands in its queue as one of its cycles does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from runtime.server.body_receiver import LARGE, BodyReceiver, new_parser
from runtime.server.fast_cycle import FastCycle
from runtime.server.guarded_protocol import GuardedProtocol
from runtime.server.heads import KnownHead
from runtime.server.hot_routes import HotRoutes

_GATHER_S: Final = 0.01


class FastProtocol(GuardedProtocol):
    """The protocol with the hot paths answered before ASGI; ``serving`` and ``routes`` are set by a subclass.

    Attributes:
        active: The last of the hot requests whose turn came.
    """

    routes: HotRoutes
    active: FastCycle | None = None
    _own_fields: list[tuple[bytes, bytes]] | None = None
    _own_lines = b""
    _known: KnownHead | None = None
    _receiver: BodyReceiver | None = None

    def own_lines(self) -> bytes:
        """The header fields that every answer begins with, such as the date; uvicorn makes them anew once a second."""
        own = self.server_state.default_headers
        if own is not self._own_fields:
            self._own_fields = own
            self._own_lines = b"".join(b"%b: %b\r\n" % field for field in own)
        return self._own_lines

    def later(self, call: Callable[[], None]) -> None:
        """Call it when the lines of some more requests have gathered: a write takes as long as a small run."""
        self.loop.call_later(_GATHER_S, call)

    def on_message_begin(self) -> None:
        """A request begins; an ASGI scope is made when it turns out to need one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def _leave_to_asgi(self) -> None:
        url, expects, headers = self.url, self.expect_100_continue, self.headers
        super().on_message_begin()
        self.url, self.expect_100_continue, self.headers = url, expects, headers
        self.scope["headers"] = headers
        super().on_headers_complete()

    def on_headers_complete(self) -> None:
        """Take the request if it is one of the hot ones, else leave it to uvicorn."""
        route = self.routes.find(self.url) if self.parser.get_method() == b"POST" else None
        if route is None or self.expect_100_continue or self.parser.should_upgrade():
            self._leave_to_asgi()
            return
        headers = dict(self.headers)
        if len(headers) != len(self.headers):  # a field that comes twice has rules of its own
            self._leave_to_asgi()
            return
        if self._unfinished is not None:
            self._unwatch()
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
            # Not at once: the one before it may have been answered from here, and so may thousands more.
            self.loop.call_soon(self._start_waiting, cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _start_waiting(self, cycle: FastCycle) -> None:
        if not self.transport.is_closing():
            cycle.start()

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
        if not isinstance(cycle, FastCycle):
            super().on_message_complete()
            return
        if self._unfinished is not None:
            self._unwatch()
        cycle.end()
        self._await_next_after(cycle)

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not whole after it has a time limit."""
        known = self._known
        if known is not None and known.repeated_by(data) and self.cycle.response_complete:
            self._unset_keepalive_if_required()
            cycle = FastCycle(self, known.route, known.headers, keep_alive=True)
            self.cycle = cycle  # type: ignore[assignment]
            cycle.take(data[len(known.head) :])
            cycle.more_body = False
            cycle.start()
            return
        self._known = None
        super().data_received(data)
        latest: Any = self.cycle
        if isinstance(latest, FastCycle):
            if latest.more_body:
                latest.wait()
                if latest.left_bytes() >= LARGE and self.scheme == "http":
                    self._receive_rest(latest)
            else:
                self._known = latest.known(data)

    def _receive_rest(self, cycle: FastCycle) -> None:
        if self._receiver is None:
            self._receiver = BodyReceiver(self, self.transport)
        self._receiver.expect(cycle.room(), cycle.size, partial(self._received, cycle))

    def _received(self, cycle: FastCycle, body: memoryview) -> None:
        # The parser has not seen the body, and would wait for it.
        self.parser = new_parser(self)
        self._unwatch()
        cycle.end_with(body)
        self._await_next_after(cycle)

    def _allowed_framing(self, cycle: Any) -> int:
        if isinstance(cycle, FastCycle):
            self._body_bytes = cycle.size
        return super()._allowed_framing(cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left; what was asked is not answered any more."""
        waiting: list[Any] = [self.active, self.cycle, *(cycle for cycle, _ in self.pipeline)]
        super().connection_lost(exc)
        for cycle in waiting:
            if isinstance(cycle, FastCycle):
                cycle.lose()
