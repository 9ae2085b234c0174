"""A controller's loop: each object that something happened to is looked at again, once for all that happened."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from targets.rehearsal.kubernetes.store import Key

logger = logging.getLogger(__name__)

_RETRY_S: Final = 1.0

# Looks at the object of a key; gives the seconds after which to look again, None for not by itself.
Reconcile = Callable[[Key], float | None]


class Loop:
    """Calls a function in the event loop, never for a key twice at once."""

    def __init__(self, name: str, reconcile: Reconcile) -> None:
        self._name = name
        self._reconcile = reconcile
        self._wanted: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._ended = False

    def want(self, key: Key) -> None:
        """Soon."""
        if key not in self._wanted and not self._ended:
            self._wanted.add(key)
            asyncio.get_running_loop().call_soon(self._look, key)

    def want_in(self, key: Key, after_s: float) -> None:
        """Later, or when something happens before."""
        old = self._timers.pop(key, None)
        if old is not None:
            old.cancel()
        if not self._ended:
            self._timers[key] = asyncio.get_running_loop().call_later(after_s, self._due, key)

    def end(self) -> None:
        """Look at nothing any more."""
        self._ended = True
        for timer in self._timers.values():
            timer.cancel()

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.want(key)

    def _look(self, key: Key) -> None:
        self._wanted.discard(key)
        if self._ended:
            return
        try:
            after_s = self._reconcile(key)
        except Exception:
            # One object's trouble must not end the loop of all.
            logger.exception("%s, looking at %s", self._name, "/".join(key))
            after_s = _RETRY_S
        if after_s is not None:
            self.want_in(key, after_s)
