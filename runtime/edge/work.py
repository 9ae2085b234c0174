"""Messages from the journal to the hub: answered in batches, sent in order, forgotten when the hub has the answer."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from runtime.edge.answering import MOST_ATTEMPTS, Answerer
from runtime.edge.connection import Connection
from runtime.edge.flight import Flight
from runtime.edge.intake import Intake
from runtime.edge.journal import Entry, Journal
from runtime.edge.messages import ERRORS, UNCERTAIN, Answer
from runtime.edge.twin import Wishes
from runtime.errors import MessageTooLarge, Overloaded
from runtime.routes.inference import late
from runtime.routes.serving import Serving
from runtime.telemetry import Messages

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation

logger = logging.getLogger(__name__)

_TOGETHER: Final = 64
_TOGETHER_BYTES: Final = 4 << 20
_YIELD_S: Final = 0.1


class Work:
    """The way of messages through a module. Belongs to the event loop's thread where nothing else is said.

    Args:
        wishes: That hold now.
        broken: Called, by any thread, when an answer could not be sent: another connection is needed.

    Attributes:
        connection: Where answers go; None while there is none.
        stopping: Whether to hurry: the process ends soon.
        allowed: Whether messages may be answered now.
    """

    def __init__(
        self,
        serving: Serving,
        journal: Journal,
        counts: Messages,
        wishes: Callable[[], Wishes],
        broken: Callable[[], None],
    ) -> None:
        self.connection: Connection | None = None
        self.stopping = False
        self.allowed: Callable[[], bool] = lambda: False
        self._serving, self._journal, self._counts = serving, journal, counts
        self._wishes, self._broken = wishes, broken
        self._loop = asyncio.get_running_loop()
        self._come = asyncio.Event()
        self._senders = ThreadPoolExecutor(1, thread_name_prefix="edge-send")
        self.flight = Flight(journal)
        self.intake = Intake(journal, counts, self.flight.removed, self.look_threadsafe)
        self.answerer = Answerer(serving, journal.uid)

    @property
    def can_answer(self) -> bool:
        """Whether an answer would reach the hub, and may be given."""
        connection = self.connection
        return connection is not None and connection.alive and self.allowed()

    def look(self) -> None:
        """Something may have changed."""
        self._come.set()

    def look_threadsafe(self) -> None:
        """As ``look``, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._come.set)
        except RuntimeError:
            logger.debug("the event loop has ended")

    async def run(self) -> None:
        """Answer what comes, for ever."""
        while True:
            if not (self.can_answer and self.flight.has_more and self.flight.has_room):
                self._come.clear()
                await self._come.wait()
                continue
            if (delay_us := self._wishes().max_delay_us) and not self.stopping:
                await asyncio.sleep(delay_us / 1e6)
            batch = await asyncio.to_thread(self.flight.next_batch, _TOGETHER, _TOGETHER_BYTES)
            if batch and (answers := await self._answered(batch)):
                self._senders.submit(self._send, answers)  # while the next ones are being answered

    async def _answered(self, batch: list[Entry]) -> list[Answer]:
        limit_s = self._serving.settings.request_timeout_s
        try:
            return await self._in_a_place(batch, limit_s)
        except TimeoutError:
            logger.warning("messages take too long", extra={"fields": {"messages": len(batch)}})
        except BaseException as error:
            self._give_back(batch)
            if isinstance(error, Overloaded):  # requests over HTTP come first; messages can wait
                await asyncio.sleep(_YIELD_S)
                return []
            raise
        return await self._one_by_one(batch, limit_s)

    async def _in_a_place(self, batch: list[Entry], limit_s: float) -> list[Answer]:
        """Answers of one run, or of a few; in a thread, and in the queue of all that is asked."""
        with self._serving.queue.enter() as place:
            async with asyncio.timeout(limit_s):
                return await place.run(partial(self._answer, batch))

    def _answer(self, batch: list[Entry], cancellation: "Cancellation") -> list[Answer]:
        wishes = self._wishes()
        marked = [entry.id for entry in batch if entry.replayed and entry.attempts < MOST_ATTEMPTS]
        self._try(partial(self._journal.mark, marked), marked)
        answers = self.answerer.answer(
            batch,
            max_batch=wishes.max_batch,
            min_confidence=wishes.min_confidence,
            again=self.flight.again,
            cancellation=cancellation,
        )
        self._try(partial(self._journal.unmark, marked), marked)
        return answers

    def _try(self, change: Callable[[], None], ids: list[int]) -> None:
        """Attempts are counted where that is possible; a full disk does not keep messages from being answered."""
        if not ids:
            return
        try:
            change()
        except sqlite3.Error as error:
            logger.warning("attempts are not counted: %s", error)

    async def _one_by_one(self, batch: list[Entry], limit_s: float) -> list[Answer]:
        """A run took too long: which message was it?"""
        answers: list[Answer] = []
        for at, entry in enumerate(batch):
            try:
                answers += await self._in_a_place([entry], limit_s)
            except TimeoutError:
                error = late("of this module", limit_s, arrived=True)
                answers.append(self.answerer.refuse(entry, error, again=self.flight.again(entry)))
            except BaseException as error:
                self._give_back(batch[at:])
                if isinstance(error, Overloaded):
                    break
                raise
        return answers

    def _give_back(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.flight.failed(entry)

    def _send(self, answers: list[Answer]) -> None:
        """Hand answers to the client, one after the other; by a thread of its own."""
        for answer in answers:
            connection = self.connection
            try:
                if connection is None or not connection.alive:
                    self.flight.failed(answer.entry)
                else:
                    connection.send(answer, partial(self._sent, answer))
            except Exception as error:
                logger.error("unforeseen failure", exc_info=error)  # noqa: TRY400
                self._sent(answer, error)

    def _sent(self, answer: Answer, error: Exception | None) -> None:
        """The hub has an answer, or will not get it; called by threads of the client."""
        if error is None:
            self._landed(answer)
        elif isinstance(error, ValueError | TypeError) and answer.output != ERRORS:
            told = MessageTooLarge(
                f"the client does not send the answer: {error}", hint="use fewer or other properties"
            )
            refusal = self.answerer.refuse(answer.entry, told, again=self.flight.again(answer.entry))
            self._senders.submit(self._send, [refusal])
        else:
            self.flight.failed(answer.entry)
            self._broken()

    def _landed(self, answer: Answer) -> None:
        counts = self._counts
        counts.answered += 1
        counts.repeated += self.flight.landed(answer.entry)
        counts.errors += answer.output == ERRORS
        counts.uncertain += answer.output == UNCERTAIN
        counts.replayed += answer.entry.replayed
        self.intake.answered([answer.entry])
        if self.flight.has_more:
            self.look_threadsafe()
