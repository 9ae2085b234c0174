"""Boosting libraries' wrappers inside scikit-learn models: what skl2onnx calls to convert them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.estimators import boosted_model, is_boosted
from packager.converters.boosting.graph import write_answers


def register(estimators: Iterable[Any]) -> None:
    """Make skl2onnx convert the boosted ones among these as dray does, in this process."""
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map

    for estimator in estimators:
        kind = type(estimator)
        if not is_boosted(estimator) or kind in sklearn_operator_name_map:
            continue
        classifies = hasattr(estimator, "predict_proba")
        update_registered_converter(
            kind,
            f"Boosted{kind.__module__.partition('.')[0].title()}{kind.__name__}",
            _classifier_shapes if classifies else _regressor_shapes,
            _convert,
            options={"zipmap": [True, False, "columns"], "nocl": [True, False]} if classifies else None,
        )


def _classifier_shapes(operator: Any) -> None:
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    calculate_linear_classifier_output_shapes(operator)


def _regressor_shapes(operator: Any) -> None:
    from skl2onnx.common.data_types import FloatTensorType

    scores = len(boosted_model(operator.raw_operator).forest.base)
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), scores])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    model = boosted_model(operator.raw_operator)
    writer = _ContainerWriter(scope, container)
    value, is_double = _input(operator, container, writer, keep_double=not model.single_precision_input)
    answers = write_answers(model, value, writer, is_double=is_double)
    for output, name in zip(operator.outputs, answers.values(), strict=False):
        container.add_node("Identity", [name], output.full_name, name=scope.get_unique_operator_name("Identity"))


def _input(operator: Any, container: Any, writer: "_ContainerWriter", *, keep_double: bool) -> tuple[str, bool]:
    """The matrix that the estimator is given, and whether it is FP64.

    A scaler ends in a cast to float32; a library that compares in float64 is given what was there before it.
    """
    from onnx import TensorProto
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    several = [variable.full_name for variable in operator.inputs]
    if len(several) > 1:
        return writer.node("Concat", [_cast(name, writer, TensorProto.DOUBLE) for name in several], axis=1), True
    name, kind = several[0], operator.inputs[0].type
    if isinstance(kind, DoubleTensorType):
        return name, True
    if not isinstance(kind, FloatTensorType):
        return _cast(name, writer, TensorProto.FLOAT), False
    before = next((node for node in container.nodes if name in node.output and node.op_type == "Cast"), None)
    if keep_double and before is not None and _is_double(before.input[0], container):
        return before.input[0], True
    return name, False


def _cast(name: str, writer: "_ContainerWriter", kind: int) -> str:
    return writer.node("Cast", [name], to=kind)


def _is_double(name: str, container: Any) -> bool:
    """Whether a value is made by the exact scalers, which compute in float64."""
    from onnx import TensorProto

    for node in container.nodes:
        if name in node.output:
            if node.op_type == "Cast":
                return bool(node.attribute[0].i == TensorProto.DOUBLE)
            return node.op_type in {"Sub", "Div", "Mul", "Add", "Clip"} and _is_double(node.input[0], container)
    return False


class _ContainerWriter:
    """Nodes and initializers in the graph that skl2onnx is making."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def node(self, op_type: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node; the name of its one output."""
        output: str = self._scope.get_unique_variable_name("boosted")
        name = self._scope.get_unique_operator_name(op_type)
        self._container.add_node(
            op_type, inputs, output, op_domain=domain, op_version=3 if domain else None, name=name, **attributes
        )
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer; its name."""
        from onnx import helper

        name: str = self._scope.get_unique_variable_name("constant")
        elem = helper.np_dtype_to_tensor_dtype(np.asarray(values).dtype)
        self._container.add_initializer(name, elem, values.shape, values.ravel().tolist())
        return name
