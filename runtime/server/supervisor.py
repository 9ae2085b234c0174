"""The process above the workers: it listens, loads, forks, and sees that there are as many as were asked for.

What the workers serve changes in one way only: a new *generation* is forked from the new state, and when it is ready
the old one accepts no more, finishes what it has and ends. So the server starts (the first generation is one worker
that answers the probes while the models load), loads and unloads, and takes over a port. All workers accept from the
same sockets, so nothing waits at one that is gone.

It answers no request itself. It has one thread, but for the time in which it loads: a fork takes only the one that
calls it, and whatever the others held would be held for ever. No worker is forked meanwhile.
"""

import gc
import logging
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from runtime.contract.errors import DrayError
from runtime.errors import Draining, ModelLoadFailed
from runtime.routes.serving import Serving
from runtime.server.backlog import stop_all
from runtime.server.fleet import Backoff, Fleet, Worker, fate, wait_until_alone
from runtime.server.jobs import Job, JobsOfServer
from runtime.server.messages import Ask, Counted, Drain, HandoverFailed, Leaving, Quiet, Retire, Serve, Up, Wanted
from runtime.server.sockets import address_of
from runtime.server.tally import Tally
from runtime.server.wakeup import Wakeup
from runtime.server.worker import Assignment

logger = logging.getLogger(__name__)

# Above the workers' own, which they know better how to end; below the 30 s after which Kubernetes kills.
_GRACE_S: Final = 27.0
_FORCED_S: Final = 1.0


RunWorker = Callable[[Assignment, list[socket.socket]], None]


