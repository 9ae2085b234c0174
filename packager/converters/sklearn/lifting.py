"""Taking the transformers of a model out of it: they become nodes, and what is left takes one matrix of numbers."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from packager.converters.sklearn import emit_categories, emit_curves, emit_functions, emit_numbers, emit_text
from packager.converters.sklearn.emission import Block, Emitter, Frame, picked, width_of
from packager.converters.sklearn.parts import unwrapped
from packager.core.errors import ConverterMissing

Emit = Callable[[Emitter, Any, Frame, str], Frame]
_SCALERS = dict.fromkeys(("StandardScaler", "RobustScaler", "MinMaxScaler", "MaxAbsScaler"), emit_numbers.emit_scaler)
_SELECTORS = dict.fromkeys(
    (
        "GenericUnivariateSelect", "RFE", "RFECV", "SelectFdr", "SelectFpr", "SelectFromModel", "SelectFwe",
        "SelectKBest", "SelectPercentile", "SequentialFeatureSelector", "VarianceThreshold",
    ),
    emit_numbers.emit_selector,
)  # fmt: skip
EMITTERS: Final[Mapping[str, Emit]] = MappingProxyType(
    {
        **_SCALERS,
        **_SELECTORS,
        "Binarizer": emit_numbers.emit_binarizer,
        "CountVectorizer": emit_text.emit_vectorizer,
        "HashingVectorizer": emit_text.refuse_hashes,
        "FunctionTransformer": emit_functions.emit_function,
        "KBinsDiscretizer": emit_numbers.emit_bins,
        "MissingIndicator": emit_categories.emit_indicator,
        "Normalizer": emit_numbers.emit_normalizer,
        "OneHotEncoder": emit_categories.emit_encoder,
        "OrdinalEncoder": emit_categories.emit_encoder,
        "PolynomialFeatures": emit_numbers.emit_polynomial,
        "PowerTransformer": emit_numbers.emit_power,
        "QuantileTransformer": emit_numbers.emit_quantiles,
        "SimpleImputer": emit_categories.emit_imputer,
        "SplineTransformer": emit_curves.emit_splines,
        "TargetEncoder": emit_categories.emit_encoder,
        "TfidfTransformer": emit_text.emit_tfidf,
        "TfidfVectorizer": emit_text.emit_vectorizer,
    }
)


def emit(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """The columns behind a fitted transformer.

    Raises:
        ConverterMissing: It has no faithful form; names it.
    """
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return frame
    if isinstance(step, str):
        return ()
    if hasattr(step, "steps"):
        for name, inner in step.steps:
            frame = emit(emitter, inner, frame, _join(path, name))
        return frame
    if hasattr(step, "transformers_"):
        return _emit_columns(emitter, step, frame, path)
    if hasattr(step, "transformer_list"):
        return _emit_union(emitter, step, frame, path)
    title = f"{type(step).__name__} at {path!r}" if path else type(step).__name__
    if any(block.half is not None for block in frame):
        return emit_functions.of_half(emitter, step, frame, title)
    if found := _emitter_of(step):
        return found(emitter, step, frame, title)
    return (emitter.subgraph(emitter, step, emitter.matrix(frame, title), path),)


def lift(emitter: Emitter, model: Any, frame: Frame, path: str = "") -> tuple[Any | None, Frame]:
    """What is left of a model when its transformers are emitted, and the columns that this takes; None for nothing.

    Raises:
        ConverterMissing: As for ``emit``.
    """
    rest, columns, where = before(emitter, model, frame, path)
    return (None, columns) if rest is None else _lift_members(emitter, rest, columns, where)


def before(emitter: Emitter, model: Any, frame: Frame, path: str = "") -> tuple[Any | None, Frame, str]:
    """The estimator at the end of a model, the columns that it is given, and where it sits; None for no estimator.

    Raises:
        ConverterMissing: As for ``emit``.
    """
    best = unwrapped(model)
    if hasattr(best, "steps"):
        *first, (name, last) = best.steps
        for inner_name, step in first:
            frame = emit(emitter, step, frame, _join(path, inner_name))
        return (None, frame, path) if isinstance(last, str) else before(emitter, last, frame, _join(path, name))
    if not hasattr(best, "predict"):
        return None, emit(emitter, best, frame, path), path
    if hasattr(best, "get_support"):
        return before(emitter, best.estimator_, emit_numbers.emit_selector(emitter, best, frame, path), path)
    _check_width(frame, f"{type(best).__name__} at {path!r}" if path else type(best).__name__)
    if type(best).__name__ == "FrozenEstimator":
        return before(emitter, best.estimator, frame, path)
    if type(best).__name__ == "RANSACRegressor":
        return before(emitter, best.estimator_, frame, path)
    return best, frame, path


def _lift_members(emitter: Emitter, model: Any, frame: Frame, path: str) -> tuple[Any, Frame]:
    """Pipelines inside voting, stacking, calibration …: each takes its own columns of one wide matrix."""
    if not any(hasattr(unwrapped(member), "steps") for member, _ in _slots(model)):
        return model, frame
    changed = copy.deepcopy(model)
    slots = _slots(changed)
    if getattr(changed, "estimators_features_", None) is not None:
        raise ConverterMissing(
            f"pipelines inside {path or type(model).__name__} have no ONNX form",
            hint="put the preprocessing before it, in a Pipeline",
        )
    lifted = [lift(emitter, member, frame, _join(path, f"[{index}]")) for index, (member, _) in enumerate(slots)]
    total = sum(width_of(columns) for _, columns in lifted)
    start = 0
    for (_, put), (rest, columns) in zip(slots, lifted, strict=True):
        put(_taking(rest, start, width_of(columns), total))
        start += width_of(columns)
    return changed, tuple(block for _, columns in lifted for block in columns)


def _slots(model: Any) -> list[tuple[Any, Callable[[Any], None]]]:
    """Members of a meta-estimator that are fed its own input, each with what replaces it."""
    found: list[tuple[Any, Callable[[Any], None]]] = []
    members = getattr(model, "estimators_", None)
    if isinstance(members, list) and not hasattr(model, "tree_"):
        found += [
            (member, partial(members.__setitem__, index)) for index, member in enumerate(members) if _predicts(member)
        ]
    for calibrated in getattr(model, "calibrated_classifiers_", ()):
        found.append((calibrated.estimator, partial(setattr, calibrated, "estimator")))
    for name in ("estimator_", "regressor_"):
        if members is None and _predicts(getattr(model, name, None)):
            found.append((getattr(model, name), partial(setattr, model, name)))
    return found


def _predicts(member: Any) -> bool:
    return hasattr(member, "predict") and hasattr(member, "get_params")


def _taking(rest: Any, start: int, width: int, total: int) -> Any:
    """The estimator behind a step that takes some neighbouring columns."""
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.pipeline import Pipeline

    chosen = VarianceThreshold(threshold=0.5)
    chosen.variances_ = np.zeros(total)
    chosen.variances_[start : start + width] = 1.0
    chosen.n_features_in_ = total
    return Pipeline([("columns", chosen), ("model", rest)])


def _emit_columns(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    indices = step._transformer_to_input_indices
    weights = step.transformer_weights or {}
    made: list[Block] = []
    for name, inner, _ in step.transformers_:
        chosen = [int(index) for index in indices[name]]
        if (isinstance(inner, str) and inner == "drop") or not chosen:
            continue
        behind = emit(emitter, inner, picked(emitter, frame, chosen), _join(path, name))
        made += _weighted(emitter, behind, weights.get(name), path)
    return _together(made)


def _check_width(frame: Frame, title: str) -> None:
    if any(block.half is not None for block in frame):
        raise ConverterMissing(
            f"{title} is given a function of booleans, which numpy leaves as float16 and goes on in float16",
            hint="make the column a number before training: frame.astype(float)",
        )


def _together(blocks: list[Block]) -> Frame:
    """Columns put into one array: of several types, they become doubles."""
    if all(block.flags for block in blocks) or all(block.half is not None for block in blocks):
        return tuple(blocks)
    return tuple(replace(block, flags=False, half=None) for block in blocks)


def _emit_union(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    weights = step.transformer_weights or {}
    made: list[Block] = []
    for name, inner in step.transformer_list:
        if isinstance(inner, str) and inner == "drop":
            continue
        made += _weighted(emitter, emit(emitter, inner, frame, _join(path, name)), weights.get(name), path)
    return _together(made)


def _weighted(emitter: Emitter, frame: Frame, weight: float | None, path: str) -> Frame:
    if weight is None:
        return frame
    value = emitter.add("Mul", emitter.matrix(frame, path), emitter.constant(np.float64(weight)))
    return (Block(value, width_of(frame)),)


def _emitter_of(step: Any) -> Emit | None:
    own = type(step).__module__.startswith("sklearn.")
    return EMITTERS.get(type(step).__name__) if own else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
