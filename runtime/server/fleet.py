"""The workers as processes: forked, listened to, buried."""

import ctypes
import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from runtime.contract.errors import DrayError
from runtime.routes.counts import Counts
from runtime.server.accepting import Board
from runtime.server.channel import Channel, pair
from runtime.server.worker import Assignment

logger = logging.getLogger(__name__)

# ``rising`` until it runs, ``up`` while it waits for its word, ``discarded`` when it was killed on purpose.
Stage = Literal["rising", "up", "serving", "retiring", "discarded"]

# A worker that dies younger than this may die again: the next one waits, longer each time.
_YOUNG_S: Final = 5.0
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 10.0
_TASKS: Final = Path("/proc/self/task")
_PR_SET_PDEATHSIG: Final = 1


@dataclass(slots=True, eq=False)
class Worker:
    """One process.

    Attributes:
        generation: Which state of the server it was forked from.
        errors: Why models cannot serve, by the serial number of their slots.
        quiet: It retires, and has answered all but what waits for the supervisor.
        counts: As it last told.
        deadline: When it is killed if it has not ended by then.
    """

    pid: int
    channel: Channel
    place: int
    generation: int
    born: float
    stage: Stage = "rising"
    errors: Mapping[int, DrayError] = field(default_factory=dict)
    quiet: bool = False
    counts: Counts = field(default_factory=Counts)
    deadline: float | None = None

    @property
    def lived_s(self) -> float:
        """Its age."""
        return time.monotonic() - self.born


class Backoff:
    """When a worker may be forked after others have died."""

    def __init__(self) -> None:
        self._young_deaths = 0
        self.not_before = 0.0

    def died(self, *, lived_s: float) -> None:
        """At once for the first; later for each that died young after it."""
        now = time.monotonic()
        self._young_deaths = self._young_deaths + 1 if lived_s < _YOUNG_S else 0
        if self._young_deaths > 1:
            exponent = min(self._young_deaths - 2, 10)
            self.not_before = now + min(_FIRST_DELAY_S * 2**exponent, _LONGEST_DELAY_S)


class Fleet:
    """All workers that live.

    Args:
        run: What a worker does; the process ends after it.
        forget: Lets go, in a new worker, of what is the supervisor's.
    """

    def __init__(self, places: int, *, run: Callable[[Assignment], None], forget: Callable[[], None]) -> None:
        self.workers: list[Worker] = []
        self._board = Board(places)
        self._free = set(range(places))
        self._run, self._forget = run, forget
        self._libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None

    def of(self, generation: int) -> list[Worker]:
        """Those of a generation that were not told to end."""
        return [each for each in self.workers if each.generation == generation and each.stage in _STAYING]

    def fork(self, generation: int, *, loads: bool) -> Worker | None:
        """One more worker; None where every place is taken by one that has not ended yet."""
        if not self._free:
            return None
        place = min(self._free)
        mine, others = pair()
        supervisor = os.getpid()
        pid = os.fork()
        if pid == 0:
            mine.close()
            self._live(Assignment(others, self._board, place, loads), supervisor)
        others.close()
        self._free.discard(place)
        worker = Worker(pid, mine, place, generation, time.monotonic())
        self.workers.append(worker)
        return worker

    def reap(self) -> list[tuple[Worker, int]]:
        """Workers that have ended, with the status that ``os.waitstatus_to_exitcode`` gives."""
        ended = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for worker in [each for each in self.workers if each.pid == pid]:
                ended.append((worker, os.waitstatus_to_exitcode(status)))
                self.workers.remove(worker)
                self._board.leave(worker.place)
                self._free.add(worker.place)
        return ended

    def kill(self, worker: Worker) -> None:
        """End it at once."""
        os.kill(worker.pid, signal.SIGKILL)

    def _live(self, assignment: Assignment, supervisor: int) -> None:
        """In the new process: be a worker, and never return."""
        from runtime.server.run import leave

        status = 1
        try:
            for other in self.workers:
                other.channel.close()
            self._forget()
            if self._libc is not None:
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == supervisor:
                self._run(assignment)
            status = 0
        except BaseException:
            logger.exception("a worker stops")
        finally:
            leave(status)


_STAYING: Final = frozenset({"rising", "up", "serving"})


def fate(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def wait_until_alone(timeout_s: float = 0.5) -> int:
    """Threads of this process, once those that have been joined are gone: a fork takes only the one that calls it."""
    deadline = time.monotonic() + timeout_s
    for _ in itertools.count():
        try:
            threads = len(list(_TASKS.iterdir()))
        except OSError:  # not Linux
            return 1
        if threads == 1 or time.monotonic() > deadline:
            return threads
        time.sleep(0.001)
    raise AssertionError
