"""The neural networks of the benchmark as ONNX; weights are drawn, for only the time they take matters."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Expansion, channels, repetitions, stride. Source: Sandler et al., "MobileNetV2", table 2.
_MOBILENET = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def digits_cnn() -> onnx.ModelProto:
    """Two convolutions on a picture of 8 by 8, to 10 classes."""
    net = _Net(seed=1)
    flow = net.convolution("x", 1, 16, size=3, bound=None)
    flow = net.pooled(flow)
    flow = net.convolution(flow, 16, 32, size=3, bound=None)
    flow = net.pooled(flow)
    return net.classifier(flow, 32, 10, (1, 8, 8))


def image_head() -> onnx.ModelProto:
    """Next to no work on a large input: the mean of each channel of 224 by 224 pixels, to 10 classes."""
    return _Net(seed=2).classifier("x", 3, 10, (3, 224, 224))


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 1.0 for 224 by 224 pixels: about 300 million multiplications a picture."""
    net = _Net(seed=3)
    flow, channels = net.convolution("x", 3, 32, size=3, stride=2), 32
    for expansion, wide, repetitions, stride in _MOBILENET:
        for number in range(repetitions):
            flow = net.inverted_residual(flow, channels, wide, expansion, stride if number == 0 else 1)
            channels = wide
    flow = net.convolution(flow, channels, 1280, size=1)
    return net.classifier(flow, 1280, 1000, (3, 224, 224))


@dataclass
class _Net:
    """Nodes and weights so far; each method adds some and gives the name of what they compute."""

    seed: int
    nodes: list[Any] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def convolution(
        self,
        flow: str,
        channels: int,
        wide: int,
        *,
        size: int,
        stride: int = 1,
        group: int = 1,
        bound: float | None = 6.0,
        linear: bool = False,
    ) -> str:
        """A convolution that keeps the picture's size but for the stride, and what follows it (ReLU6 by default)."""
        fan_in = channels // group * size * size
        # He et al. 2015: the spread with which activations neither vanish nor explode over 50 layers.
        drawn = self._random.normal(size=(wide, channels // group, size, size)) * np.sqrt((1 if linear else 2) / fan_in)
        names = [flow, self._weight(drawn), self._weight(np.zeros(wide))]
        flow = self._node("Conv", names, pads=[size // 2] * 4, strides=[stride] * 2, group=group)
        if linear:
            return flow
        if bound is None:
            return self._node("Relu", [flow])
        return self._node("Clip", [flow, self._weight(np.array(0.0)), self._weight(np.array(bound))])

    def inverted_residual(self, flow: str, channels: int, wide: int, expansion: int, stride: int) -> str:
        """Widened, filtered channel by channel, and narrowed again; added to what came in where it fits."""
        came_in, inner = flow, channels * expansion
        if expansion != 1:
            flow = self.convolution(flow, channels, inner, size=1)
        flow = self.convolution(flow, inner, inner, size=3, stride=stride, group=inner)
        flow = self.convolution(flow, inner, wide, size=1, linear=True)
        return self._node("Add", [came_in, flow]) if stride == 1 and channels == wide else flow

    def pooled(self, flow: str) -> str:
        """Half as high and wide."""
        return self._node("MaxPool", [flow], kernel_shape=[2, 2], strides=[2, 2])

    def classifier(self, flow: str, channels: int, classes: int, shape: tuple[int, ...]) -> onnx.ModelProto:
        """The whole model: ``x`` FP32 [batch, *shape] to ``probabilities`` FP32 [batch, classes]."""
        flow = self._node("Flatten", [self._node("GlobalAveragePool", [flow])])
        drawn = self._random.normal(size=(channels, classes)) / np.sqrt(channels)
        flow = self._node("Gemm", [flow, self._weight(drawn), self._weight(np.zeros(classes))])
        self.nodes.append(helper.make_node("Softmax", [flow], ["probabilities"], axis=-1))
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes])],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _weight(self, value: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = value.astype(np.float32)
        return name
