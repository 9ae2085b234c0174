"""Models that the report makes circuits of: trained here, on what scikit-learn brings, with seeds."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

Array = NDArray[Any]
_SEED = 11
_FILTERS, _SIDE = 4, 3


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model, rows that it has not seen in training, and their labels (None: it is to be refused by its size)."""

    name: str
    what: str
    model: onnx.ModelProto
    rows: Array
    truth: Array | None

    @property
    def feeds(self) -> dict[str, Array]:
        """The rows by the name of the model's only input."""
        return {self.model.graph.input[0].name: self.rows}


def digits_mlp() -> Subject:
    """64-32-32-10 on the digits of scikit-learn."""
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    return _mlp("digits MLP", "64-32-32-10, scikit-learn's digits", (32, 32), pixels, digits.target)


def jets_mlp() -> Subject:
    """16-64-32-32-5, the size of the jet-tagging network of the literature, on drawn data."""
    drawn, classes = make_classification(
        6000, n_features=16, n_informative=12, n_redundant=2, n_classes=5, class_sep=2.0, random_state=_SEED
    )
    rows = StandardScaler().fit_transform(drawn).astype(np.float32)
    what = "16-64-32-32-5, the size of a jet tagger; synthetic data (make_classification), no jets"
    return _mlp("jet-size MLP", what, (64, 32, 32), rows, classes)


def digits_cnn() -> Subject:
    """A convolution over 8 by 8 and one dense layer, on the digits of scikit-learn."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    train, test, train_truth, truth = train_test_split(
        images, digits.target, test_size=0.3, random_state=_SEED, stratify=digits.target
    )
    patches = np.lib.stride_tricks.sliding_window_view(train, (_SIDE, _SIDE), axis=(1, 2)).reshape(-1, _SIDE**2)
    filters = PCA(_FILTERS, random_state=_SEED).fit(patches).components_.astype(np.float32)
    dense = LogisticRegression(C=3.0, max_iter=3000).fit(_pooled(train, filters), train_truth)
    what = f"{_FILTERS} filters {_SIDE} by {_SIDE} (principal components of patches, not trained), pool, dense 36-10"
    return Subject("digits CNN", what, _cnn(filters, dense.coef_.T, dense.intercept_), test[:, None], truth)


def boosted_trees() -> Subject:
    """20 trees of depth 3."""
    data = load_breast_cancer()
    rows = StandardScaler().fit_transform(data.data).astype(np.float32)
    train, test, train_truth, truth = train_test_split(rows, data.target, test_size=0.3, random_state=_SEED)
    model = GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=_SEED).fit(train, train_truth)
    return Subject("boosted trees", "20 trees of depth 3, breast cancer", _converted(model, test), test, truth)


def resnet() -> Subject:
    """The graph of ResNet-18 over 224 by 224, weights drawn; too large by far."""
    what = "the graph of ResNet-18, 3 by 224 by 224, drawn weights"
    return Subject("ResNet-18", what, _resnet18(), np.zeros((1, 3, 224, 224), np.float32), None)


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "digits-mlp": digits_mlp,
    "jets-mlp": jets_mlp,
    "digits-cnn": digits_cnn,
    "trees": boosted_trees,
    "resnet": resnet,
}


def _mlp(name: str, what: str, layers: tuple[int, ...], rows: Array, classes: Array) -> Subject:
    train, test, train_truth, truth = train_test_split(
        rows, classes, test_size=0.3, random_state=_SEED, stratify=classes
    )
    model = MLPClassifier(layers, alpha=1e-2, max_iter=600, random_state=_SEED)
    model.fit(train, train_truth)
    return Subject(name, what, _converted(model, test), test[:600], truth[:600])


def _converted(model: Any, rows: Array) -> onnx.ModelProto:
    from skl2onnx import to_onnx

    found = to_onnx(model, rows[:1], options={"zipmap": False})
    assert isinstance(found, onnx.ModelProto)
    return found


def _pooled(images: Array, filters: Array) -> Array:
    """What the network has before its dense layer, by NumPy."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (_SIDE, _SIDE), axis=(1, 2))
    maps = np.maximum(np.einsum("nhwab,fab->nfhw", windows, filters.reshape(-1, _SIDE, _SIDE)), 0)
    count, kinds, height, width = maps.shape
    blocks = maps.reshape(count, kinds, height // 2, 2, width // 2, 2)
    return blocks.max(axis=(3, 5)).reshape(count, -1)


def _cnn(filters: Array, weight: Array, bias: Array) -> onnx.ModelProto:
    weights = {"k": filters.reshape(-1, 1, _SIDE, _SIDE), "w": weight, "b": bias}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["maps"], kernel_shape=[_SIDE, _SIDE]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("MaxPool", ["positive"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    return _model(nodes, weights, [1, 8, 8], "probabilities")


def _resnet18() -> onnx.ModelProto:
    random = np.random.default_rng(_SEED)
    weights: dict[str, Array] = {}
    nodes: list[onnx.NodeProto] = []

    def convolved(source: str, name: str, channels: tuple[int, int], side: int, stride: int) -> str:
        before, after = channels
        scale = (2 / (before * side * side)) ** 0.5
        weights[f"{name}_w"] = random.normal(scale=scale, size=(after, before, side, side))
        pads, strides = [side // 2] * 4, [stride, stride]
        nodes.append(helper.make_node("Conv", [source, f"{name}_w"], [name], pads=pads, strides=strides))
        return name

    def positive(source: str) -> str:
        nodes.append(helper.make_node("Relu", [source], [f"{source}_r"]))
        return f"{source}_r"

    last = positive(convolved("x", "stem", (3, 64), 7, 2))
    nodes.append(helper.make_node("MaxPool", [last], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    last, channels = "pool", 64
    for stage, half in itertools.product(range(4), range(2)):
        wide, name = 64 << stage, f"s{stage}{half}"
        stride = 2 if stage and not half else 1
        first = positive(convolved(last, f"{name}a", (channels, wide), 3, stride))
        second = convolved(first, f"{name}b", (wide, wide), 3, 1)
        side = last if channels == wide else convolved(last, f"{name}c", (channels, wide), 1, stride)
        nodes.append(helper.make_node("Add", [second, side], [name]))
        last, channels = positive(name), wide
    weights["w"], weights["b"] = random.normal(scale=0.05, size=(512, 1000)), np.zeros(1000)
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
    ]
    return _model(nodes, weights, [3, 224, 224], "scores")


def _model(nodes: list[onnx.NodeProto], weights: dict[str, Array], shape: list[int], output: str) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "subject",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
