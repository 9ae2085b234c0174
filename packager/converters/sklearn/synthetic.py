"""Seeded samples for a model that came without: drawn from what the model knows, until its leaves are reached.

All but the first rows are exactly float32, so that "just below a threshold" means the same to the source and to ONNX.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.sklearn.knowledge import Encoder, Knowledge
from packager.converters.sklearn.parts import Axes
from packager.converters.sklearn.trees import Grove

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Feed = Callable[[Floats], Any]

NORMAL_ROWS = 192
UNROUNDED_ROWS = 64
THRESHOLD_ROWS = 192
MISSING_ROWS = 64
MAX_LEAF_ROWS = 1536
_ROUNDS = 8
_MAX_BOXES = 4096
_FLOAT32 = np.finfo(np.float32)


def draw(
    known: Knowledge,
    groves: Sequence[Grove],
    *,
    seed: int,
    feed: Feed,
    accepts: Callable[[Any], bool],
    nullable: Bools,
    coarse: Bools,
) -> Floats:
    """Samples of shape (rows, width) that exercise the model; counts the leaves that they reach in ``groves``.

    Args:
        feed: From a matrix to what the model takes.
        accepts: Whether the model answers such input, for values that some models refuse.
        nullable: By column, whether a step takes missing values there.
        coarse: Columns that float32 cannot hold; their values are no float32.
    """
    rng = np.random.default_rng(seed)
    start = [_normal(known, NORMAL_ROWS, rng), *_kept(known), *_at_thresholds(known, rng)]
    whole = _categorised(np.concatenate(start), known.encoders, rng)
    samples = _as_float32(whole, coarse)
    # As they come from users: what float32 leaves of them must lead to the same answers.
    samples[:UNROUNDED_ROWS] = np.clip(whole[:UNROUNDED_ROWS], _FLOAT32.min, _FLOAT32.max)
    samples = _taken(samples, feed, accepts)
    for grove in groves:
        grove.see(feed(samples))
    samples = np.concatenate([samples, _leaf_rows(known, groves, rng, feed=feed, accepts=accepts, coarse=coarse)])
    for columns in (np.ones(len(nullable), bool), nullable):
        missing = _missing(samples[UNROUNDED_ROWS:] if len(samples) > UNROUNDED_ROWS else samples, rng, columns)
        if columns.any() and accepts(feed(missing)):
            for grove in groves:
                grove.see(feed(missing))
            return np.concatenate([samples, missing])
    return samples


def _taken(samples: Floats, feed: Feed, accepts: Callable[[Any], bool]) -> Floats:
    """The samples in a form that the model takes: some take nothing below 0, some of these whole numbers alone."""
    forms = (samples, np.abs(samples), np.minimum(np.round(np.abs(samples)), 1.0))
    for rows in forms:
        if accepts(feed(rows)):
            return rows
    kept = [_accepted(rows, feed, accepts) for rows in forms]
    most = max(kept, key=len)
    return most if len(most) else samples


def _accepted(rows: Floats, feed: Feed, accepts: Callable[[Any], bool]) -> Floats:
    """Those rows that the model takes, found by halves; an unknown category may end in a value that it refuses."""
    if accepts(feed(rows)):
        return rows
    if len(rows) == 1:
        return rows[:0]
    middle = len(rows) // 2
    return np.concatenate([_accepted(half, feed, accepts) for half in (rows[:middle], rows[middle:])])


def _normal(known: Knowledge, rows: int, rng: np.random.Generator) -> Floats:
    return known.centre + known.spread * rng.standard_normal((rows, len(known.centre)))


def _kept(known: Knowledge) -> list[Floats]:
    """Rows that the model keeps, as they are and moved a little."""
    return [np.stack(known.rows)[:256]] if known.rows else []


def _at_thresholds(known: Knowledge, rng: np.random.Generator) -> list[Floats]:
    """Rows in which half of the deciding columns lie at a threshold, just below, or just above."""
    if not known.thresholds:
        return []
    rows = _normal(known, THRESHOLD_ROWS, rng)
    for column, values in known.thresholds.items():
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        at = np.clip(rng.choice(finite, THRESHOLD_ROWS), _FLOAT32.min, _FLOAT32.max).astype(np.float32)
        below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
        moved = np.choose(rng.integers(0, 3, THRESHOLD_ROWS), [at, below, above])
        rows[:, column] = np.where(rng.random(THRESHOLD_ROWS) < 0.5, moved, rows[:, column])
    return [rows]


def _categorised(rows: Floats, encoders: Sequence[Encoder], rng: np.random.Generator) -> Floats:
    """The rows with categorical columns set to categories: each one, and an unknown where the encoder takes it."""
    for encoder in encoders:
        for column, categories in encoder.categories.items():
            unknown = [float(np.nanmax(categories)) + 1.0] if encoder.open and np.isfinite(categories).any() else []
            choices = np.concatenate([categories, unknown])
            rows[:, column] = rng.choice(choices, len(rows))
            rows[: len(choices), column] = choices[: len(rows)]
    return rows


def _leaf_rows(
    known: Knowledge,
    groves: Sequence[Grove],
    rng: np.random.Generator,
    *,
    feed: Feed,
    accepts: Callable[[Any], bool],
    coarse: Bools,
) -> Floats:
    """Rows drawn inside the boxes of leaves that nothing has reached yet, several leaves a row where boxes overlap."""
    width = len(known.centre)
    made: list[Floats] = [np.empty((0, width))]
    left = MAX_LEAF_ROWS
    for _ in range(_ROUNDS):
        low, high = _open_boxes(groves, width)
        if left <= 0 or not len(low):
            break
        rows = _rows_in_boxes(low, high, known, rng, at_most=left)
        if not len(rows):
            break
        rows = _accepted(_as_float32(_categorised(rows, known.encoders, rng), coarse), feed, accepts)
        if not len(rows):
            break
        for grove in groves:
            grove.see(feed(rows))
        made.append(rows)
        left -= len(rows)
    return np.concatenate(made)


def _open_boxes(groves: Sequence[Grove], width: int) -> tuple[Floats, Floats]:
    """Boxes, in the model's input, of leaves not reached yet; of at most ``_MAX_BOXES`` leaves."""
    lows, highs, count = [np.empty((0, width))], [np.empty((0, width))], 0
    for grove in groves:
        for tree, chosen, reached in zip(grove.trees, grove.features, grove.reached, strict=True):
            open_leaves = ~reached[tree.leaves]
            axes = grove.part.axes
            if axes is None or not open_leaves.any() or count >= _MAX_BOXES:
                continue
            inner = axes if chosen is None else tuple(axes[int(index)] for index in chosen)
            low, high = tree.boxes(len(inner))
            low, high = _in_input(low[open_leaves], high[open_leaves], inner, width)
            lows.append(low)
            highs.append(high)
            count += len(low)
    return np.concatenate(lows), np.concatenate(highs)


