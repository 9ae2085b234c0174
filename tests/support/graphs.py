"""ONNX graphs for the tests of conversion, built by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
    outputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
    constants: dict[str, np.ndarray] | None = None,
) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def double(path: Path, shape: Sequence[int | str | None] = ("batch", 2), dtype: int = TensorProto.FLOAT) -> Path:
    """y = x + x."""
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    return write_graph(path, nodes, [("x", dtype, shape)], [("y", dtype, shape)])


def minus_mean(path: Path) -> Path:
    """y = x - mean of x over the batch: a row's answer depends on the rows beside it."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    shape = ("batch", 2)
    return write_graph(
        path, nodes, [("x", TensorProto.FLOAT, shape)], [("y", TensorProto.FLOAT, shape)], {"axes": np.array([0])}
    )
