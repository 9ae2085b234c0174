"""Operations that tf2onnx has no rule for, or a wrong one: written here in ONNX.

A handler gets tf2onnx's graph and the node to replace. Source: tf2onnx 1.17, whose own rules these stand beside.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from packager.converters.tensorflow.arithmetic import ARITHMETIC
from packager.converters.tensorflow.counting import dense_bincount
from packager.converters.tensorflow.replacing import fresh, one, replace

Handler = Callable[..., None]
ML = "ai.onnx.ml"
ML_OPSET = 2  # the first whose LabelEncoder takes numbers


def handlers(tables: Mapping[bytes, Any]) -> dict[str, tuple[Handler, list[Any]]]:
    """As ``custom_op_handlers`` of tf2onnx takes them."""
    written: dict[str, Handler] = {
        "Erfc": _erfc,
        "Expm1": _expm1,
        "Bucketize": _bucketize,
        "LookupTableFindV2": partial(_lookup, tables),
        "Equal": _equal,
        "NotEqual": _equal,
        "DenseBincount": dense_bincount,
        **ARITHMETIC,
    }
    return {name: (handler, []) for name, handler in written.items()}


def _erfc(graph: Any, node: Any, *_: Any) -> None:
    """1 - Erf(x): right to 6e-8 where gelu uses it."""
    inner = graph.make_node("Erf", node.input)
    replace(graph, node, "Sub", [one(graph, node), inner.output[0]])


def _expm1(graph: Any, node: Any, *_: Any) -> None:
    """Exp(x) - 1."""
    inner = graph.make_node("Exp", node.input)
    replace(graph, node, "Sub", [inner.output[0], one(graph, node)])


def _bucketize(graph: Any, node: Any, *_: Any) -> None:
    """How many boundaries the value is not below; all for NaN. The boundaries are float32 whatever the value is."""
    from onnx import TensorProto

    bounds = np.asarray(node.get_attr_value("boundaries"), np.float32).astype(np.float64)
    wide = graph.make_node("Cast", node.input, attr={"to": TensorProto.DOUBLE}).output[0]
    last = graph.make_const(fresh("axes"), np.array([-1], np.int64)).output[0]
    column = graph.make_node("Unsqueeze", [wide, last]).output[0]
    below = graph.make_node("Less", [column, graph.make_const(fresh("bounds"), bounds).output[0]]).output[0]
    reached = graph.make_node("Not", [below]).output[0]
    counted = graph.make_node("Cast", [reached], attr={"to": TensorProto.INT32}).output[0]
    replace(graph, node, "ReduceSum", [counted, last], attr={"keepdims": 0})


def _lookup(tables: Mapping[bytes, Any], graph: Any, node: Any, *_: Any) -> None:
    """A table from texts or whole numbers to either: a LabelEncoder.

    Raises:
        ValueError: The table is filled while the model runs, or the answer for what is not in it is computed.
    """
    table = node.inputs[0]
    while table.type == "Identity":
        table = table.inputs[0]
    pair = tables.get(table.get_attr_value("shared_name"))
    if pair is None or not node.inputs[2].is_const():
        raise ValueError(f"the table of {node.name!r} is filled, or its default computed, while the model runs")
    keys, values = (_listed(part) for part in pair)
    default = node.inputs[2].get_tensor_value(as_list=False).ravel()
    attributes = {
        f"keys_{_kind(keys)}": keys,
        f"values_{_kind(values)}": values,
        f"default_{_kind(values)[:-1]}": _listed(default)[0],
    }
    graph.copy_shape(node.input[1], node.output[0])
    replace(graph, node, "LabelEncoder", [node.input[1]], attr=attributes, domain=ML)


def _equal(graph: Any, node: Any, *_: Any, **options: Any) -> None:
    """Texts against a constant: a LabelEncoder of one key, as Equal takes no texts before opset 19. Else tf2onnx's own.

    Raises:
        ValueError: Two texts are compared of which none is a constant.
    """
    from onnx import TensorProto
    from tf2onnx.onnx_opset.logical import Equal

    if graph.get_dtype(node.input[0]) != TensorProto.STRING:
        Equal.version_11(graph, node, **options)
        return
    constants = [index for index in (0, 1) if node.inputs[index].is_const()]
    texts = node.inputs[constants[0]].get_tensor_value(as_list=False).ravel() if constants else ()
    if len(texts) != 1:
        raise ValueError(f"{node.name!r} compares texts, neither of which is one constant")
    is_equal = int(node.type == "Equal")
    attributes = {"keys_strings": _listed(texts), "values_int64s": [is_equal], "default_int64": 1 - is_equal}
    other = node.input[1 - constants[0]]
    coded = graph.make_node("LabelEncoder", [other], attr=attributes, domain=ML, dtypes=[TensorProto.INT64])
    replace(graph, node, "Cast", [coded.output[0]], attr={"to": TensorProto.BOOL})


def _listed(values: Any) -> list[Any]:
    """Texts or whole numbers, as an attribute holds them."""
    return [value.encode() if isinstance(value, str) else value for value in np.asarray(values).tolist()]


def _kind(values: list[Any]) -> str:
    """The word for a list of such values in the names of a LabelEncoder's attributes."""
    if any(isinstance(value, float) for value in values):
        return "floats"
    return "strings" if values and isinstance(values[0], bytes) else "int64s"
