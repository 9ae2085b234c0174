"""The estimators that a model is made of, where each sits, what it is fed, and how its features lie in the input."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from packager.converters.boosting.estimators import library_of

Feed = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """A feature inside a model that is one input column, scaled: ``input = inside * scale + offset``, scale > 0."""

    column: int
    scale: float = 1.0
    offset: float = 0.0

    def before(self, scale: float, offset: float) -> "Axis | None":
        """The axis of a feature z behind a step with ``z * scale + offset`` equal to this one."""
        if not (np.isfinite(scale) and np.isfinite(offset) and scale > 0):
            return None
        return Axis(self.column, float(self.scale * scale), float(self.scale * offset + self.offset))

    @property
    def exact(self) -> bool:
        """True when the feature is the input column itself."""
        return self.scale == 1.0 and self.offset == 0.0


# One entry a feature: None where it is no single column. None as a whole: nothing is known.
Axes = tuple[Axis | None, ...] | None


@dataclass(frozen=True, slots=True)
class Part:
    """One estimator inside a model.

    Attributes:
        path: Names of the steps that lead to it; empty for the model itself.
        feed: From the model's input to this estimator's.
    """

    path: str
    estimator: Any
    feed: Feed
    axes: Axes

    def __str__(self) -> str:
        name = type(self.estimator).__name__
        return f"{name} at {self.path!r}" if self.path else name


def parts_of(model: Any, width: int | None = None) -> tuple[Part, ...]:
    """All estimators that take part in an answer, outermost first; the trees of a forest are not listed singly.

    Args:
        width: Columns of the input; without it, nothing is said about axes.
    """
    axes = None if width is None else tuple(Axis(column) for column in range(width))
    return tuple(_visit(Part("", model, lambda x: x, axes)))


def unwrapped(model: Any) -> Any:
    """The estimator that answers for a search (its best), or the model itself."""
    return unwrapped(model.best_estimator_) if hasattr(model, "best_estimator_") else model


def last_step(model: Any) -> Any:
    """The estimator that gives the answer."""
    best = unwrapped(model)
    return last_step(best.steps[-1][1]) if hasattr(best, "steps") else best


def _visit(part: Part) -> Iterator[Part]:
    yield part
    for child in _children(part):
        yield from _visit(child)


def _children(part: Part) -> Iterator[Part]:
    model = part.estimator
    if hasattr(model, "best_estimator_"):
        yield _child(part, "best_estimator_", model.best_estimator_)
    elif hasattr(model, "steps"):
        yield from _steps(part)
    elif hasattr(model, "transformers_"):
        yield from _columns(part)
    elif hasattr(model, "transformer_list"):
        yield from (_child(part, name, step) for name, step in model.transformer_list if _is_estimator(step))
    elif not hasattr(model, "get_support") and not is_tree_family(model):
        yield from _members(part)


def _steps(part: Part) -> Iterator[Part]:
    feed, axes = part.feed, part.axes
    for name, step in part.estimator.steps:
        if not _is_estimator(step):
            continue
        yield Part(_join(part.path, name), step, feed, axes)
        feed, axes = _then(feed, step), axes_behind(step, axes)


def _columns(part: Part) -> Iterator[Part]:
    indices = part.estimator._transformer_to_input_indices
    for name, step, columns in part.estimator.transformers_:
        if _is_estimator(step):
            yield Part(_join(part.path, name), step, _selected(part.feed, columns), _chosen(part.axes, indices[name]))


def _members(part: Part) -> Iterator[Part]:
    """Estimators inside a meta-estimator: voting, stacking, bagging, calibration, one-vs-rest ..."""
    model = part.estimator
    names = [name for name, step in getattr(model, "estimators", ()) if _is_estimator(step)]
    features = getattr(model, "estimators_features_", None)
    for index, member in enumerate(members_of(model)):
        if not _is_estimator(member):
            continue
        name = names[index] if index < len(names) else f"estimators_[{index}]"
        if features is None:
            yield _child(part, name, member)
        else:
            chosen = features[index]
            yield Part(_join(part.path, name), member, _taken(part.feed, chosen), _chosen(part.axes, chosen))
    for index, calibrated in enumerate(getattr(model, "calibrated_classifiers_", ())):
        yield _child(part, f"calibrated_classifiers_[{index}]", calibrated.estimator)
    for name in ("estimator_", "regressor_"):
        # Beside members, an estimator_ is what they were copied from, and not fitted.
        if not hasattr(model, "estimators_") and _is_estimator(getattr(model, name, None)):
            yield _child(part, name, getattr(model, name))
    if _is_estimator(final := getattr(model, "final_estimator_", None)):
        yield Part(_join(part.path, "final_estimator_"), final, _then(part.feed, model), None)


def axes_behind(step: Any, axes: Axes) -> Axes:
    """How the features that a transformer gives lie in the model's input."""
    if axes is None:
        return None
    match type(step).__name__:
        case "StandardScaler" | "RobustScaler":
            centre = step.mean_ if hasattr(step, "mean_") else step.center_
            return _affine(axes, step.scale_, centre)
        case "MaxAbsScaler":
            return _affine(axes, step.scale_, None)
        case "MinMaxScaler":
            return _affine(axes, 1.0 / step.scale_, -step.min_ / step.scale_)
        case "SimpleImputer":
            return _imputed(step, axes)
        case "FunctionTransformer" if step.func is None:
            return axes
        case "ColumnTransformer":
            return _joined_columns(step, axes)
        case "FeatureUnion":
            return _concatenated(axes_behind(inner, axes) for _, inner in step.transformer_list if _is_estimator(inner))
        case "Pipeline":
            for _, inner in step.steps:
                axes = axes_behind(inner, axes) if _is_estimator(inner) else axes
            return axes
    return _chosen(axes, np.flatnonzero(step.get_support())) if hasattr(step, "get_support") else None


