"""uvicorn with dray's start and end: load behind an open listener, hand over, drain without losing a request."""

import asyncio
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Final

import uvicorn

from runtime.contract.errors import DrayError
from runtime.routes.serving import Serving
from runtime.server.backlog import Backlog, accept_waiting, handshakes_under_way, stop_all, unread
from runtime.server.hot_routes import HotRoutes, keep_fresh
from runtime.server.sockets import BACKLOG, address_of, listen_shared

if TYPE_CHECKING:  # where this is no module of an edge device, nothing of it is imported
    from runtime.edge.module import EdgeModule

logger = logging.getLogger(__name__)

# Handshakes that have begun end within a round trip; a retransmission is given this long.
_SETTLE_S: Final = 0.25
# Clients far off, or whose processor is held up, take longer; who never ends a handshake (a scanner) ends no drain.
_LONGEST_SETTLE_S: Final = 3.0
# An idle connection may carry a request that is on its way: it is closed after this long without any. Counted in
# turns of the loop, not by the clock: one that was held up has not looked, and its clients were perhaps held up too.
_QUIET_S: Final = 2.0
# Below the 30 s after which Kubernetes kills.
_GRACE_S: Final = 25.0
_POLL_S: Final = 0.02
# Below the 10 s after which an engine kills a container that it stops.
_EDGE_GRACE_S: Final = 5.0