def _in_input(low: Floats, high: Floats, axes: Axes, width: int) -> tuple[Floats, Floats]:
    """Boxes over an estimator's features as boxes over the input; features that are no column do not bound them."""
    outer_low, outer_high = np.full((len(low), width), -np.inf), np.full((len(low), width), np.inf)
    for index, axis in enumerate(axes or ()):
        if axis is not None:
            column = axis.column
            outer_low[:, column] = np.maximum(outer_low[:, column], low[:, index] * axis.scale + axis.offset)
            outer_high[:, column] = np.minimum(outer_high[:, column], high[:, index] * axis.scale + axis.offset)
    return outer_low, outer_high


def _rows_in_boxes(low: Floats, high: Floats, known: Knowledge, rng: np.random.Generator, *, at_most: int) -> Floats:
    """One row for each leaf that no earlier row of this call is in, greedily in as many boxes as fit together."""
    rows: list[Floats] = []
    waiting = np.ones(len(low), bool)
    for first in rng.permutation(len(low)):
        if not waiting[first] or len(rows) >= at_most:
            continue
        row_low, row_high, members = _overlap(low, high, first, np.flatnonzero(waiting), rng)
        waiting[members] = False
        rows.append(_point(row_low, row_high, known, rng))
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


def _point(low: Floats, high: Floats, known: Knowledge, rng: np.random.Generator) -> Floats:
    """A row with low < value <= high in float32: at the upper end, just above the lower, or between."""
    with np.errstate(over="ignore"):
        floor = np.nextafter(_rounded(low), np.float32(np.inf))
        ceiling = _rounded(high)
    usual_low, usual_high = known.centre - 2 * known.spread, known.centre + 2 * known.spread
    # An open side reaches as far as the column usually does, and beyond the bound where the bound lies outside that.
    bottom = np.where(
        np.isfinite(low), floor, np.minimum(usual_low, np.where(np.isfinite(high), high, np.inf) - known.spread)
    )
    top = np.where(
        np.isfinite(high), ceiling, np.maximum(usual_high, np.where(np.isfinite(low), low, -np.inf) + known.spread)
    )
    top = np.maximum(top, bottom)
    between = bottom + (top - bottom) * rng.random(len(low))
    where = rng.integers(0, 4, len(low))
    edge = np.where(where == 0, top, bottom)
    bounded = np.where(where == 0, np.isfinite(high), np.isfinite(low))
    return np.where((where < 2) & bounded, edge, between)


def _rounded(values: Floats) -> NDArray[np.float32]:
    """The largest float32 that is not above each value."""
    near = values.astype(np.float32)
    return np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)


def _missing(rows: Floats, rng: np.random.Generator, columns: Bools) -> Floats:
    """Some of the rows with about one value in eight of these columns missing."""
    chosen = rows[rng.integers(0, len(rows), MISSING_ROWS)].copy()
    chosen[(rng.random(chosen.shape) < 0.125) & columns] = np.nan
    return chosen


def _as_float32(rows: Floats, coarse: Bools) -> Floats:
    narrow = np.clip(rows, _FLOAT32.min, _FLOAT32.max).astype(np.float32).astype(np.float64)
    return np.where(coarse, rows, narrow)
