"""The life of the module: connected as long as it can be, taking messages when it may, answering what it has taken."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runtime.contract.errors import DrayError
from runtime.edge.answering import MOST_ATTEMPTS, Answerer, probabilities_of
from runtime.edge.connection import Acknowledge, Connection, Respond, connect
from runtime.edge.flight import Flight
from runtime.edge.intake import Intake
from runtime.edge.journal import Arrival, Entry, Journal, Limits, open_journal
from runtime.edge.messages import ERRORS, UNCERTAIN, Answer
from runtime.edge.methods import Methods
from runtime.edge.reporting import Reported
from runtime.edge.twin import Desired, Wishes
from runtime.errors import Overloaded
from runtime.routes.inference import late
from runtime.routes.serving import Serving
from runtime.sampling import open_samples
from runtime.telemetry import Messages

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.1
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
# A hub that has not acknowledged an answer for so long will not do it on this connection.
_STALLED_S: Final = 60.0
_TOGETHER: Final = 64
_TOGETHER_BYTES: Final = 4 << 20


class EdgeModule:
    """A server's other door. Belongs to the event loop's thread, but for what ``Listener`` says."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._desired, self._reported = Desired(), Reported()
        self._counts = Messages()
        self._connection: Connection | None = None
        self._lost = asyncio.Event()
        self._work = asyncio.Event()
        self._stopping = False
        self._senders = ThreadPoolExecutor(1, thread_name_prefix="edge-send")
        self._tasks: list[asyncio.Task[None]] = []
        self._problems: dict[str, str] = {}
        self._said_level = serving.settings.log_level
        settings = serving.settings
        limits = Limits(settings.edge_journal_messages, settings.edge_journal_mib << 20)
        journal, self._no_journal = open_journal(settings.edge_folder, limits)
        self._begin_with(journal)

    def _begin_with(self, journal: Journal) -> None:
        self._journal = journal
        self._flight = Flight(journal)
        self._intake = Intake(journal, self._counts, self._flight.removed, lambda: self._call(self._work.set))
        self._answerer = Answerer(self._serving, journal.uid)
        self._methods = Methods(self._serving, self._answerer, self.report)
        self._serving.messages = self.counts
        if journal.inherited:
            logger.info("messages of an earlier process", extra={"fields": {"messages": journal.inherited}})

    # --- the life of it

    def start(self) -> None:
        """Connect, and go on until ``drain``."""
        for life in (self._keep_connected, self._answer_messages, self._tick):
            self._tasks.append(asyncio.create_task(self._for_ever(life)))

    async def drain(self, limit_s: float) -> None:
        """Take nothing more, answer what is in the journal within the time, and leave the rest to the next process."""
        self._stopping = True
        deadline = time.monotonic() + limit_s
        connection = self._connection
        if connection is not None and connection.alive:
            try:
                await asyncio.wait_for(connection.take_inputs(False), limit_s)
            except Exception as error:  # noqa: BLE001 - what still comes is kept in the journal
                logger.warning("the hub was not told to stop: %s", type(error).__name__)
        self._work.set()
        while self._journal.count and self._may_answer and time.monotonic() < deadline:
            await asyncio.sleep(_TICK_S / 2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        await asyncio.to_thread(self._intake.close)
        logger.info("module stopped", extra={"fields": {"left_in_journal": self._journal.count}})

    async def _for_ever(self, life: Callable[[], Any]) -> None:
        """A bug in one of them must neither pass unseen nor end the module."""
        while True:
            try:
                await life()
            except Exception as error:
                logger.error("unforeseen failure", exc_info=error)  # noqa: TRY400
                await asyncio.sleep(_FIRST_WAIT_S)

    # --- Listener: called by threads of the client

    def arrived(self, arrival: Arrival, acknowledge: Acknowledge) -> None:
        """A message came."""
        self._intake.arrived(arrival, acknowledge)

    def asked(self, name: str, payload: object, respond: Respond) -> None:
        """A direct method was called."""
        self._call(lambda: self._spawn(self._answer_method(name, payload, respond)))

    def wanted(self, patch: Mapping[str, Any]) -> None:
        """Desired properties were changed."""
        self._call(partial(self._on_patch, patch))

    def lost(self) -> None:
        """The connection is gone."""
        self._intake.disconnected()
        self._call(self._lost.set)

    def _call(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            logger.debug("the loop has ended")

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

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
            self._counts.connections += 1
            self._reported.forget()
            self._desired.replace(desired)
            self._apply()
            self._connection = connection
            logger.info("connected", extra={"fields": {"connections": self._counts.connections}})
            self._work.set()
            await self._lost.wait()
            self._connection = None
            logger.warning("connection lost")
            await connection.close()
            self._intake.disconnected()
            await asyncio.sleep(_wait_s(0))

    async def _tick(self) -> None:
        """What has to be looked at from time to time."""
        while True:
            connection = self._connection
            if connection is not None and connection.alive:
                await self._settle(connection)
            self._work.set()
            await asyncio.sleep(_TICK_S)

    async def _settle(self, connection: Connection) -> None:
        wanted = self._takes
        try:
            if connection.taking is not wanted and not self._stopping:
                await connection.take_inputs(wanted)
                logger.info("inputs", extra={"fields": {"taking": wanted, "state": self.state}})
            report = self.report()
            patch = self._reported.due(report)
            if patch is not None:
                await connection.report(patch)
                self._reported.told(report, patch)
        except Exception as error:  # noqa: BLE001 - of many kinds, and all mean the same
            logger.warning("the hub does not answer: %s %s", type(error).__name__, error)
            self._lost.set()
        overflowed = self._intake.overflowed and self._intake.has_room
        if overflowed or self._flight.oldest_s() > _STALLED_S:
            logger.warning("another connection is needed", extra={"fields": {"overflowed": overflowed}})
            self._lost.set()

    # --- messages

    @property
    def _ready(self) -> bool:
        repository = self._serving.repository
        return repository.state == "ready" and any(slot.state == "ready" for slot in repository.slots)

    @property
    def _takes(self) -> bool:
        return self._ready and not self._wishes.hold and not self._stopping

    @property
    def _may_answer(self) -> bool:
        connection = self._connection
        return connection is not None and connection.alive and self._ready and not self._wishes.hold

    @property
    def _wishes(self) -> Wishes:
        return self._desired.wishes

    async def _answer_messages(self) -> None:
        while True:
            if not (self._may_answer and self._flight.has_more and self._flight.has_room):
                self._work.clear()
                await self._work.wait()
                continue
            if self._wishes.max_delay_us and not self._stopping:
                await asyncio.sleep(self._wishes.max_delay_us / 1e6)
            try:
                answers = await self._answered()
            except Overloaded:  # requests over HTTP come first; messages can wait at the hub
                await asyncio.sleep(_TICK_S)
                continue
            if answers:
                await self._loop.run_in_executor(self._senders, self._send, answers)

    async def _answered(self) -> list[Answer]:
        """Answers to the next messages."""
        batch: list[Entry] = []

        def work(cancellation: "Cancellation") -> list[Answer]:
            batch[:] = self._flight.next_batch(_TOGETHER, _TOGETHER_BYTES)
            return self._answer(batch, cancellation)

        limit_s = self._serving.settings.request_timeout_s
        with self._serving.queue.enter() as place:
            try:
                async with asyncio.timeout(limit_s):
                    return await place.run(work)
            except TimeoutError:
                return await self._one_by_one(batch, limit_s)

    def _answer(self, batch: list[Entry], cancellation: "Cancellation") -> list[Answer]:
        if not batch:
            return []
        marked = [entry.id for entry in batch if entry.replayed and entry.attempts < MOST_ATTEMPTS]
        if marked:
            self._journal.mark(marked)
        answers = self._answerer.answer(
            batch,
            max_batch=self._wishes.max_batch,
            min_confidence=self._wishes.min_confidence,
            again=self._flight.again,
            cancellation=cancellation,
        )
        if marked:
            self._journal.unmark(marked)
        return answers

    async def _one_by_one(self, batch: list[Entry], limit_s: float) -> list[Answer]:
        """A run took too long: which message was it?"""
        answers: list[Answer] = []
        for entry in batch:
            try:
                with self._serving.queue.enter() as place:
                    async with asyncio.timeout(limit_s):
                        answers += await place.run(partial(self._answer, [entry]))
            except TimeoutError:
                error = late("of this module", limit_s, arrived=True)
                answers.append(self._answerer.refuse(entry, error, again=self._flight.again(entry)))
            except Overloaded:
                self._flight.failed(entry)
        return answers

    def _send(self, answers: list[Answer]) -> None:
        for answer in answers:
            connection = self._connection
            if connection is None or not connection.alive:
                self._flight.failed(answer.entry)
                continue
            connection.send(answer, partial(self._sent, answer))

    def _sent(self, answer: Answer, error: Exception | None) -> None:
        if error is not None:
            self._flight.failed(answer.entry)
            self._call(self._work.set)
            return
        repeated = self._flight.landed(answer.entry)
        counts = self._counts
        counts.answered += 1
        counts.errors += answer.output == ERRORS
        counts.uncertain += answer.output == UNCERTAIN
        counts.replayed += answer.entry.replayed
        counts.repeated += repeated
        self._intake.answered([answer.entry])
        if self._flight.has_more or not self._flight.count:
            self._call(self._work.set)

    # --- direct methods and desired properties

    async def _answer_method(self, name: str, payload: object, respond: Respond) -> None:
        status, answer = await self._methods.call(name, payload)
        logger.info("direct method", extra={"fields": {"method": name, "status": status}})
        await self._loop.run_in_executor(None, respond, status, answer)

    def _on_patch(self, patch: Mapping[str, Any]) -> None:
        if self._desired.patch(patch):
            self._apply()

    def _apply(self) -> None:
        """Make the wishes hold."""
        self._problems = dict(self._desired.problems)
        wishes, settings = self._wishes, self._serving.settings
        level = wishes.log_level or settings.log_level
        if level != self._said_level:
            self._said_level = level
            logging.getLogger("runtime").setLevel(level.upper())
        rate = settings.sample_rate if wishes.sample_rate is None else wishes.sample_rate
        try:
            self._sample(rate)
        except DrayError as error:
            self._problems["sample_rate"] = error.message
        if wishes.package is not None:
            self._problems["package"] = "this version of dray fetches no packages; deploy an image of it"
        self._work.set()

    def _sample(self, rate: float) -> None:
        samples, settings = self._serving.samples, self._serving.settings
        if samples is not None:
            samples.rate = rate
        elif rate > 0:
            self._serving.samples = open_samples(rate, settings.sample_file)

    # --- what is told

    @property
    def state(self) -> str:
        """``starting``, ``ready``, ``held`` or ``failed``."""
        state = self._serving.repository.state
        return "held" if state == "ready" and self._wishes.hold else state

    def counts(self) -> Messages:
        """As they stand."""
        self._counts.journaled, self._counts.journaled_bytes = self._journal.count, self._journal.size_bytes
        return self._counts

    def report(self) -> dict[str, Any]:
        """Reported properties; None where there is nothing to say."""
        slots = self._serving.repository.slots
        slot = next((slot for slot in slots if slot.error is not None), slots[0])
        manifest, package, model = slot.manifest, slot.package, slot.model
        return {
            "model": manifest.name if manifest else None,
            "version": manifest.version if manifest else None,
            "digest": package.digest if package else None,
            "provider": model.providers[0] if model else None,
            "state": self.state,
            "reason": slot.error.message[:1000] if slot.error is not None else None,
            "counts": asdict(self.counts()),
            "settings": {**self._settings(), "errors": self._all_problems()},
            "journal": self._journal_state(),
        }

    def _settings(self) -> dict[str, Any]:
        wishes, settings = self._wishes, self._serving.settings
        samples = self._serving.samples
        return {
            "hold": wishes.hold,
            "max_delay_us": wishes.max_delay_us or 0,
            "max_batch": wishes.max_batch or settings.max_batch,
            "min_confidence": wishes.min_confidence,
            "sample_rate": samples.rate if samples is not None else 0.0,
            "log_level": self._said_level,
        }

    def _all_problems(self) -> dict[str, str]:
        problems = dict(self._problems)
        models = [slot.manifest for slot in self._serving.repository.slots if slot.manifest is not None]
        if self._wishes.min_confidence is not None and models and not any(map(probabilities_of, models)):
            problems["min_confidence"] = "the model gives no probabilities of its classes; all answers are certain"
        return problems

    def _journal_state(self) -> str:
        if self._no_journal:
            return f"none: {self._no_journal}"
        return self._intake.trouble or "ok"


def _wait_s(failures: int) -> float:
    """Before another try: drawn by lot, so that a fleet does not come at once; longer each time."""
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**failures)
    return random.uniform(0.1, longest)  # noqa: S311 - no secret
