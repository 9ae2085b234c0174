"""Small neural networks as ONNX, with trained or seeded weights."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 pictures of 64 pixels from 0 to 1 in float32, and their digits."""
    pictures, numbers = load_digits(return_X_y=True)
    return (pictures / 16).astype(np.float32), numbers


def digits_mlp(hidden: tuple[int, ...] = (64,)) -> MLPClassifier:
    """A trained network of 64 inputs and 10 classes."""
    pictures, numbers = digits()
    network: Any = MLPClassifier(hidden, max_iter=300, random_state=0, tol=1e-2)
    return network.fit(pictures[:800], numbers[:800])


def digits_model(folder: Path, *, texts: bool = False, hidden: tuple[int, ...] = (64,)) -> Path:
    """The trained network as a file of ONNX: ``X`` → ``label`` and ``probabilities``.

    Args:
        texts: The labels are words.
    """
    network = digits_mlp(hidden)
    nodes, weights, flow = [], {}, "X"
    last = len(network.coefs_) - 1
    for number, (matrix, offset) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        weights |= {f"w{number}": matrix.astype(np.float32), f"b{number}": offset.astype(np.float32)}
        nodes.append(helper.make_node("Gemm", [flow, f"w{number}", f"b{number}"], [f"s{number}"]))
        flow = f"s{number}"
        if number < last:
            nodes.append(helper.make_node("Relu", [flow], [f"r{number}"]))
            flow = f"r{number}"
    nodes.append(helper.make_node("Softmax", [flow], ["probabilities"], axis=-1))
    nodes.append(helper.make_node("ArgMax", ["probabilities"], ["index" if texts else "label"], axis=1, keepdims=0))
    if texts:
        words = [f"digit {number}" for number in range(10)]
        nodes.append(helper.make_node("LabelEncoder", ["index"], ["label"], domain="ai.onnx.ml",
                                      keys_int64s=list(range(10)), values_strings=words))  # fmt: skip
    label = TensorProto.STRING if texts else TensorProto.INT64
    return write_net(
        folder / "digits.onnx",
        nodes,
        [("X", TensorProto.FLOAT, ["batch", 64])],
        [("label", label, ["batch"]), ("probabilities", TensorProto.FLOAT, ["batch", 10])],
        weights,
    )


def convolutions(path: Path, *, dtype: type = np.float32, seed: int = 0) -> Path:
    """``x`` [batch, 1, 8, 8] → ``logits`` [batch, 10]: two convolutions, the first with a batch normalisation."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(dtype)

    weights = {
        "k1": weight(8, 1, 3, 3), "scale": np.full(8, 1.5, dtype), "shift": weight(8, 1).ravel(),
        "mean": weight(8, 1).ravel() * 0, "var": np.ones(8, dtype), "k2": weight(8, 8, 3, 3),
        "w": weight(10, 32).T.copy(),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"]),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", "k2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p2"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["logits"]),
    ]
    number = TensorProto.FLOAT if dtype is np.float32 else TensorProto.DOUBLE
    return write_net(path, nodes, [("x", number, ["batch", 1, 8, 8])], [("logits", number, ["batch", 10])], weights)


def embeddings(path: Path) -> Path:
    """``ids`` INT64 [batch, 6] → ``vector`` [batch, 64] of length 1: looked up, averaged, multiplied, normalised."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["long"]),
        helper.make_node("LpNormalization", ["long"], ["vector"], axis=-1, p=2),
    ]
    weights = {
        "table": rng.normal(size=(50, 32)).astype(np.float32),
        "axes": np.array([1]),
        "w": rng.normal(size=(32, 64)).astype(np.float32),
    }
    return write_net(
        path,
        nodes,
        [("ids", TensorProto.INT64, ["batch", 6])],
        [("vector", TensorProto.FLOAT, ["batch", 64])],
        weights,
    )


def write_net(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> Path:
    """A checked model of opset 18 at ``path``."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def digit_rows(path: Path, *, count: int = 300, name: str = "X", pictures: bool = False) -> Path:
    """Samples: pixels of digits, in rows or as pictures of one channel."""
    rows = digits()[0][:count]
    np.savez(path, **{name: rows.reshape(-1, 1, 8, 8) if pictures else rows})
    return path
