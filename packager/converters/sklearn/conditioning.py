"""Sums whose terms are so great that their rounding decides the answer: no other order of adding gives it again."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.sklearn.parts import Part
from packager.core.errors import ConverterMissing, SampleError

Floats = NDArray[np.float64]
# Of the rows that are looked at, so many may be decided by rounding: far out, a sum may pass by 0.
_MOST_ROWS = 0.05
_STRICTNESS = 0.25
# Of rows between two centres, which the fuzziness of their distances may decide.
_MOST_BETWEEN = 1e-3
# Numbers that scikit-learn adds up to the square of a distance, |x|^2 - 2 x c + |c|^2, are so many times |c|^2.
_EXPANDED = 4
_MOST_CENTRES = 4096
# Chances are sums of terms of some thousands.
_EQUAL = 1e-9


def check_conditioned(parts: Iterable[Part], rows: Any, *, atol: float, rtol: float) -> None:
    """Refuse models whose source answers by the rounding of its sums.

    Args:
        rows: Samples, as the model takes them.

    Raises:
        ConverterMissing: Names the part.
    """
    for part in parts:
        if _share_between(part.estimator) > _MOST_BETWEEN:
            raise ConverterMissing(
                f"{part} has centres so near one another, so far from 0, that rounding decides which is nearest",
                hint="scale the columns before it",
            )
        for terms, answers in _sums(part, rows):
            lost = terms * np.finfo(np.float64).eps
            over = lost > _STRICTNESS * (atol + rtol * np.abs(answers))
            if over.size and over.any(axis=1).mean() > _MOST_ROWS:
                raise _refusal(part, float(terms.max()))
        if type(part.estimator).__name__ == "GaussianProcessClassifier" and _is_undecided(part.estimator):
            raise ConverterMissing(
                f"{part} finds two classes equally likely for its own training rows, so that rounding decides",
                hint="scale the columns before it, so that its rows differ from one another",
            )


def check_reached(parts: Iterable[Part], rows: Any, *, atol: float, rtol: float) -> None:
    """Refuse drawn samples beside which the weights of a linear model are nothing: their answers would prove nothing.

    Raises:
        SampleError: Names the part.
    """
    for part in parts:
        if not hasattr(part.estimator, "coef_"):
            continue
        for terms, answers in _sums(part, rows):
            offsets = np.abs(np.ravel(part.estimator.intercept_))
            reached = (terms - offsets > atol + rtol * np.abs(answers)).any(axis=0)
            weighted = np.atleast_2d(part.estimator.coef_).any(axis=1)
            if (weighted & ~reached).any():
                raise SampleError(
                    f"nothing in the model tells how great its columns are: of the rows drawn for it, {part} takes none"
                    " for other than 0",
                    hint="give rows of real data with --samples FILE",
                )


def _refusal(part: Part, largest: float) -> ConverterMissing:
    return ConverterMissing(
        f"{part} adds numbers of {largest:.1e}, beside which the rounding of each processor decides its answer",
        hint="scale the columns before it, and leave out those that are constant",
    )


def _share_between(model: Any) -> float:
    """Of rows between a centre and its nearest neighbour, those as far from both as scikit-learn's rounding tells."""
    names = ("cluster_centers_", "subcluster_centers_", "centroids_")
    found = next((vars(model)[name] for name in names if isinstance(vars(model).get(name), np.ndarray)), None)
    if found is None or found.ndim != 2 or getattr(model, "metric", "euclidean") != "euclidean":
        return 0.0
    centres = np.unique(np.asarray(found, np.float64), axis=0)
    if not 1 < len(centres) <= _MOST_CENTRES:
        return 0.0
    gaps = np.array([np.partition(((centres - centre) ** 2).sum(axis=1), 1)[1] for centre in centres])
    fuzzy = _EXPANDED * np.finfo(np.float64).eps * (centres**2).sum(axis=1)
    return float(np.minimum(fuzzy / gaps, 1.0).mean())


def _is_undecided(model: Any) -> bool:
    """Whether a Gaussian process of one member a class, or of two, often gives the same chance to two classes."""
    base = model.base_estimator_
    if not hasattr(base, "predict_proba") or (model.multi_class == "one_vs_one" and model.n_classes_ > 2):
        return False
    known = getattr(base, "estimators_", [base])[0].X_train_
    chances = np.sort(base.predict_proba(known), axis=1)
    return bool((chances[:, -1] - chances[:, -2] < _EQUAL).mean() > _MOST_ROWS)


def _sums(part: Part, rows: Any) -> Iterator[tuple[Floats, Floats]]:
    """The sum of the terms' sizes and of the terms, (rows, answers) each."""
    model = part.estimator
    name = type(model).__name__
    if isinstance(vars(model).get("coef_"), np.ndarray) and "intercept_" in vars(model):
        fed = _dense(part.feed(rows)) - np.asarray(getattr(model, "_x_mean", 0.0))
        yield from _product(fed, np.atleast_2d(model.coef_), np.ravel(model.intercept_))
    elif name == "KernelRidge":
        for fed in (np.asarray(model.X_fit_), _dense(part.feed(rows))):
            duals = np.asarray(model.dual_coef_).reshape(len(model.X_fit_), -1)
            yield from _product(model._get_kernel(fed, model.X_fit_), duals.T, np.zeros(1))
    elif name == "GaussianProcessRegressor" and hasattr(model, "X_train_"):
        duals = np.asarray(model.alpha_).reshape(len(model.X_train_), -1)
        yield from _product(model.kernel_(_dense(part.feed(rows)), model.X_train_), duals.T, np.zeros(1))


def _product(fed: Any, weights: Any, offsets: Any) -> Iterator[tuple[Floats, Floats]]:
    if weights.shape[1] == fed.shape[1]:
        yield np.abs(fed) @ np.abs(weights).T + np.abs(offsets), fed @ weights.T + offsets


def _dense(fed: Any) -> Any:
    return np.asarray(fed.toarray() if hasattr(fed, "toarray") else fed, np.float64)