class Server(uvicorn.Server):
    """One process' server."""

    def __init__(
        self,
        config: uvicorn.Config,
        serving: Serving,
        listeners: list[socket.socket],
        hot_routes: HotRoutes | None = None,
    ) -> None:
        """Over sockets that listen.

        Args:
            hot_routes: Filled as models become ready; None leaves every request to FastAPI.
        """
        super().__init__(config)
        self._serving = serving
        self._hot_routes = hot_routes
        self._filling: asyncio.Task[None] | None = None
        self._listeners = listeners
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handover: asyncio.Task[None] | None = None
        self._took_over = False
        self._edge: EdgeModule | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer on the listeners, then load the models in a thread."""
        self._loop = asyncio.get_running_loop()
        await self._open()
        self._serving.addresses = [address_of(each) for each in self._listeners]
        if self._serving.settings.edge:
            from runtime.edge.module import EdgeModule

            self._edge = EdgeModule(self._serving)  # it may know of a package that is to be loaded first
            self._edge.start()
        self._begin_to_load()

    async def _open(self) -> None:
        await super().startup(sockets=self._listeners)
        self._serving.connection_made = Backlog(self._listeners, self._serve_one).take
        logger.info("listening", extra={"fields": {"addresses": [address_of(each) for each in self._listeners]}})

    def _begin_to_load(self) -> None:
        # A daemon: a process that is told to stop does not wait for a model to load.
        threading.Thread(target=self._load, name="load", daemon=True).start()
        if self._hot_routes is not None:
            self._filling = asyncio.create_task(keep_fresh(self._hot_routes, self._serving))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted, and nothing else; at most for the grace period."""
        deadline = time.monotonic() + _GRACE_S
        edge = asyncio.ensure_future(self._edge.drain(_EDGE_GRACE_S)) if self._edge is not None else None
        await self._close_listeners()
        await self._until_quiet(deadline)
        self._on_quiet()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.tasks and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(_POLL_S)
        if self.server_state.tasks:
            logger.warning("stopping with %d requests unanswered", len(self.server_state.tasks))
        if edge is not None:
            await asyncio.wait([edge], timeout=max(0.0, deadline - time.monotonic()))
        self._serving.close()

    def _load(self) -> None:
        try:
            self._serving.repository.load()
        finally:
            # What start-up made stays: the collector, off since the process began, need not look at it again.
            gc.freeze()
            gc.enable()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while serving; not raised again at the end, as uvicorn does: a drained server exits with 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self.handle_exit,
            signal.SIGINT: self.handle_exit,
        }
        take_over = getattr(signal, "SIGUSR1", None)  # Windows has none
        if take_over is not None:
            handlers[take_over] = self._on_take_over
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT: not ready at once, then drain. A second SIGINT does not wait."""
        if self._serving.draining and sig == signal.SIGINT:
            self.force_exit = True
        self._serving.draining = True
        self.should_exit = True

    def _on_take_over(self, _sig: int, _frame: FrameType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_take_over)

    def _begin_take_over(self) -> None:
        if self._serving.settings.standby_port is None:
            logger.warning("SIGUSR1 is ignored: DRAY_STANDBY_PORT is not set, so there is no port to take over")
            return
        if self._handover is None or self._handover.done():
            self._handover = asyncio.ensure_future(self._take_public_address())

    async def _take_public_address(self) -> None:
        """Listen on the public port beside the process that this one relieves."""
        settings = self._serving.settings
        if self._took_over or self._serving.draining:
            return
        try:
            listeners = listen_shared(settings.host, settings.port)
        except DrayError as error:
            self._serving.handover_error = error
            logger.error("hand-over failed", extra={"fields": error.as_dict()})  # noqa: TRY400
            return
        for listener in listeners:
            self.servers.append(await self._serve_on(listener))
        self._listeners.extend(listeners)
        self._took_over = True
        self._serving.handover_error = None
        self._serving.addresses = [address_of(each) for each in self._listeners]
        logger.info("took over", extra={"fields": {"addresses": self._serving.addresses}})

    async def _serve_on(self, listener: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._connection, sock=listener, ssl=self.config.ssl, backlog=BACKLOG)

    def _connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _close_listeners(self) -> None:
        await self._accept_the_rest(stop_all(self._listeners))

    def _stop_accepting(self) -> None:
        """Leave what comes from now on to nobody."""

    async def _accept_the_rest(self, stopped: bool) -> None:
        # Where nothing could be stopped, waiting would only let more connections in.
        await _pass(_SETTLE_S if stopped else _POLL_S)
        deadline = time.monotonic() + _LONGEST_SETTLE_S
        while stopped and handshakes_under_way(self._listeners) and time.monotonic() < deadline:
            await _pass(_POLL_S)
        self._stop_accepting()
        # In one turn of the loop, so that next to nothing can come between the last look and the close.
        waiting = [connection for listener in self._listeners for connection in accept_waiting(listener)]
        for server in self.servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        await self._serve_accepted(waiting)
        # What the loop itself took in its last turn is not among the open connections before another one.
        await _pass(_POLL_S)

    async def _serve_one(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # it has left, or its TLS handshake failed
            await loop.connect_accepted_socket(self._connection, accepted, ssl=self.config.ssl)

    async def _serve_accepted(self, waiting: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        opening = [loop.connect_accepted_socket(self._connection, each, ssl=self.config.ssl) for each in waiting]
        try:
            async with asyncio.timeout(_QUIET_S):
                await asyncio.gather(*opening, return_exceptions=True)
        except TimeoutError:
            logger.warning("a client did not end its TLS handshake while the server was draining")

    async def _until_quiet(self, deadline: float) -> None:
        """Wait until every connection has ended, or none of them has carried a request for a while."""
        seen, quiet_s = self.server_state.total_requests, 0.0
        while len(self.server_state.connections) > self._held() and not self.force_exit:
            busy = len(self.server_state.tasks) > self._held() or self.server_state.total_requests != seen
            # A process that had to wait for a processor may not have seen what came. The look and the close that
            # follows are in one turn, so that nothing is closed over a request.
            if busy or self._unread():
                seen, quiet_s = self.server_state.total_requests, 0.0
            elif quiet_s > _QUIET_S:
                return
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL_S)
            quiet_s += _POLL_S

    def _unread(self) -> bool:
        sockets = [each.transport.get_extra_info("socket") for each in self.server_state.connections]
        return unread(each.fileno() for each in sockets if each is not None)

    def _held(self) -> int:
        """Requests whose answers wait for others, each on a connection of its own."""
        return 0

    def _on_quiet(self) -> None:
        """Everything was answered that does not wait for others."""


async def _pass(seconds: float) -> None:
    """Wait in turns of the loop: longer where the machine is busy, for then the others are late too."""
    for _ in range(max(1, round(seconds / _POLL_S))):
        await asyncio.sleep(_POLL_S)
