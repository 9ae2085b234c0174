"""From a fitted estimator to an ONNX graph with skl2onnx; what has no faithful form is refused by name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from packager.converters.boosting import skl2onnx_hooks
from packager.converters.boosting.estimators import boosted_model, is_boosted
from packager.converters.sklearn.faithful import FaithfulTrees
from packager.converters.sklearn.histogram import histogram_converters, histogram_shapes
from packager.converters.sklearn.inputs import ModelInput
from packager.converters.sklearn.linear import linear_converters, linear_shapes
from packager.converters.sklearn.parts import Part, last_step, parts_of
from packager.converters.sklearn.precision import exact_scalers, has_scaler, prepared, scaler_shapes
from packager.converters.sklearn.trees import groves_of
from packager.core.errors import ConversionError, ConverterMissing

if TYPE_CHECKING:
    from onnx import ModelProto

_TEXT = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}
_CONTAINERS = {"Pipeline", "ColumnTransformer", "FeatureUnion"}
_NAME = "model"


def export(model: Any, model_input: ModelInput, *, opset: int, ml_opset: int, double: bool = False) -> "ModelProto":
    """The graph as skl2onnx makes it, with its own output names and shapes.

    Args:
        double: Whether it takes doubles and computes with them.

    Raises:
        ConverterMissing: A part has no faithful ONNX form; names its class and where it sits.
        ConversionError: The opset is newer than skl2onnx knows.
    """
    from skl2onnx import convert_sklearn, get_latest_tested_opset_version
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if opset > get_latest_tested_opset_version():
        raise ConversionError(
            f"skl2onnx does not know opset {opset}", hint=f"--opset {get_latest_tested_opset_version()} or lower"
        )
    best = prepared(model)
    parts = parts_of(best)
    exact = has_scaler(parts) and bool(groves_of(parts)) and not double
    tensor_type = DoubleTensorType if double else FloatTensorType
    trees = FaithfulTrees()
    try:
        with trees.applied():
            graph: ModelProto = convert_sklearn(
                best,
                name=_NAME,
                initial_types=[(model_input.name, tensor_type([None, model_input.width]))],
                target_opset={"": opset, "ai.onnx.ml": ml_opset},
                options=_options(parts),
                custom_conversion_functions={
                    **histogram_converters(),
                    **linear_converters(),
                    **(exact_scalers() if exact else {}),
                },
                custom_shape_calculators={
                    **histogram_shapes(),
                    **linear_shapes(),
                    **(scaler_shapes() if exact else {}),
                },
            )
    except MemoryError:
        raise
    except Exception as error:  # skl2onnx raises what comes: NotImplementedError, RuntimeError, NameError, ...
        raise _no_form(error, parts) from error
    trees.divide(graph)
    return graph


def _options(parts: Sequence[Part]) -> dict[int, dict[str, Any]]:
    """No ZipMap at the end of any pipeline, and no such option for what does not know it: LinearSVC and selectors."""
    from sklearn.base import is_classifier

    steps = [parts[0].estimator]
    steps += [step for part in parts if hasattr(part.estimator, "steps") for _, step in part.estimator.steps]
    return {
        id(step): {} if type(step).__name__ == "LinearSVC" or hasattr(step, "get_support") else {"zipmap": False}
        for step in steps
        if is_classifier(step) and not hasattr(step, "steps")
    }


def check_convertible(model: Any) -> None:
    """Refuse what has no faithful form.

    Raises:
        ConverterMissing: Names the class and where it sits.
    """
    from skl2onnx._supported_operators import sklearn_operator_name_map

    last, parts = last_step(model), parts_of(model)
    skl2onnx_hooks.register(part.estimator for part in parts)
    for part in parts:
        kind = type(part.estimator)
        if is_boosted(part.estimator):
            _check_boosted(part)
        if reason := _unfaithful(part.estimator, is_last=part.estimator is last):
            raise _refused(part, reason)
        search = hasattr(part.estimator, "best_estimator_")
        if kind not in sklearn_operator_name_map and kind.__name__ not in _CONTAINERS and not search:
            raise ConverterMissing(
                f"there is no ONNX converter for {part} ({kind.__module__})",
                hint="replace that step by one of scikit-learn's own that converts, or register a converter for it",
                detail=_facts(part),
            )


def check_splits(parts: Sequence[Part]) -> None:
    """Refuse trees that split on categories, before their columns are looked at.

    Raises:
        ConverterMissing: Names the class and where it sits.
    """
    for part in parts:
        if _splits_on_categories(part.estimator):
            raise _refused(part, _CATEGORICAL_SPLITS)


def _splits_on_categories(step: Any) -> bool:
    categorical = getattr(step, "is_categorical_", None)
    return categorical is not None and bool(np.any(categorical))


def _refused(part: Part, reason: str) -> ConverterMissing:
    return ConverterMissing(
        f"{part} cannot be converted faithfully: {reason}", hint=_HINTS.get(reason, _OTHER), detail=_facts(part)
    )


_TEXT_INPUT = "it reads text, and only numeric input is converted so far"
_TEXT_CATEGORIES = "its categories are text, and only numeric input is converted so far"
_CATEGORICAL_SPLITS = "its trees split on categorical features"
_SELECTING_PREDICTOR = "skl2onnx converts its selection of features and not its answers"
_INDICATORS = "skl2onnx leaves out its indicators of missing values"
_GAPPY_DISTANCES = "distances between rows with missing values have no ONNX operator that ONNX Runtime runs"
_OTHER = "replace that step, or keep it outside of the model"
_HINTS = {
    _TEXT_INPUT: "encode the text before the model, and train the model on the numbers",
    _TEXT_CATEGORIES: "encode the categories as numbers before the model",
    _CATEGORICAL_SPLITS: "train with one-hot encoded categories and categorical_features=None",
    _SELECTING_PREDICTOR: "end the pipeline with the estimator itself, after the selection",
    _GAPPY_DISTANCES: "fill the gaps with SimpleImputer",
    _INDICATORS: "train with add_indicator=False",
}


def _unfaithful(step: Any, *, is_last: bool) -> str | None:
    """Why a step must not go through skl2onnx although it may; None when it may."""
    name = type(step).__name__
    if name in _TEXT:
        return _TEXT_INPUT
    statistics = getattr(step, "statistics_", None) if name == "SimpleImputer" else None
    learned = [*(getattr(step, "categories_", None) or ()), *([] if statistics is None else [statistics])]
    if any(np.asarray(values).dtype.kind in "OUS" for values in learned):
        return _TEXT_CATEGORIES
    if _splits_on_categories(step):
        return _CATEGORICAL_SPLITS
    if name == "KNNImputer":
        return _GAPPY_DISTANCES
    if is_last and hasattr(step, "get_support") and hasattr(step, "predict"):
        return _SELECTING_PREDICTOR
    if name == "SimpleImputer" and step.add_indicator:
        return _INDICATORS
    return None


def _check_boosted(part: Part) -> None:
    try:
        boosted_model(part.estimator)
    except ConverterMissing as error:
        raise ConverterMissing(
            f"{part}: {error.message}", hint=error.hint, detail={**_facts(part), **error.detail}
        ) from error


def _no_form(error: Exception, parts: Sequence[Part]) -> ConverterMissing:
    part = _blamed(error, parts)
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ConverterMissing(
        f"skl2onnx cannot convert {part}: {reason}",
        hint="replace that step by one that converts; `dray doctor` shows the versions that convert",
        detail=_facts(part),
    )


def _blamed(error: Exception, parts: Sequence[Part]) -> Part:
    """The innermost estimator that skl2onnx was at work on, found in the frames of its traceback."""
    by_id = {id(part.estimator): part for part in parts}
    found = parts[0]
    trace = error.__traceback__
    while trace is not None:
        for value in list(trace.tb_frame.f_locals.values()):
            inner = value.__dict__.get("raw_operator") if type(value).__name__ == "Operator" else value
            if id(inner) in by_id and by_id[id(inner)].path:
                found = by_id[id(inner)]
        trace = trace.tb_next
    return found


def _facts(part: Part) -> dict[str, str]:
    kind = type(part.estimator)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "step": part.path}
