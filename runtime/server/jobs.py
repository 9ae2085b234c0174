"""What changes the state that workers are forked from: the start, a model loaded or unloaded, a port taken over."""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from runtime.contract.errors import DrayError
from runtime.errors import ModelLoadFailed
from runtime.routes.serving import Serving
from runtime.server.fleet import Worker
from runtime.server.messages import Answer, Wanted
from runtime.server.sockets import address_of, listen_shared

logger = logging.getLogger(__name__)

_UNFORESEEN: Final = "this is a bug in dray; the log holds the traceback"


@dataclass(slots=True, eq=False)
class Job:
    """One change, until the workers that have the new state have taken over from those that have not.

    Attributes:
        prepare: Makes the new state, in a thread, and returns the serial numbers of what it loaded; what it raises says
            why there is none.
        undo: Puts the state back that was before.
        done: Told in the end, with why it failed if it did.
        must_succeed: Whether the old generation serves on where the new one cannot; else it has to make way.
        of_handover: Every worker tells of its failure.
        fresh: Serial numbers of what is loaded for it.
        prepared: The thread is over.
        before: Generation and number of workers that it takes over from.
    """

    prepare: Callable[[], frozenset[int]]
    done: Callable[[DrayError | None], None]
    undo: Callable[[], None] = lambda: None
    must_succeed: bool = True
    of_handover: bool = False
    stage: Literal["preparing", "rising", "retiring"] = "preparing"
    error: DrayError | None = None
    prepared: bool = False
    fresh: frozenset[int] = frozenset()
    before: tuple[int, int] = (0, 1)

    def try_to_prepare(self) -> None:
        """Prepare, and keep why it failed."""
        self.error = ModelLoadFailed("the change ended unexpectedly", hint=_UNFORESEEN)
        try:
            self.fresh = self.prepare()
        except DrayError as error:
            self.error = error
        else:
            self.error = None


@dataclass(slots=True)
class JobsOfServer:
    """Makes them.

    Args:
        listeners: The supervisor's; workers are forked with all of them.
        loads_itself: Whether models are loaded here, or read here and loaded by each worker.
    """

    serving: Serving
    listeners: list[socket.socket]
    loads_itself: bool
    _took_over: bool = field(default=False, init=False)

    def start(self) -> Job:
        """Load all models for the first time; a package that fails is served as failed."""
        repository = self.serving.repository

        def prepare() -> frozenset[int]:
            if self.loads_itself:
                repository.load()
            else:
                repository.read()
            return frozenset()

        return Job(prepare, lambda _: None, must_succeed=False)

    def change(self, worker: Worker, wanted: Wanted) -> Job:
        """What a client of a worker wants; it is answered when all workers have it."""
        repository, before = self.serving.repository, self.serving.repository.slots

        def prepare() -> frozenset[int]:
            nonlocal before
            before = repository.slots
            if wanted.verb == "load":
                repository.reload(wanted.model, load=self.loads_itself)
            else:
                repository.unload(wanted.model)
            return frozenset(slot.serial for slot in repository.slots if slot not in before)

        def undo() -> None:
            repository.slots = before

        return Job(prepare, lambda error: worker.channel.send(Answer(wanted.number, error)), undo)

    def take_over(self) -> Job | None:
        """Listen on the public port beside the process that this one relieves; None where there is nothing to do."""
        settings, serving = self.serving.settings, self.serving
        if settings.standby_port is None:
            logger.warning("SIGUSR1 is ignored: DRAY_STANDBY_PORT is not set, so there is no port to take over")
            return None
        if self._took_over:
            return None
        taken: list[socket.socket] = []

        def prepare() -> frozenset[int]:
            taken.extend(listen_shared(settings.host, settings.port))
            self._listen([*self.listeners, *taken])
            serving.handover_error = None
            return frozenset()

        def undo() -> None:
            self._listen([each for each in self.listeners if each not in taken])
            for listener in taken:
                listener.close()

        def done(error: DrayError | None) -> None:
            self._took_over = error is None
            if error is None:
                logger.info("took over", extra={"fields": {"addresses": serving.addresses}})
            else:
                facts = {"error_code": error.code, "error": error.message, "hint": error.hint}
                logger.error("hand-over failed", extra={"fields": facts})

        self._took_over = True  # on its way: another signal changes nothing
        return Job(prepare, done, undo, of_handover=True)

    def _listen(self, listeners: list[socket.socket]) -> None:
        self.listeners[:] = listeners
        self.serving.addresses = [address_of(each) for each in listeners]
