"""Exact forms of what float32 would get wrong: scalers before trees, and thresholds kept as float64.

A tree decides by comparing; an input that a float32 scaler moved by one bit may fall on the other side of a threshold.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from packager.converters.sklearn.parts import Part, parts_of, unwrapped

Affine = tuple[tuple[str, Any], ...]


def prepared(model: Any) -> Any:
    """The estimator to convert: a search's best, and a copy with what skl2onnx cannot read put in another form."""
    best = unwrapped(model)
    if not any(_is_changed(part.estimator) for part in parts_of(best)):
        return best
    changed = copy.deepcopy(best)
    for part in parts_of(changed):
        _change(part.estimator)
    return changed


def exact_scalers() -> dict[type, Callable[..., None]]:
    """Conversion functions that scale in double precision, as scikit-learn does, and round once at the end."""
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    return dict.fromkeys((MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler), _convert_scaler)


def scaler_shapes() -> dict[type, Callable[..., None]]:
    """The shape calculators that belong to ``exact_scalers``."""
    from skl2onnx.shape_calculators.scaler import calculate_sklearn_scaler_output_shapes

    return dict.fromkeys(exact_scalers(), calculate_sklearn_scaler_output_shapes)


def has_scaler(parts: Sequence[Part]) -> bool:
    """Whether any part is a scaler that ``exact_scalers`` knows."""
    return any(type(part.estimator) in exact_scalers() for part in parts)


def _is_changed(estimator: Any) -> bool:
    named = hasattr(estimator, "transformers_") and hasattr(estimator, "feature_names_in_")
    return hasattr(estimator, "flatten_transform") or hasattr(getattr(estimator, "_fit_X", None), "toarray") or named


def _change(estimator: Any) -> None:
    if hasattr(estimator, "flatten_transform"):
        estimator.flatten_transform = False  # only transform() looks at it, and skl2onnx refuses True
    if hasattr(getattr(estimator, "_fit_X", None), "toarray"):
        estimator._fit_X = estimator._fit_X.toarray()  # neighbours that came sparse
    if hasattr(estimator, "transformers_"):
        indices = estimator._transformer_to_input_indices
        # The ONNX input is one matrix without column names.
        estimator.transformers_ = [(name, step, list(indices[name])) for name, step, _ in estimator.transformers_]


def floored(values: Any) -> Any:
    """The largest float32 that is not above each float64 value.

    For every float32 x: x <= threshold exactly when x <= the next float32 at or below it.
    """
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    return np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float64)


def affine_steps(scaler: Any) -> Affine:
    """The arithmetic of ``transform``, in scikit-learn's order."""
    steps: Affine
    match type(scaler).__name__:
        case "StandardScaler":
            steps = (("Sub", scaler.mean_ if scaler.with_mean else None), ("Div", scaler.scale_))
        case "RobustScaler":
            steps = (("Sub", scaler.center_), ("Div", scaler.scale_))
        case "MaxAbsScaler":
            steps = (("Div", scaler.scale_),)
        case _:
            steps = (("Mul", scaler.scale_), ("Add", scaler.min_))
    return tuple((operator, value) for operator, value in steps if value is not None)


def _convert_scaler(scope: Any, operator: Any, container: Any) -> None:
    from onnx import TensorProto
    from skl2onnx.operator_converters.common import concatenate_variables

    scaler = operator.raw_operator
    several = len(operator.inputs) > 1
    source = concatenate_variables(scope, operator.inputs, container) if several else operator.inputs[0].full_name
    value = _added(scope, container, "Cast", [source], to=TensorProto.DOUBLE)
    for op_type, constant in affine_steps(scaler):
        value = _added(scope, container, op_type, [value, _constant(scope, container, constant)])
    if getattr(scaler, "clip", False):
        bounds = [_constant(scope, container, np.array(bound), shape=()) for bound in scaler.feature_range]
        value = _added(scope, container, "Clip", [value, *bounds])
    container.add_node(
        "Cast",
        [value],
        operator.outputs[0].full_name,
        name=scope.get_unique_operator_name("Cast"),
        to=TensorProto.FLOAT,
    )


def _constant(scope: Any, container: Any, value: Any, shape: tuple[int, ...] | None = None) -> str:
    from onnx import TensorProto

    array = np.asarray(value, np.float64)
    name: str = scope.get_unique_variable_name("scale")
    container.add_initializer(name, TensorProto.DOUBLE, array.shape if shape is None else shape, array.ravel())
    return name


def _added(scope: Any, container: Any, op_type: str, inputs: list[str], **attributes: Any) -> str:
    name: str = scope.get_unique_variable_name("scaled")
    container.add_node(op_type, inputs, name, name=scope.get_unique_operator_name(op_type), **attributes)
    return name
