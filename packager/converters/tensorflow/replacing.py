"""What handlers share: a node of tf2onnx's graph replaced by another, and constants beside it."""

from typing import Any

import numpy as np


def replace(graph: Any, node: Any, kind: str, inputs: list[str], **about: Any) -> None:
    """Another operation in the node's place, under the name, shape and type of its output."""
    output, shape, dtype = node.output[0], graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    name = node.name
    graph.remove_node(name)
    graph.make_node(kind, inputs, name=name, outputs=[output], shapes=[shape], dtypes=[dtype], **about)


def one(graph: Any, node: Any) -> str:
    """The number 1 in the type of the node's first input."""
    return constant(graph, np.array(1, numpy_type(graph, node.input[0])))


def fresh(what: str) -> str:
    """A name that the graph does not have yet."""
    from tf2onnx import utils

    name: str = utils.make_name(f"dray_{what}")
    return name


def constant(graph: Any, values: Any) -> str:
    """The tensor that holds the values."""
    output: str = graph.make_const(fresh("constant"), np.asarray(values)).output[0]
    return output


def numpy_type(graph: Any, tensor: str) -> Any:
    """The type of a tensor, as numpy has it."""
    from tf2onnx import utils

    return np.dtype(utils.map_onnx_to_numpy_type(graph.get_dtype(tensor)))
