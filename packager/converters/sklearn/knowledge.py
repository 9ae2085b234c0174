"""What a fitted model tells about the data it was trained on: where each column lies, and rows that matter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.sklearn.parts import Axes, Axis, Part
from packager.converters.sklearn.trees import Grove

Floats = NDArray[np.float64]
# Rows that an estimator keeps from training, or centres that it found. Source: scikit-learn's fitted attributes.
_ROWS = (
    "_fit_X", "X_train_", "support_vectors_", "cluster_centers_", "means_", "theta_", "centroids_",
)  # fmt: skip
_MAX_ROWS = 256
# A column whose values lie so far from 0 that one step of float32 is more than this share of their spread.
_COARSE = 1e-4
# Of points near a linear boundary; on it, the label is decided by the last bit, which no two processors agree on.
_SCORES = (-2.0, -0.5, -0.02, 0.02, 0.5, 2.0)


@dataclass(slots=True)
class Encoder:
    """A categorical step on numeric columns.

    Attributes:
        categories: By input column.
        open: Whether it takes a category that it has not seen.
        counted: Whether its values are categories, not texts of any kind.
    """

    path: str
    categories: dict[int, Floats]
    open: bool
    counted: bool = True


@dataclass(slots=True)
class Knowledge:
    """What is known of the input columns.

    Attributes:
        centre, spread: One entry a column; 0 and 1 where nothing is known.
        thresholds: By column, values at which some tree decides; exact where no scaler stands before the tree.
        rows: Inputs of full width that matter: training rows, centres, points on decision boundaries.
    """

    centre: Floats
    spread: Floats
    thresholds: dict[int, Floats] = field(default_factory=dict)
    rows: list[Floats] = field(default_factory=list)
    encoders: list[Encoder] = field(default_factory=list)


def learn(parts: Sequence[Part], groves: Sequence[Grove], width: int) -> Knowledge:
    """Everything that the parts of a model tell about its input."""
    places = _Places(width)
    thresholds = _thresholds(groves)
    for part in parts:
        _learn_scales(part, places)
    for column, values in thresholds.items():
        finite = values[np.isfinite(values)]
        if len(finite):
            places.offer(
                column, float(np.median(finite)), float(np.ptp(finite)) / 2 or abs(float(finite[0])) / 2 or 1.0
            )
    known = Knowledge(places.centre, places.spread, thresholds)
    for part in parts:
        known.rows += [row for row in _rows_of(part, known) if np.isfinite(row).all()]
        if encoder := _encoder(part):
            known.encoders.append(encoder)
    _settle(known, places)
    return known


class _Places:
    """Where columns lie; the first offer for a column stands."""

    def __init__(self, width: int) -> None:
        self.centre = np.zeros(width)
        self.spread = np.ones(width)
        self.known = np.zeros(width, bool)

    def offer(self, column: int, centre: float, spread: float) -> None:
        if not self.known[column] and np.isfinite(centre) and np.isfinite(spread) and spread > 0:
            self.centre[column], self.spread[column], self.known[column] = centre, spread, True


def _learn_scales(part: Part, places: _Places) -> None:
    """Offer what scalers, imputers and Bayes classifiers know."""
    for index, axis in enumerate(part.axes or ()):
        if axis is None:
            continue
        found = _scale_of(part.estimator, index)
        if found is not None:
            centre, spread = found
            places.offer(axis.column, centre * axis.scale + axis.offset, spread * axis.scale)


def _scale_of(step: Any, index: int) -> tuple[float, float] | None:
    match type(step).__name__:
        case "StandardScaler" if step.var_ is not None:
            return step.mean_[index], float(np.sqrt(step.var_[index])) or 1.0
        case "RobustScaler" if step.scale_ is not None:
            return (step.center_[index] if step.center_ is not None else 0.0), step.scale_[index]
        case "MinMaxScaler":
            return (step.data_min_[index] + step.data_max_[index]) / 2, step.data_range_[index] / 3 or 1.0
        case "MaxAbsScaler":
            return 0.0, step.max_abs_[index] / 2
        case "QuantileTransformer" | "KBinsDiscretizer":
            bounds = step.quantiles_[:, index] if hasattr(step, "quantiles_") else step.bin_edges_[index]
            return float(np.median(bounds)), float(np.ptp(bounds)) / 3 or 1.0
        case "SplineTransformer":
            spline = step.bsplines_[index]
            low, high = float(spline.t[spline.k]), float(spline.t[-spline.k - 1])
            return (low + high) / 2, (high - low) / 3 or 1.0
        case "PowerTransformer":
            return _unpowered(step, index)
        case "PCA" | "IncrementalPCA":
            spread = np.sqrt(step.explained_variance_ @ step.components_[:, index] ** 2)
            return float(step.mean_[index]), float(spread) or 1.0
        case "LinearDiscriminantAnalysis" if hasattr(step, "xbar_"):
            return float(step.xbar_[index]), float(np.ptp(step.means_[:, index])) or 1.0
        case "GaussianNB":
            return float(step.theta_[:, index].mean()), float(
                np.sqrt(step.var_[:, index].max()) + step.theta_[:, index].std()
            )
        case "SimpleImputer" if np.asarray(step.statistics_).dtype.kind == "f":
            return step.statistics_[index], abs(step.statistics_[index]) or 1.0
    return None


def _unpowered(step: Any, index: int) -> tuple[float, float] | None:
    """Where one column of a PowerTransformer lies, from the values that it takes to -1, 0 and 1."""
    rows = np.zeros((3, len(step.lambdas_)))
    rows[:, index] = (-1.0, 0.0, 1.0)
    low, centre, high = step.inverse_transform(rows)[:, index]
    return (float(centre), float(high - low) / 2) if np.isfinite([low, centre, high]).all() else None


def _thresholds(groves: Sequence[Grove]) -> dict[int, Floats]:
    found: dict[int, list[Floats]] = {}
    for grove in groves:
        axes = grove.part.axes
        if axes is None:
            continue
        for feature, values in grove.thresholds():
            if axis := axes[feature]:
                found.setdefault(axis.column, []).append(values * axis.scale + axis.offset)
    return {column: np.unique(np.concatenate(values)) for column, values in sorted(found.items())}


def _rows_of(part: Part, known: Knowledge) -> Iterator[Floats]:
    for name in _ROWS:
        kept = getattr(part.estimator, name, None)
        if not isinstance(kept, np.ndarray) or kept.ndim != 2:
            continue
        chosen = kept[np.linspace(0, len(kept) - 1, min(len(kept), _MAX_ROWS)).astype(int)]
        # Support vectors lie on the margin, where a one-class label is decided by the last bit; beside it, it is not.
        moved = chosen * 1.01 + 0.01 if name == "support_vectors_" else chosen
        yield from _mapped_back(moved, part.axes, known)
    if isinstance(getattr(part.estimator, "coef_", None), np.ndarray) and part.axes is not None:
        yield from _mapped_back(_near_boundaries(part.estimator, _inside(known.centre, part.axes)), part.axes, known)


def _inside(row: Floats, axes: Sequence[Axis | None]) -> Floats:
    """A row of the model's input as an estimator sees it; 0 in features that are no column."""
    return np.array([(row[axis.column] - axis.offset) / axis.scale if axis else 0.0 for axis in axes])


