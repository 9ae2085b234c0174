"""Seeded samples for boosted trees: at their thresholds, inside the boxes of their leaves, and with missing values.

Every value is exactly a float32, so that "just above a threshold" means the same to the library and to ONNX.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.forest import ZERO, Bools, Floats, Forest

NORMAL_ROWS = 192
THRESHOLD_ROWS = 256
MISSING_ROWS = 128
MAX_LEAF_ROWS = 1536
_ROUNDS = 8
_MAX_BOXES = 4096
_FLOAT32 = np.finfo(np.float32)
Singles = NDArray[np.float32]


class Sight:
    """Which leaves of a forest the rows seen so far have reached."""

    def __init__(self, forest: Forest) -> None:
        self.forest = forest
        self.reached: list[Bools] = [np.zeros(len(tree.left), bool) for tree in forest.trees]

    def see(self, rows: Floats) -> None:
        """Count the leaves that these rows reach."""
        clean = self.forest.cleaned(rows)
        for tree, reached in zip(self.forest.trees, self.reached, strict=True):
            reached[tree.leaf_of(clean)] = True

    @property
    def counts(self) -> tuple[int, int]:
        """Leaves reached, and leaves in all."""
        pairs = list(zip(self.forest.trees, self.reached, strict=True))
        return sum(int(seen[tree.leaves].sum()) for tree, seen in pairs), sum(len(tree.leaves) for tree, _ in pairs)

    def open_boxes(self) -> tuple[Floats, Floats]:
        """Boxes of leaves not reached yet, of at most ``_MAX_BOXES``."""
        width = self.forest.width
        lows, highs, count = [np.empty((0, width))], [np.empty((0, width))], 0
        for tree, reached in zip(self.forest.trees, self.reached, strict=True):
            waiting = ~reached[tree.leaves]
            if count >= _MAX_BOXES or not waiting.any():
                continue
            low, high = tree.boxes(width)
            lows.append(low[waiting])
            highs.append(high[waiting])
            count += int(waiting.sum())
        return np.concatenate(lows), np.concatenate(highs)


class Places:
    """Where each column lies: the median and half the range of its thresholds."""

    def __init__(self, forest: Forest) -> None:
        self.thresholds = forest.thresholds()
        self.centre, self.spread = np.zeros(forest.width), np.ones(forest.width)
        for column, values in self.thresholds.items():
            usual = values[np.abs(values) < _FLOAT32.max]
            if len(usual):
                self.centre[column] = np.median(usual)
                self.spread[column] = np.ptp(usual) / 2 or abs(usual[0]) / 2 or 1.0


def draw(forest: Forest, *, seed: int, accepts: Callable[[Floats], bool]) -> tuple[Floats, Sight]:
    """Samples of shape (rows, width), and what they have reached.

    Args:
        accepts: Whether the library answers such rows; not all take missing values.
    """
    rng = np.random.default_rng(seed)
    places, sight = Places(forest), Sight(forest)
    start = places.centre + places.spread * rng.standard_normal((NORMAL_ROWS, forest.width))
    samples = _as_float32(_whole(np.concatenate([start, *_at_thresholds(places, rng)]), forest, rng))
    sight.see(samples)
    samples = np.concatenate([samples, _leaf_rows(sight, places, rng)])
    missing = _with_missing(samples, forest, rng)
    if accepts(missing):
        sight.see(missing)
        return np.concatenate([samples, missing]), sight
    return samples, sight


def _at_thresholds(places: Places, rng: np.random.Generator) -> list[Floats]:
    """Rows in which half of the deciding columns lie at a threshold, just below, or just above."""
    if not places.thresholds:
        return []
    rows = places.centre + places.spread * rng.standard_normal((THRESHOLD_ROWS, len(places.centre)))
    for column, values in places.thresholds.items():
        if not len(values):
            continue
        at = np.clip(rng.choice(values, THRESHOLD_ROWS), _FLOAT32.min, _FLOAT32.max).astype(np.float32)
        below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
        moved = np.choose(rng.integers(0, 3, THRESHOLD_ROWS), [at, below, above])
        rows[:, column] = np.where(rng.random(THRESHOLD_ROWS) < 0.5, moved, rows[:, column])
    return [rows]


def _whole(rows: Floats, forest: Forest, rng: np.random.Generator) -> Floats:
    """The rows with most numbers of categories whole; the rest shows what is made of others."""
    cut = np.where(rng.random(rows.shape) < 0.75, np.floor(rows), rows)
    return np.where(forest.categorical, cut, rows)


def _leaf_rows(sight: Sight, places: Places, rng: np.random.Generator) -> Floats:
    """Rows inside the boxes of leaves that nothing has reached yet, several leaves a row where boxes overlap."""
    made: list[Floats] = [np.empty((0, len(places.centre)))]
    left = MAX_LEAF_ROWS
    for _ in range(_ROUNDS):
        low, high = sight.open_boxes()
        if left <= 0 or not len(low):
            break
        rows = _as_float32(rows_in_boxes(low, high, places.centre, places.spread, rng, at_most=left))
        if not len(rows):
            break
        sight.see(rows)
        made.append(rows)
        left -= len(rows)
    return np.concatenate(made)


def _with_missing(samples: Floats, forest: Forest, rng: np.random.Generator) -> Floats:
    """Some of the rows with values missing, few or many, some of them zeros or nearly."""
    rows = samples[rng.integers(0, len(samples), MISSING_ROWS)].copy()
    share = rng.choice([0.1, 0.4, 0.9], (MISSING_ROWS, 1))
    number = forest.missing_value if forest.missing_value is not None else np.nan
    kinds = np.array([np.nan, np.nan, 0.0, -0.0, ZERO, -ZERO, 2 * ZERO, number])
    return np.where(rng.random(rows.shape) < share, rng.choice(kinds, rows.shape), rows)


def rows_in_boxes(
    low: Floats, high: Floats, centre: Floats, spread: Floats, rng: np.random.Generator, *, at_most: int
) -> Floats:
    """One row for each box that no earlier row of this call is in, greedily in as many boxes as fit together."""
    rows: list[Floats] = []
    waiting = np.ones(len(low), bool)
    for first in rng.permutation(len(low)):
        if not waiting[first] or len(rows) >= at_most:
            continue
        row_low, row_high, members = _overlap(low, high, first, np.flatnonzero(waiting), rng)
        waiting[members] = False
        rows.append(_point(row_low, row_high, centre, spread, rng))
    return np.stack(rows) if rows else np.empty((0, low.shape[1]))


def _overlap(
    low: Floats, high: Floats, first: int, waiting: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Floats, Floats, list[int]]:
    """The common part of a box and as many others as still share a point with it, taken in random order."""
    row_low, row_high, members = low[first].copy(), high[first].copy(), [first]
    candidates = waiting[waiting != first]
    while len(candidates):
        meets = (np.maximum(low[candidates], row_low) < np.minimum(high[candidates], row_high)).all(axis=1)
        candidates = candidates[meets]
        if not len(candidates):
            break
        chosen = int(rng.choice(candidates))
        row_low, row_high = np.maximum(row_low, low[chosen]), np.minimum(row_high, high[chosen])
        members.append(chosen)
        candidates = candidates[candidates != chosen]
    return row_low, row_high, members


def _point(low: Floats, high: Floats, centre: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """A row with low < value <= high in float32: at the upper end, just above the lower, or between."""
    with np.errstate(over="ignore"):
        floor = np.nextafter(_rounded_down(low), np.float32(np.inf))
        ceiling = _rounded_down(high)
    bounded_low, bounded_high = np.isfinite(low), np.isfinite(high)
    # An open side reaches as far as the column usually does, and beyond the bound where the bound lies outside that.
    bottom = np.where(
        bounded_low, floor, np.minimum(centre - 2 * spread, np.where(bounded_high, high, np.inf) - spread)
    )
    top = np.where(bounded_high, ceiling, np.maximum(centre + 2 * spread, np.where(bounded_low, low, -np.inf) + spread))
    top = np.maximum(top, bottom)
    between = bottom + (top - bottom) * rng.random(len(low))
    where = rng.integers(0, 4, len(low))
    edge = np.where(where == 0, top, bottom)
    bounded = np.where(where == 0, bounded_high, bounded_low)
    return np.where((where < 2) & bounded, edge, between)


def _rounded_down(values: Floats) -> Singles:
    """The largest float32 that is not above each value."""
    near = values.astype(np.float32)
    return np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)


def _as_float32(rows: Floats) -> Floats:
    return np.clip(rows, _FLOAT32.min, _FLOAT32.max).astype(np.float32).astype(np.float64)
