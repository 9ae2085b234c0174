"""How often each whole number is in a row: what CategoryEncoding and lookups with several values come down to."""

from typing import Any

import numpy as np

from packager.converters.tensorflow.replacing import constant, numpy_type, replace

_ADDING_OPSET = 16  # the first whose ScatterElements adds up


def dense_bincount(graph: Any, node: Any, *_: Any) -> None:
    """Counts, sums of weights, or whether there is any, by row; numbers beyond the size count nowhere.

    tf2onnx takes values of unknown rank for one row, and has no weights.

    Raises:
        ValueError: The opset cannot add up in place.
    """
    if graph.opset < _ADDING_OPSET:
        raise ValueError(f"counting (DenseBincount) needs opset {_ADDING_OPSET}, asked is {graph.opset}")
    values, size, weights = node.input
    counted = _added(graph, values, size, _what_to_add(graph, node, values, weights), numpy_type(graph, weights))
    if not node.get_attr_value("binary_output"):
        replace(graph, node, "Identity", [counted])
        return
    some = graph.make_node("Greater", [counted, constant(graph, np.zeros((), numpy_type(graph, weights)))]).output[0]
    replace(graph, node, "Cast", [some], attr={"to": graph.get_dtype(weights)})


def _what_to_add(graph: Any, node: Any, values: str, weights: str) -> str:
    """The weights; ones where there are none, or where it only matters whether there is any."""
    given = node.inputs[2]
    has_none = given.is_const() and not given.get_tensor_value(as_list=False).size
    if not has_none and not node.get_attr_value("binary_output"):
        return weights
    shape = graph.make_node("Shape", [values]).output[0]
    ones = constant(graph, np.ones((), numpy_type(graph, weights)))
    output: str = graph.make_node("Expand", [ones, shape]).output[0]
    return output


def _added(graph: Any, values: str, size: str, added: str, dtype: Any) -> str:
    """Sums by number in the last axis; one more place takes what has none, and is cut off."""
    from onnx import TensorProto

    def of(kind: str, *inputs: str, **attributes: Any) -> str:
        output: str = graph.make_node(kind, list(inputs), attr=attributes).output[0]
        return output

    whole, end = of("Cast", values, to=TensorProto.INT64), of("Cast", size, to=TensorProto.INT64)
    zero, last, places = (constant(graph, np.array(number, np.int64)) for number in (0, [-1], [0]))
    outside = of("Or", of("Less", whole, zero), of("Not", of("Less", whole, end)))
    placed = of("Where", outside, end, whole)
    length = of("Reshape", end, last)
    longer = of("Add", length, constant(graph, np.array([1], np.int64)))
    rows = of("Slice", of("Shape", whole), places, last)
    empty = of("Expand", constant(graph, np.zeros((), dtype)), of("Concat", rows, longer, axis=0))
    return of("Slice", of("ScatterElements", empty, placed, added, axis=-1, reduction="add"), places, length, last)
