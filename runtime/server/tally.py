"""The counters of all workers, those that have ended included: sums that never fall."""

import itertools
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from runtime.routes.counts import Counts
from runtime.server.fleet import Worker
from runtime.server.messages import Answer, Ask, Count, Counted

# A worker that does not answer in this time is counted as it last was.
_PATIENCE_S: Final = 1.0


@dataclass(slots=True)
class _Question:
    """One worker's, while the others are asked."""

    asker: Worker
    asked_as: int
    missing: set[Worker]
    deadline: float


class Tally:
    """Asks the workers for their counters when one of them wants the sum.

    Attributes:
        restarts: Workers that died.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self._ended = Counts()
        self._questions: dict[int, _Question] = {}
        self._numbers = itertools.count(1)

    def ask(self, asker: Worker, message: Ask, workers: Iterable[Worker]) -> None:
        """A worker wants the sum."""
        asker.counts = message.counts
        number = next(self._numbers)
        others = {each for each in workers if each is not asker and each.stage != "rising"}
        self._questions[number] = _Question(asker, message.number, others, time.monotonic() + _PATIENCE_S)
        for each in others:
            each.channel.send(Count(number))

    def counted(self, worker: Worker, message: Counted) -> None:
        """A worker's counters have come."""
        worker.counts = message.counts
        question = self._questions.get(message.number)
        if question is not None:
            question.missing.discard(worker)

    def bury(self, worker: Worker) -> None:
        """A worker has ended: what it last told stays in the sums."""
        self._ended = self._ended.plus(worker.counts.ended())
        for question in self._questions.values():
            question.missing.discard(worker)

    def settle(self, workers: Collection[Worker], serials: Collection[int]) -> None:
        """Answer what can be answered.

        Args:
            serials: Of the slots that are served now.
        """
        now = time.monotonic()
        for number in [key for key, each in self._questions.items() if not each.missing or now >= each.deadline]:
            question = self._questions.pop(number)
            question.asker.channel.send(Answer(question.asked_as, self._total(workers, serials)))

    def deadlines(self) -> Iterator[float]:
        """When ``settle`` has something to do though nobody answers."""
        return (question.deadline for question in self._questions.values())

    def _total(self, workers: Collection[Worker], serials: Collection[int]) -> Counts:
        self._ended = total = self._ended.of_models(serials)
        for worker in workers:
            total = total.plus(worker.counts)
        answering = sum(worker.stage == "serving" for worker in workers)
        return replace(total.of_models(serials), workers=answering, restarts=self.restarts)
