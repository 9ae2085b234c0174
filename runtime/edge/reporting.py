"""Reported properties: what changed since the hub was last told, and no more often than is good for a fleet."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from runtime.edge.twin import SECTION

# Counts change all the time. Source: Azure IoT Hub, "Quotas and throttling": 10 twin updates a second and unit of S1.
_COUNTS_EVERY_S: Final = 10.0
_EVERY_S: Final = 0.2
_OFTEN: Final = ("counts",)


class Reported:
    """What the hub knows of the module."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, Any] = {}
        self._known = False
        self._next_s = 0.0
        self._counts_s = 0.0

    def forget(self) -> None:
        """Another connection: say everything once more."""
        self._known = False
        self._next_s = self._counts_s = 0.0

    def due(self, now: Mapping[str, Any]) -> dict[str, Any] | None:
        """The patch to send; None where there is nothing to say, or not yet."""
        time_s = self._clock()
        if time_s < self._next_s:
            return None
        counts = time_s >= self._counts_s
        names = [name for name in now if counts or name not in _OFTEN]
        changed = {name: now[name] for name in names if not self._known or self._told.get(name) != now[name]}
        if not changed:
            return None
        patch = {name: _patch(self._told.get(name) if self._known else None, value) for name, value in changed.items()}
        return {SECTION: patch}

    def told(self, now: Mapping[str, Any], patch: Mapping[str, Any]) -> None:
        """The hub has it."""
        names = patch[SECTION]
        self._told.update({name: now[name] for name in names})
        self._known = True
        self._next_s = self._clock() + _EVERY_S
        if not names.keys().isdisjoint(_OFTEN):
            self._counts_s = self._clock() + _COUNTS_EVERY_S


def _patch(old: Any, new: Any) -> Any:
    """Names that are gone are taken away, as a patch of a twin does it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        gone = dict.fromkeys(old.keys() - new.keys())
        return {**gone, **{name: _patch(old.get(name), value) for name, value in new.items()}}
    return new