def _near_boundaries(model: Any, centre: Floats) -> Floats:
    """For each linear score, the points nearest to the centre where it is small, on either side of 0."""
    weights = np.atleast_2d(np.asarray(model.coef_, np.float64))
    if weights.shape[1] != len(centre):
        return np.empty((0, len(centre)))
    offsets = np.broadcast_to(np.asarray(getattr(model, "intercept_", 0.0), np.float64).ravel(), len(weights))
    usable = (weights**2).sum(axis=1) > 0
    weights, offsets = weights[usable], offsets[usable]
    norms = (weights**2).sum(axis=1)
    scores = weights @ centre + offsets
    points = [centre + ((score - scores) / norms)[:, None] * weights for score in _SCORES]
    return np.concatenate(points) if len(weights) else np.empty((0, len(centre)))


def _mapped_back(rows: Any, axes: Axes, known: Knowledge) -> Iterator[Floats]:
    """Rows of an estimator's input as rows of the model's; columns that it does not see lie at their centre."""
    if axes is None or rows.shape[1] != len(axes):
        return
    for row in rows:
        whole = known.centre.copy()
        for value, axis in zip(row, axes, strict=True):
            if axis is not None:
                whole[axis.column] = value * axis.scale + axis.offset
        yield whole


def _encoder(part: Part) -> Encoder | None:
    """Numeric categories of an encoder that stands at input columns."""
    step = part.estimator
    if part.axes is None or not isinstance(getattr(step, "categories_", None), list):
        return None
    categories = {
        axis.column: np.asarray(values, np.float64)
        for axis, values in zip(part.axes, step.categories_, strict=False)
        if axis is not None and axis.exact and np.asarray(values).dtype.kind in "iuf"
    }
    takes_unknown = getattr(step, "handle_unknown", "error") != "error"
    return Encoder(part.path, categories, takes_unknown) if categories else None


def _settle(known: Knowledge, places: _Places) -> None:
    """Take the place of columns that nothing else told of from the rows that the model keeps."""
    if not known.rows:
        return
    rows = np.stack(known.rows)
    for column in np.flatnonzero(~places.known):
        spread = float(rows[:, column].std())
        if spread > 0:
            known.centre[column], known.spread[column] = float(rows[:, column].mean()), spread


def coarse_columns(known: Knowledge) -> NDArray[np.bool_]:
    """Columns whose values float32 cannot hold or tell apart, such as unix timestamps."""
    with np.errstate(over="ignore"):
        step = np.spacing(np.abs(known.centre).astype(np.float32)).astype(np.float64)
    coarse = np.asarray(step > _COARSE * known.spread)
    for encoder in known.encoders:
        for column, categories in encoder.categories.items():
            coarse[column] |= _beyond_float32(categories)
    return coarse


def _beyond_float32(categories: Any) -> bool:
    values = np.asarray(categories)
    return values.dtype.kind in "iuf" and not np.array_equal(values.astype(np.float32), values, equal_nan=True)