class Supervisor:
    """Of one server.

    Args:
        run: What a worker does.
        loads_itself: Whether workers come with the models that the supervisor has loaded; else each loads its own.
    """

    def __init__(
        self,
        serving: Serving,
        listeners: list[socket.socket],
        run: RunWorker,
        *,
        loads_itself: bool,
    ) -> None:
        self._serving, self._listeners = serving, listeners
        self._loads_itself = loads_itself
        self._fleet = Fleet(
            2 * serving.settings.workers + 2,
            run=lambda assignment: run(assignment, self._listeners),
            forget=self._forget,
        )
        self._tally, self._backoff = Tally(), Backoff()
        self._selector = selectors.DefaultSelector()
        self._wakeup = Wakeup()
        self._generation, self._wanted = 0, 1
        self._failed: frozenset[int] = frozenset()
        self._jobs: deque[Job] = deque()
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._of_server = JobsOfServer(serving, listeners, loads_itself=loads_itself)
        self._draining = False

    def run(self) -> None:
        """Serve until told to stop and until every worker has ended."""
        self._serving.addresses = [address_of(each) for each in self._listeners]
        logger.info("listening", extra={"fields": {"addresses": self._serving.addresses}})
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        with self._wakeup.handled_signals():
            self._fork_missing()
            self._jobs.append(self._of_server.start())
            while not (self._draining and not self._fleet.workers):
                self._turn()

    # --- one turn

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience_s()):
            if isinstance(key.data, Worker):
                self._hear(key.data)
        for number in self._wakeup.taken():
            self._on_signal(number)
        for worker, code in self._fleet.reap():
            self._on_death(worker, code)
        self._advance()
        self._fork_missing()
        serials = {slot.serial for slot in self._serving.repository.slots}
        self._tally.settle(self._fleet.workers, serials)
        for worker in self._fleet.workers:
            worker.channel.flush()
        for worker in self._fleet.workers:
            if worker.deadline is not None and time.monotonic() > worker.deadline:
                logger.warning("a worker does not end and is killed", extra={"fields": {"worker": worker.pid}})
                self._fleet.kill(worker)
                worker.deadline = None

    def _patience_s(self) -> float | None:
        """How long nothing needs to be done unless something comes."""
        due = [*self._tally.deadlines()]
        due += [worker.deadline for worker in self._fleet.workers if worker.deadline is not None]
        if not self._draining and len(self._fleet.of(self._generation)) < self._wanted and self._thread is None:
            due.append(self._backoff.not_before)
        if any(worker.channel.unsent for worker in self._fleet.workers):
            due.append(time.monotonic() + 0.01)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _fork_missing(self) -> None:
        """As many workers as were asked for, of the newest generation."""
        if self._draining or self._thread is not None:
            return
        while len(self._fleet.of(self._generation)) < self._wanted and time.monotonic() >= self._backoff.not_before:
            if (threads := wait_until_alone()) > 1:
                logger.warning("the supervisor forks with %d threads; a worker may miss what they held", threads)
            gc.freeze()  # a collection in a worker would write to the pages that it shares
            loads = self._generation > 0 and not self._loads_itself
            worker = self._fleet.fork(self._generation, loads=loads)
            if worker is None:
                self._backoff.not_before = time.monotonic() + 0.05
                return
            self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    # --- what workers tell

    def _hear(self, worker: Worker) -> None:
        for message in worker.channel.receive():
            self._on_message(worker, message)
        if worker.channel.closed:
            self._stop_hearing(worker)

    def _stop_hearing(self, worker: Worker) -> None:
        try:
            self._selector.unregister(worker.channel)
        except (KeyError, ValueError):  # its end was heard before
            return

    def _on_message(self, worker: Worker, message: object) -> None:
        if isinstance(message, Up):
            self._on_up(worker, message)
        elif isinstance(message, Quiet):
            worker.quiet = True
        elif isinstance(message, Leaving) and not self._draining:
            self._retire(worker)
        elif isinstance(message, Ask):
            self._tally.ask(worker, message, self._fleet.workers)
        elif isinstance(message, Counted):
            self._tally.counted(worker, message)
        elif isinstance(message, Wanted):
            self._jobs.append(self._of_server.change(worker, message))

    def _on_up(self, worker: Worker, message: Up) -> None:
        if worker.stage != "rising":
            return
        worker.stage, worker.errors = "up", message.errors
        rising = self._job is not None and worker.generation == self._generation and self._job.stage == "rising"
        if self._generation == 0:
            self._serve(worker)
        elif not rising and not message.errors.keys() <= self._failed:
            # The others serve: one that cannot must not.
            problem = next(error for serial, error in message.errors.items() if serial not in self._failed)
            fields = {"worker": worker.pid, "error_code": problem.code, "error": problem.message}
            logger.error("a new worker cannot serve", extra={"fields": fields})
            self._discard(worker)
            self._backoff.died(lived_s=worker.lived_s)
        elif not rising:
            self._serve(worker)

    def _serve(self, worker: Worker) -> None:
        worker.stage = "serving"
        worker.channel.send(Serve())

    def _retire(self, worker: Worker) -> None:
        if worker.stage in ("rising", "up", "serving"):
            worker.stage = "retiring"
            worker.deadline = time.monotonic() + _GRACE_S
            worker.channel.send(Retire())

    def _discard(self, worker: Worker) -> None:
        worker.stage = "discarded"
        self._fleet.kill(worker)

    def _on_death(self, worker: Worker, code: int) -> None:
        if not worker.channel.closed:
            self._hear(worker)  # its last words
        self._stop_hearing(worker)
        worker.channel.close()
        self._tally.bury(worker)
        if self._draining or worker.stage in ("retiring", "discarded"):
            if code != 0 and worker.stage != "discarded":
                logger.warning("a worker ended with %s", fate(code), extra={"fields": {"worker": worker.pid}})
            return
        logger.error(
            "a worker died of %s; another takes its place", fate(code), extra={"fields": {"worker": worker.pid}}
        )
        self._tally.restarts += 1
        job = self._job
        if job is not None and job.stage == "rising" and job.must_succeed and worker.generation == self._generation:
            self._abandon(job, ModelLoadFailed(f"a worker with the new state died of {fate(code)}"))
            return
        self._backoff.died(lived_s=worker.lived_s)

    # --- changes of state

    def _advance(self) -> None:
        """Take the change that is going on as far as it goes, and begin the next."""
        if self._draining:
            return
        if self._job is None and self._jobs:
            self._job = self._jobs.popleft()
            self._thread = threading.Thread(target=self._prepare, args=(self._job,), name="load", daemon=True)
            self._thread.start()
        job = self._job
        if job is None:
            return
        if job.prepared and self._thread is not None:
            self._thread.join()
            self._thread = None
            self._begin_to_rise(job)
        if job.stage == "rising":
            self._look_at_rising(job)
        if job.stage == "retiring" and all(each.quiet for each in self._fleet.workers if each.stage == "retiring"):
            self._job = None
            job.done(None)
            self._wakeup.wake()

    def _prepare(self, job: Job) -> None:
        """In a thread of its own."""
        try:
            job.try_to_prepare()
        finally:
            gc.enable()
            job.prepared = True
            self._wakeup.wake()

    def _begin_to_rise(self, job: Job) -> None:
        if job.error is not None:
            self._job = None
            self._tell_of_failure(job, job.error)
            return
        if self._generation > 0:
            # What was frozen for the last generation may have become garbage, which only a collection finds.
            gc.unfreeze()
            gc.collect()
        job.before = (self._generation, self._wanted)
        job.stage = "rising"
        self._generation, self._wanted = self._generation + 1, self._serving.settings.workers

    def _look_at_rising(self, job: Job) -> None:
        new = self._fleet.of(self._generation)
        failed = {serial: error for each in new for serial, error in each.errors.items()}
        if job.must_succeed and (serials := job.fresh & failed.keys()):
            self._abandon(job, failed[min(serials)])
            return
        enough = len(new) >= self._wanted if job.must_succeed else bool(new)
        if enough and all(each.stage == "up" for each in new):
            self._failed = frozenset(failed)
            for each in new:
                self._serve(each)
            for each in [each for each in self._fleet.workers if each.generation != self._generation]:
                self._retire(each)
            job.stage = "retiring"

    def _abandon(self, job: Job, error: DrayError) -> None:
        """Back to what was: the old generation serves on."""
        for worker in self._fleet.of(self._generation):
            self._discard(worker)
        self._generation, self._wanted = job.before
        self._job = None
        job.undo()
        self._tell_of_failure(job, error)

    def _tell_of_failure(self, job: Job, error: DrayError) -> None:
        job.done(error)
        if job.of_handover:
            self._serving.handover_error = error
            for worker in self._fleet.workers:
                worker.channel.send(HandoverFailed(error))
        self._wakeup.wake()

    # --- signals and the end

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if not self._draining:
                self._drain()
            elif number == signal.SIGINT:
                for worker in self._fleet.workers:
                    worker.deadline = time.monotonic() + _FORCED_S
                    worker.channel.send(Drain(stopped=True, at_once=True))
        elif number == signal.SIGUSR1 and not self._draining:
            job = self._of_server.take_over()
            if job is not None:
                self._jobs.append(job)

    def _drain(self) -> None:
        self._draining = True
        ends = Draining("the server is draining: it finishes what it has and stops")
        for job in [*([self._job] if self._job is not None else []), *self._jobs]:
            job.done(ends)
        stopped = stop_all(self._listeners)
        for worker in self._fleet.workers:
            worker.deadline = time.monotonic() + _GRACE_S
            worker.channel.send(Drain(stopped=stopped))

    def _forget(self) -> None:
        """In a new worker: what is the supervisor's alone."""
        self._wakeup.forget()
        self._selector.close()
