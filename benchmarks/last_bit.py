"""Whether an answer that differs is one that the source itself gives a few last bits away.

A tree that is asked about a value exactly on its threshold, and a label between two equal scores, are decided by the
last bit of what was computed before. Such rows are counted apart from silent differences, and always told.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from fidelity import differences, expected_of

_ULPS = 8
_TRIES = 24


def undecided(model: Any, fresh: Any, expected: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether every row that differs equals an answer of the source for a row at most 8 float64 steps away."""
    rows = [row for row in range(len(fresh)) if _differs(_row(expected, row), _row(given, row))]
    if not rows or len(rows) > len(fresh) // 10:
        return False
    rng = np.random.default_rng(0)
    return all(_is_undecided(model, fresh, row, _row(given, row), list(expected), rng) for row in rows)


def _is_undecided(
    model: Any, fresh: Any, row: int, given: Mapping[str, Any], names: list[str], rng: np.random.Generator
) -> bool:
    near = _moved(fresh, row, rng)
    answers = expected_of(model, near, names)
    return answers is not None and any(not _differs(_row(answers, place), given) for place in range(_TRIES))


def _moved(fresh: Any, row: int, rng: np.random.Generator) -> Any:
    """Copies of a row, its numbers moved by some last bits."""
    if not isinstance(fresh, pd.DataFrame):
        rows = np.repeat(np.asarray(fresh)[row : row + 1], _TRIES, axis=0)
        return _nudged(rows, rng) if rows.dtype.kind == "f" else rows
    rows = pd.concat([fresh.iloc[row : row + 1]] * _TRIES, ignore_index=True)
    for name in rows.columns:
        if rows[name].dtype.kind == "f":
            rows[name] = _nudged(rows[name].to_numpy(), rng)
    return rows


def _nudged(values: Any, rng: np.random.Generator) -> Any:
    return values + rng.integers(-_ULPS, _ULPS + 1, values.shape) * np.spacing(values)


def _row(answers: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {name: np.asarray(values)[row : row + 1] for name, values in answers.items()}


def _differs(expected: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    _, labels, _, over = differences(expected, given)
    return bool(labels or over)
