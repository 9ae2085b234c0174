"""Small ONNX graphs of the kinds that become circuits, with weights of a seed."""

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Random = np.random.Generator


def model_of(
    nodes: Sequence[onnx.NodeProto], weights: dict[str, np.ndarray], shape: Sequence[int], outputs: Sequence[str]
) -> onnx.ModelProto:
    """A model of one float32 input ``x``."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def mlp(sizes: Sequence[int] = (6, 5, 3), *, activation: str = "Relu", seed: int = 0) -> onnx.ModelProto:
    """Layers of Gemm, and a Softmax at the end."""
    random = np.random.default_rng(seed)
    nodes, weights, last = [], {}, "x"
    for at, (before, after) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{at}"] = random.normal(size=(before, after)).astype(np.float32)
        weights[f"b{at}"] = random.normal(size=after).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [last, f"w{at}", f"b{at}"], [f"h{at}"]))
        last = f"h{at}"
        if at < len(sizes) - 2:
            nodes.append(helper.make_node(activation, [last], [f"a{at}"]))
            last = f"a{at}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=-1))
    return model_of(nodes, weights, [sizes[0]], ["probabilities"])


def cnn(seed: int = 0) -> onnx.ModelProto:
    """Conv, batch normalisation, Relu, pools of both kinds, and a sum of two branches, over (2, 6, 6)."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    weights = {
        "k0": normal(3, 2, 3, 3), "c0": normal(3), "scale": normal(3), "shift": normal(3), "mean": normal(3),
        "variance": np.abs(normal(3)) + np.float32(0.5), "k1": normal(3, 3, 1, 1), "w": normal(12, 4), "b": normal(4),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "k0", "c0"], ["conv"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], ["norm"]),
        helper.make_node("Relu", ["norm"], ["relu"]),
        helper.make_node("MaxPool", ["relu"], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0]),
        helper.make_node("Conv", ["pool", "k1"], ["side"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["pool", "side"], ["sum"]),
        helper.make_node("AveragePool", ["sum"], ["mean3"], kernel_shape=[2, 2], strides=[1, 1]),
        helper.make_node("Flatten", ["mean3"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["scores"]),
    ]
    return model_of(nodes, weights, [2, 6, 6], ["scores"])


def resnet(channels: int = 64, blocks: int = 8, *, seed: int = 0) -> onnx.ModelProto:
    """The shape of a residual network over images of 112 by 112."""
    random = np.random.default_rng(seed)
    weights = {"stem": random.normal(size=(channels, 3, 7, 7)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["c"], strides=[4, 4], pads=[3, 3, 3, 3]),
        helper.make_node("Relu", ["c"], ["r0"]),
    ]
    for at in range(blocks):
        for half in "ab":
            weights[f"{half}{at}"] = random.normal(size=(channels, channels, 3, 3)).astype(np.float32)
        nodes += [
            helper.make_node("Conv", [f"r{at}", f"a{at}"], [f"p{at}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"p{at}"], [f"q{at}"]),
            helper.make_node("Conv", [f"q{at}", f"b{at}"], [f"s{at}"], pads=[1, 1, 1, 1]),
            helper.make_node("Add", [f"s{at}", f"r{at}"], [f"t{at}"]),
            helper.make_node("Relu", [f"t{at}"], [f"r{at + 1}"]),
        ]
    weights["w"] = random.normal(size=(channels, 10)).astype(np.float32)
    nodes += [
        helper.make_node("GlobalAveragePool", [f"r{blocks}"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["scores"]),
    ]
    return model_of(nodes, weights, [3, 112, 112], ["scores"])
