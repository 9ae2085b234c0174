"""What waits at an edge hub for a module or for the cloud: in order, bounded, each for its time."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from targets.rehearsal.iothub.routes import Message

MOST_MESSAGES = 100_000
MOST_BYTES = 256 << 20


class QueueFull(Exception):
    """No more can wait."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message on its way.

    Attributes:
        input: Of the module that it goes to.
        until: By the monotonic clock.
        again: It was sent before, and nobody said that it came.
    """

    message: Message
    input: str
    priority: int
    until: float
    again: bool = False


@dataclass(slots=True)
class MessageQueue:
    """Messages for one end point; the lower priority goes first, within it the older."""

    clock: Callable[[], float] = time.monotonic
    expired: int = 0
    _lines: dict[int, deque[Waiting]] = field(default_factory=dict)
    _count: int = 0
    _bytes: int = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiting]:
        for priority in sorted(self._lines):
            yield from self._lines[priority]

    def full_for(self, message: Message) -> bool:
        """Whether a message has no room."""
        return self._count >= MOST_MESSAGES or self._bytes + message.size > MOST_BYTES

    def add(self, waiting: Waiting) -> None:
        """Let one wait.

        Raises:
            QueueFull: There is no room.
        """
        if self.full_for(waiting.message):
            raise QueueFull
        self._lines.setdefault(waiting.priority, deque()).append(waiting)
        self._note(waiting, 1)

    def put_back(self, waiting: Waiting) -> None:
        """Let one go before all others of its priority; there is always room for what was here."""
        self._lines.setdefault(waiting.priority, deque()).appendleft(waiting)
        self._note(waiting, 1)

    def take(self) -> Waiting | None:
        """The next that has not waited too long; None where none waits."""
        for priority in sorted(self._lines):
            line = self._lines[priority]
            while line:
                waiting = line.popleft()
                self._note(waiting, -1)
                if waiting.until > self.clock():
                    return waiting
                self.expired += 1
            del self._lines[priority]
        return None

    def clear(self) -> None:
        """Forget all."""
        self._lines.clear()
        self._count = self._bytes = 0

    def _note(self, waiting: Waiting, sign: int) -> None:
        self._count += sign
        self._bytes += sign * waiting.message.size
