"""A model whose running time the request decides, to have requests in flight."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def slow_model() -> onnx.ModelProto:
    """``x`` FP32 [batch, 2] → ``y``, the same; the largest value of ``x`` is how many turns of about 1 ms it takes."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["a_in", "a_in"], ["a_out"]),
            helper.make_node("Identity", ["c_in"], ["c_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a_in", TensorProto.FLOAT, [256, 256]),
        ],
        [
            helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a_out", TensorProto.FLOAT, [256, 256]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["n"], to=TensorProto.INT64),
        helper.make_node("Loop", ["n", "", "a"], ["a2"], body=body),
        helper.make_node("ReduceMean", ["a2"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    shape = ["batch", 2]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.zeros((256, 256), "f4"), "a"),
            numpy_helper.from_array(np.array(0, "f4"), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
