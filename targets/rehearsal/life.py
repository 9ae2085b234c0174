"""How long a stand-in lives: while it holds deployments, and a little longer for who still looks."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from targets.kit.engine.process import ProcessIdentity

# After the last request: with the last deployment gone, a client may still ask how that ended.
LINGER_S: Final = 3.0
# Nothing was deployed yet, and who opened it lives: it may convert a model for long.
IDLE_S: Final = 1800.0
# Nobody that is known opened it.
STRANGERS_S: Final = 300.0


@dataclass(slots=True)
class Life:
    """Facts by which a stand-in knows when to end; told from any thread.

    Attributes:
        alive: Whether a process still runs.
    """

    alive: Callable[[ProcessIdentity], bool]
    clock: Callable[[], float] = time.monotonic
    held: int = 0
    _has_held: bool = False
    _ends: bool = False
    _answering: int = 0
    _last: float = 0.0
    _opener: ProcessIdentity | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def hold(self, count: int) -> None:
        """So many deployments are there now."""
        with self._lock:
            self.held = count
            self._has_held = self._has_held or count > 0
            self._last = self.clock()

    def open(self, opener: ProcessIdentity | None) -> None:
        """Somebody begins to work with it."""
        with self._lock:
            self._opener = opener
            self._has_held = self.held > 0

    def begin_request(self) -> bool:
        """A request came; False where it came too late."""
        with self._lock:
            if not self._ends:
                self._answering += 1
            return not self._ends

    def end_request(self) -> None:
        """It was answered."""
        with self._lock:
            self._answering -= 1
            self._last = self.clock()

    def end(self) -> None:
        """It shall end whatever it holds."""
        with self._lock:
            self._ends = True

    def over(self) -> bool:
        """Whether it ends now; once that is said no request is taken."""
        with self._lock:
            self._ends = self._ends or self._unneeded()
            return self._ends

    def _unneeded(self) -> bool:
        quiet_s = self.clock() - self._last
        if self.held or self._answering or quiet_s < LINGER_S:
            return False
        if self._has_held:
            return True
        if self._opener is None:
            return quiet_s >= STRANGERS_S
        return quiet_s >= IDLE_S or not self.alive(self._opener)
