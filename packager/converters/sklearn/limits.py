"""Which of NaN and infinity a model takes: found by asking it, since every step has its own rule."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.contract.manifest import NonFinite

_COLUMNS_ASKED: Final = 256


def non_finite_of(row: NDArray[Any], answers: Callable[[NDArray[Any]], bool], *, columns: Sequence[int]) -> NonFinite:
    """What the model takes beside finite numbers.

    Refused is what it refuses in every column; where columns differ nothing is, so that those which take it are of use.

    Args:
        row: One sample of finite numbers, (1, columns).
        answers: Whether the model answers a row at all.
        columns: Those of the input that is asked about.
    """
    asked = columns[:_COLUMNS_ASKED]
    if _taken(row, np.inf, answers, asked):
        return "any"
    return "nan" if _taken(row, np.nan, answers, asked) else "none"


def _taken(row: NDArray[Any], value: float, answers: Callable[[NDArray[Any]], bool], columns: Sequence[int]) -> bool:
    for column in columns:
        changed = row.copy()
        changed[:, column] = value
        if answers(changed):
            return True
    return False
