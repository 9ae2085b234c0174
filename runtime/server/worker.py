"""One worker: a server like the one of a single process, which accepts, ends and counts together with others."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import uvicorn

from runtime.app import create_queue
from runtime.contract.errors import DrayError
from runtime.errors import Draining
from runtime.routes.counts import Counts, counts_of
from runtime.routes.serving import Change, Serving
from runtime.server.accepting import Acceptor, Board, Connections
from runtime.server.backlog import stop_all
from runtime.server.channel import Channel
from runtime.server.hot_routes import HotRoutes
from runtime.server.http import Server
from runtime.server.messages import (
    Answer,
    Ask,
    Count,
    Counted,
    Drain,
    HandoverFailed,
    Leaving,
    Quiet,
    Retire,
    Serve,
    Up,
    Wanted,
)
from runtime.tracing import open_traces

logger = logging.getLogger(__name__)

_LAST: Final = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is forked for.

    Attributes:
        place: Its own on the board.
        loads: Whether it loads the models; else it has them, or answers without.
    """

    channel: Channel
    board: Board
    place: int
    loads: bool


class WorkerServer(Server):
    """The server of a worker, which the supervisor tells when to accept and when to end."""

    def __init__(
        self,
        config: uvicorn.Config,
        serving: Serving,
        listeners: list[socket.socket],
        hot_routes: HotRoutes | None,
        assignment: Assignment,
    ) -> None:
        super().__init__(config, serving, listeners, hot_routes)
        self._assignment = assignment
        self._channel = assignment.channel
        self._connections = Connections(assignment.board, assignment.place)
        self.server_state.connections = self._connections
        self._acceptor: Acceptor | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._changes = 0
        self._number = _LAST
        self._stopped_by: Drain | None = None
        settings = serving.settings
        serving.queue = create_queue(settings)
        serving.traces = open_traces(settings.otlp_endpoint, settings.otlp_protocol)
        serving.requests.pid = os.getpid()
        serving.total, serving.control = self._total, self._control

    # --- the life of the server

    async def _open(self) -> None:
        await uvicorn.Server.startup(self, sockets=[])
        loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(self._listeners, self._connections, self._serve_one)
        loop.add_reader(self._channel.fileno(), self._on_messages)

    def _begin_to_load(self) -> None:
        if self._assignment.loads:
            threading.Thread(target=self._load_and_tell, name="load", daemon=True).start()
            return
        gc.enable()
        self._up()

    def _load_and_tell(self) -> None:
        try:
            self._load()
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._up)

    def _up(self) -> None:
        if self._hot_routes is not None:
            self._hot_routes.refresh()
        slots = self._serving.repository.slots
        self._tell(Up({slot.serial: slot.error for slot in slots if slot.error is not None}))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As one process does; then tell the last counters."""
        await super().shutdown(sockets)
        self._tell(Counted(_LAST, counts_of(self._serving)))

    async def _close_listeners(self) -> None:
        if self._serving.draining and not self.force_exit:
            # They are the supervisor's too: what it stopped is stopped for all. Without it, nobody else would.
            stopped = self._stopped_by.stopped if self._stopped_by is not None else stop_all(self._listeners)
            await self._accept_the_rest(stopped)
            return
        if self._acceptor is not None:
            self._acceptor.stop()
        for listener in self._listeners:
            listener.close()

    def _stop_accepting(self) -> None:
        if self._acceptor is not None:
            self._acceptor.stop()

    def _held(self) -> int:
        return self._changes

    def _on_quiet(self) -> None:
        self._tell(Quiet())

    async def _serve_one(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._connection, accepted, ssl=self.config.ssl)

    # --- signals

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A terminal's Ctrl-C reaches every process of the group; what it means for a worker, the supervisor says."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told to stop alone: the supervisor sees to another worker first."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._tell, Leaving())

    # --- what the supervisor tells

    def _on_messages(self) -> None:
        for message in self._channel.receive():
            self._on_message(message)
        if self._channel.closed and not self._serving.draining:
            logger.error("the supervisor has ended; this worker finishes what it has")
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._drain(None)

    def _on_message(self, message: object) -> None:
        if isinstance(message, Serve):
            if self._acceptor is not None and not self.should_exit:
                self._acceptor.start()
        elif isinstance(message, Retire):
            self._serving.retiring = self.should_exit = True
            self._stop_accepting()
        elif isinstance(message, Drain):
            self._drain(message)
        elif isinstance(message, Count):
            self._tell(Counted(message.number, counts_of(self._serving)))
        elif isinstance(message, HandoverFailed):
            self._serving.handover_error = message.error
        elif isinstance(message, Answer):
            waiting = self._asked.pop(message.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message.result)

    def _drain(self, told: Drain | None) -> None:
        self._stopped_by = told
        self._serving.draining = self.should_exit = True
        if told is not None and told.at_once:
            self.force_exit = True
        if told is None:
            for waiting in self._asked.values():
                if not waiting.done():
                    waiting.set_result(Draining("the server is draining: its supervisor has ended"))

    # --- what it asks

    async def _total(self) -> Counts:
        own = counts_of(self._serving)
        total = await self._ask(lambda number: Ask(number, own))
        return total if isinstance(total, Counts) else counts_of(self._serving)

    async def _control(self, verb: Change, model: str) -> None:
        self._changes += 1
        try:
            problem = await self._ask(lambda number: Wanted(number, verb, model))
        finally:
            self._changes -= 1
        if isinstance(problem, DrayError):
            raise problem

    async def _ask(self, question: Callable[[int], object]) -> object:
        if self._channel.closed:
            return Draining("the server is draining: its supervisor has ended")
        self._number += 1
        waiting: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._asked[self._number] = waiting
        self._tell(question(self._number))
        return await waiting

    def _tell(self, message: object) -> None:
        self._channel.send(message)
        if self._channel.unsent and self._loop is not None:
            self._loop.add_writer(self._channel.fileno(), self._flush)

    def _flush(self) -> None:
        self._channel.flush()
        if not self._channel.unsent and self._loop is not None:
            self._loop.remove_writer(self._channel.fileno())
