"""How a graph is run where one session alone does not do: each of these stands in the place of a session's own run."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# Names of outputs, inputs by name, ONNX Runtime's options → the outputs in that order.
Call = Callable[[Sequence[str], Mapping[str, Array], Any], list[Array]]


def count_rows(inputs: Mapping[str, Array]) -> int:
    """Rows of a request's first input; 1 where it is a scalar."""
    first = next(iter(inputs.values()), None)
    return int(first.shape[0]) if first is not None and first.ndim else 1


class Adaptive:
    """A run alone takes all threads, a run with company one.

    Threads of several runs get in each other's way: two runs of one thread each end sooner than two of two.
    """

    def __init__(self, wide: Call, narrow: Call) -> None:
        self._wide, self._narrow = wide, narrow
        self._running = 0
        self._lock = threading.Lock()

    def __call__(self, names: Sequence[str], feeds: Mapping[str, Array], options: Any) -> list[Array]:
        """A run."""
        with self._lock:
            self._running += 1
            call = self._wide if self._running == 1 else self._narrow
        try:
            return call(names, feeds, options)
        finally:
            with self._lock:
                self._running -= 1


class InSizes:
    """Runs of certain numbers of rows only: larger ones in several, smaller ones filled up with their last row.

    For a card that prepares itself for a size, and for another one anew: each size has a session of its own. Rows must
    not depend on one another, and come first in every tensor.

    Args:
        calls: By number of rows.
    """

    def __init__(self, calls: Mapping[int, Call]) -> None:
        self._calls = dict(sorted(calls.items()))
        self._most = max(calls)

    def __call__(self, names: Sequence[str], feeds: Mapping[str, Array], options: Any) -> list[Array]:
        """A run, or several one after the other."""
        rows = len(next(iter(feeds.values())))
        parts = [
            self._part({name: value[at : at + self._most] for name, value in feeds.items()}, names, options)
            for at in range(0, max(1, rows), self._most)
        ]
        return parts[0] if len(parts) == 1 else [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def _part(self, feeds: Mapping[str, Array], names: Sequence[str], options: Any) -> list[Array]:
        rows = len(next(iter(feeds.values())))
        size = next(size for size in self._calls if size >= rows)
        if rows in (0, size):
            return self._calls[size](names, feeds, options)
        filled = {
            name: np.concatenate([value, value[-1:].repeat(size - rows, axis=0)]) for name, value in feeds.items()
        }
        return [output[:rows] for output in self._calls[size](names, filled, options)]
