"""The life of a module: connected as long as it can be, taking messages when it may, answering what it has taken."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from runtime.contract.errors import DrayError
from runtime.edge.connection import Connection, Respond, connect
from runtime.edge.journal import Arrival, Limits, open_journal
from runtime.edge.methods import Methods
from runtime.edge.packages import Packages
from runtime.edge.reporting import Reported
from runtime.edge.slots import Slots
from runtime.edge.standing import is_held, is_ready, journal_of, settings_of, standing, state_of
from runtime.edge.twin import Desired, Wishes
from runtime.edge.withheld import Acknowledge
from runtime.edge.work import Work
from runtime.routes.serving import Serving
from runtime.sampling import open_samples
from runtime.telemetry import Messages

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.1
_FIRST_WAIT_S: Final = 1.0
# The hub is on the same machine, or is a gateway that is near.
_LONGEST_WAIT_S: Final = 15.0
# A hub that has not acknowledged an answer for so long will not do it on this connection.
_STALLED_S: Final = 60.0
# Beside what the journal may grow to, left free by packages.
_RESERVE_BYTES: Final = 16 << 20
# For a client that comes back with another token.
_BACK_S: Final = 15.0


class EdgeModule:
    """A server's other door. Belongs to the event loop's thread, but for what ``Listener`` says.

    Made before the server's models are loaded: one of its own packages may take the place of what the image holds.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._desired, self._reported = Desired(), Reported()
        self._problems: dict[str, str] = {}
        self._log_level = serving.settings.log_level
        self._counts = Messages()
        self._lost = asyncio.Event()
        self._stopping = False
        self._lives: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[None]] = set()
        settings = serving.settings
        limits = Limits(settings.edge_journal_messages, settings.edge_journal_mib << 20)
        self._journal, self._no_journal = open_journal(settings.edge_folder, limits)
        self._work = Work(serving, self._journal, self._counts, lambda: self._wishes, self._break)
        self._work.allowed = lambda: is_ready(serving) and not is_held(serving, self._wishes)
        self._packages = Packages(serving, Slots(settings.edge_folder, limits.size_bytes + _RESERVE_BYTES))
        self._methods = Methods(serving, self._work.answerer, self.report, self._packages.retry)
        serving.messages = self.counts
        if self._journal.inherited:
            logger.info("messages of an earlier process", extra={"fields": {"messages": self._journal.inherited}})

    # --- the life of it

    def start(self) -> None:
        """Connect, and go on until ``drain``."""
        lives: tuple[Callable[[], Awaitable[None]], ...]
        lives = (self._keep_connected, self._work.run, self._packages.run, self._tick)
        self._lives = [asyncio.create_task(_for_ever(life)) for life in lives]

    async def drain(self, limit_s: float) -> None:
        """Take nothing more, answer what is in the journal within the time, and leave the rest to the next process."""
        self._stopping = self._work.stopping = True
        deadline = time.monotonic() + limit_s
        # The inputs stay subscribed: what comes is left unacknowledged, and sent to the next process.
        self._work.intake.taking = False
        self._packages.close()
        self._work.look()
        while self._journal.count and self._work.can_answer and time.monotonic() < deadline:
            await asyncio.sleep(_TICK_S / 2)
        tasks = [*self._lives, *self._calls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if (connection := self._work.connection) is not None:
            await connection.close()
        await asyncio.to_thread(self._work.intake.close)
        logger.info("module stopped", extra={"fields": {"left_in_journal": self._journal.count}})

    # --- Listener: called by threads of the client

    def arrived(self, arrival: Arrival, acknowledge: Acknowledge) -> None:
        """A message came."""
        self._work.intake.arrived(arrival, acknowledge)

    def asked(self, name: str, payload: object, respond: Respond) -> None:
        """A direct method was called."""
        self._call(lambda: self._begin_method(name, payload, respond))

    def wanted(self, patch: Mapping[str, Any]) -> None:
        """Desired properties were changed."""
        self._call(partial(self._on_patch, patch))

    def lost(self, *, for_good: bool) -> None:
        """The connection is gone, or will be back in a moment."""
        self._work.intake.disconnected()
        if for_good:
            self._break()

    def _break(self) -> None:
        self._call(self._lost.set)

    def _call(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            logger.debug("the event loop has ended")

    # --- the connection

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            self._lost.clear()
            try:
                connection, desired = await connect(self)
            except DrayError as error:
                failures += 1
                logger.warning("not connected", extra={"fields": {"error_code": error.code, "error": error.message}})
                await asyncio.sleep(_wait_s(failures))
                continue
            failures = 0
            self._begin_connection(connection, desired)
            await self._lost.wait()
            logger.warning("connection lost")
            self._work.connection = None
            await connection.close()
            self._work.intake.disconnected()
            await asyncio.sleep(_wait_s(0))

    def _begin_connection(self, connection: Connection, desired: Mapping[str, Any]) -> None:
        self._counts.connections += 1
        self._reported.forget()
        self._desired.replace(desired)
        self._apply()
        self._work.connection = connection
        self._work.look()
        logger.info("connected", extra={"fields": {"connections": self._counts.connections}})

    async def _tick(self) -> None:
        """What has to be looked at from time to time."""
        alive_s = time.monotonic()
        while True:
            connection = self._work.connection
            if connection is not None and not self._stopping:
                if connection.alive:
                    alive_s = time.monotonic()
                    await self._settle(connection)
                elif time.monotonic() - alive_s > _BACK_S:
                    self._lost.set()
            self._work.look()
            await asyncio.sleep(_TICK_S)

    async def _settle(self, connection: Connection) -> None:
        wanted = self._work.allowed()
        try:
            if connection.taking is not wanted:
                await connection.take_inputs(wanted)
                state = state_of(self._serving, self._wishes)
                logger.info("inputs", extra={"fields": {"taking": wanted, "state": state}})
            report = self.report()
            if (patch := self._reported.due(report)) is not None:
                await connection.report(patch)
                self._reported.told(report, patch)
        except Exception as error:  # noqa: BLE001 - of many kinds, and all mean the same
            logger.warning("the hub does not answer: %s", type(error).__name__)
            self._lost.set()
        overflowed = self._work.intake.overflowed and self._work.intake.has_room
        if overflowed or self._work.flight.oldest_s() > _STALLED_S:
            logger.warning("another connection is needed", extra={"fields": {"overflowed": overflowed}})
            self._lost.set()

    # --- direct methods and desired properties

    def _begin_method(self, name: str, payload: object, respond: Respond) -> None:
        call = asyncio.ensure_future(self._answer_method(name, payload, respond))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _answer_method(self, name: str, payload: object, respond: Respond) -> None:
        status, answer = await self._methods.call(name, payload)
        logger.info("direct method", extra={"fields": {"method": name, "status": status}})
        await asyncio.to_thread(respond, status, answer)

    @property
    def _wishes(self) -> Wishes:
        return self._desired.wishes

    def _on_patch(self, patch: Mapping[str, Any]) -> None:
        if self._desired.patch(patch):
            self._apply()

    def _apply(self) -> None:
        """Make the wishes hold."""
        self._problems = dict(self._desired.problems)
        wishes, settings = self._wishes, self._serving.settings
        level = wishes.log_level or settings.log_level
        if level != self._log_level:
            self._log_level = level
            logging.getLogger("runtime").setLevel(level.upper())
        try:
            self._sample(settings.sample_rate if wishes.sample_rate is None else wishes.sample_rate)
        except DrayError as error:
            self._problems["sample_rate"] = error.message
        if "package" not in self._problems:
            self._packages.want(wishes.package)
        self._work.look()

    def _sample(self, rate: float) -> None:
        samples = self._serving.samples
        if samples is not None:
            samples.rate = rate
        elif rate > 0:
            self._serving.samples = open_samples(rate, self._serving.settings.sample_file)

    # --- what is told

    def counts(self) -> Messages:
        """As they stand."""
        self._counts.journaled, self._counts.journaled_bytes = self._journal.count, self._journal.size_bytes
        return self._counts

    def report(self) -> dict[str, Any]:
        """Reported properties; None where there is nothing to say."""
        return standing(
            self._serving,
            self._wishes,
            self.counts(),
            settings=settings_of(self._serving, self._wishes, self._log_level, self._problems),
            journal=journal_of(self._work.intake, self._no_journal),
            package=self._packages.report,
        )


async def _for_ever(life: Callable[[], Awaitable[None]]) -> None:
    """A bug in one of them must neither pass unseen nor end the module."""
    while True:
        try:
            await life()
        except Exception as error:
            logger.error("unforeseen failure", exc_info=error)  # noqa: TRY400
            await asyncio.sleep(_FIRST_WAIT_S)


def _wait_s(failures: int) -> float:
    """Before another try: drawn by lot, so that a fleet does not come at once; longer each time."""
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures, 10))
    return random.uniform(0.1, longest)  # noqa: S311 - no secret
