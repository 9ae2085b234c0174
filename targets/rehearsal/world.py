"""What the API of a cloud's stand-in is made from."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packager.core.errors import UsageError
from targets.rehearsal.workload import Runner


class Faults:
    """What shall go wrong, by name, and how often still; asked where it would strike."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = known
        self._left: dict[str, int | None] = {}
        self._lock = threading.Lock()

    def set(self, wanted: tuple[str, ...]) -> None:
        """Let these go wrong from now on, and nothing else.

        Args:
            wanted: Each ``NAME``, for every time, or ``NAME:TIMES``.

        Raises:
            UsageError: One is not known.
        """
        left = dict(self._parsed(each) for each in wanted)
        with self._lock:
            self._left = left

    def due(self, name: str) -> bool:
        """Whether it strikes now; once told, that time is used up."""
        with self._lock:
            if name not in self._left:
                return False
            left = self._left[name]
            if left is not None:
                self._left = {**self._left, name: left - 1}
                if left <= 1:
                    del self._left[name]
            return True

    def holds(self, name: str) -> bool:
        """Whether it would strike now; no time is used up."""
        with self._lock:
            return name in self._left

    def _parsed(self, wanted: str) -> tuple[str, int | None]:
        name, colon, times = wanted.partition(":")
        if name not in self.known:
            raise UsageError(f"no fault is called {name!r}", hint=f"one of {', '.join(self.known)}")
        if colon and not (times.isdecimal() and int(times)):
            raise UsageError(f"a fault strikes a number of times, not {times!r}", hint=f"for example {name}:1")
        return name, int(times) if colon else None


@dataclass(frozen=True, slots=True)
class World:
    """What an API gets to stand in for its cloud.

    Attributes:
        token: That every request must carry, as ``Authorization: Bearer``.
        registry: Host and port of the stand-in's registry.
        held: To be told how many deployments there are after each change; with none left the stand-in ends.
        folder: The stand-in's own, which goes with it; only this user can look into it.
    """

    token: str = field(repr=False)
    runner: Runner
    faults: Faults
    registry: str
    held: Callable[[int], None]
    folder: Path