def _affine(axes: tuple[Axis | None, ...], scale: Any, offset: Any) -> Axes:
    scales = np.ones(len(axes)) if scale is None else np.asarray(scale)
    offsets = np.zeros(len(axes)) if offset is None else np.asarray(offset)
    return tuple(
        axis.before(float(a), float(b)) if axis else None for axis, a, b in zip(axes, scales, offsets, strict=True)
    )


def _imputed(step: Any, axes: tuple[Axis | None, ...]) -> Axes:
    """Imputed columns stay what they are; indicators of missing values follow them."""
    kept = len(step.get_feature_names_out()) - (len(step.indicator_.features_) if step.add_indicator else 0)
    if kept != len(axes):
        return None
    return axes + (None,) * (len(step.indicator_.features_) if step.add_indicator else 0)


def _joined_columns(step: Any, axes: tuple[Axis | None, ...]) -> Axes:
    joined: list[Axes] = []
    for name, inner, _ in step.transformers_:
        chosen = _chosen(axes, step._transformer_to_input_indices[name])
        if inner == "passthrough":
            joined.append(chosen)
        elif _is_estimator(inner):
            place = step.output_indices_[name]
            behind = axes_behind(inner, chosen)
            joined.append((None,) * (place.stop - place.start) if behind is None else behind)
    return _concatenated(joined)


def _concatenated(several: "Iterator[Axes] | list[Axes]") -> Axes:
    whole: tuple[Axis | None, ...] = ()
    for axes in several:
        if axes is None:
            return None
        whole += axes
    return whole


def _chosen(axes: Axes, indices: Sequence[int] | Any) -> Axes:
    return None if axes is None else tuple(axes[int(index)] for index in indices)


def _is_estimator(step: Any) -> bool:
    return hasattr(step, "get_params") and not isinstance(step, type)


def members_of(model: Any) -> list[Any]:
    """The fitted members of an ensemble, flat."""
    members = getattr(model, "estimators_", ())
    # Not through numpy.array: it would take a forest or a pipeline for a sequence.
    return list(members.ravel()) if isinstance(members, np.ndarray) else list(members)


def is_tree_family(model: Any) -> bool:
    """True for a tree and for ensembles of nothing but trees, which are looked at as a whole."""
    members = members_of(model)
    return hasattr(model, "tree_") or (
        bool(members) and not hasattr(model, "estimators") and all(hasattr(member, "tree_") for member in members)
    )


def _child(part: Part, name: str, estimator: Any) -> Part:
    return Part(_join(part.path, name), estimator, part.feed, part.axes)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _then(feed: Feed, step: Any) -> Feed:
    return lambda x: step.transform(feed(x))


def _selected(feed: Feed, columns: Any) -> Feed:
    from sklearn.utils import _safe_indexing

    return lambda x: _safe_indexing(feed(x), columns, axis=1)


def _taken(feed: Feed, columns: Any) -> Feed:
    def taken(rows: Any) -> Any:
        fed = feed(rows)
        return fed.tocsr()[:, columns] if hasattr(fed, "toarray") else np.asarray(fed)[:, columns]

    return taken


def fed_sparse(parts: Sequence[Part], rows: Any) -> frozenset[int]:
    """Identities of the XGBoost models that are given sparse matrices, whose zeros are missing values to them."""
    return frozenset(
        id(part.estimator)
        for part in parts
        if library_of(part.estimator) == "xgboost" and hasattr(part.feed(rows), "toarray")
    )
