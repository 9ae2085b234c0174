"""The places that convolutions and pools read, as indices into their flat source."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from packager.core.errors import CircuitRefused
from packager.transform.circuit.network import PADDING, Floats


@dataclass(frozen=True, slots=True)
class Window:
    """A window that moves over (channels, height, width); ``pads`` are top, left, bottom, right."""

    shape: tuple[int, ...]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    @property
    def result(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return self._places(0), self._places(1)

    def _places(self, axis: int) -> int:
        reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
        free = self.shape[axis + 1] + self.pads[axis] + self.pads[axis + 2] - reach
        return free // self.strides[axis] + 1


def integer(value: object) -> int:
    """An integer attribute."""
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def integers(value: object) -> tuple[int, ...]:
    """An attribute that lists integers."""
    return tuple(int(one) for one in value) if isinstance(value, list | tuple) else ()


def of_node(node: onnx.NodeProto, shape: tuple[int, ...], kernel: tuple[int, int]) -> Window:
    """The window that the attributes of a Conv or a pool describe.

    Raises:
        CircuitRefused: Its padding is not told in numbers.
    """
    told = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    if told.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise CircuitRefused(
            f"{node.op_type} with auto_pad has no circuit here", hint="export the model with explicit pads"
        )
    strides, dilations = integers(told.get("strides", [1, 1])), integers(told.get("dilations", [1, 1]))
    pads = integers(told.get("pads", [0, 0, 0, 0]))
    return Window(
        shape, kernel, (strides[0], strides[1]), (pads[0], pads[1], pads[2], pads[3]), (dilations[0], dilations[1])
    )


def by_channel(window: Window) -> NDArray[np.int32]:
    """Index of shape (channels, height, width, elements of a window); what lies outside repeats an element inside."""
    index = _index(window)
    # The largest of a window does not change when one of its own elements is seen twice.
    inside = np.where(index == PADDING, index.max(axis=-1, keepdims=True), index)
    return inside.astype(np.int32)


def patches(window: Window) -> NDArray[np.int32]:
    """Index of shape (places, channels times elements of a window)."""
    index = _index(window)
    channels, elements = index.shape[0], index.shape[-1]
    places = window.result[0] * window.result[1]
    moved = index.reshape(channels, places, elements).transpose(1, 0, 2)
    return np.ascontiguousarray(moved.reshape(places, channels * elements))


def dense_kernel(kernel: Floats, groups: int) -> Floats:
    """A grouped kernel as one over all channels, with zeros between the groups."""
    if groups == 1:
        return kernel
    outputs, inner = kernel.shape[:2]
    whole = np.zeros((outputs, inner * groups, *kernel.shape[2:]))
    for number in range(outputs):
        first = number // (outputs // groups) * inner
        whole[number, first : first + inner] = kernel[number]
    return whole


def _index(window: Window) -> NDArray[np.int32]:
    channels, height, width = window.shape
    tops, lefts = (np.arange(count) for count in window.result)
    down, right = (np.arange(size) for size in window.kernel)
    rows = (tops * window.strides[0] - window.pads[0])[:, None] + down * window.dilations[0]
    columns = (lefts * window.strides[1] - window.pads[1])[:, None] + right * window.dilations[1]
    y, x = rows[:, None, :, None], columns[None, :, None, :]
    flat = np.where((y >= 0) & (y < height) & (x >= 0) & (x < width), y * width + x, PADDING)
    flat = flat.reshape(*window.result, -1).astype(np.int32)
    step = np.arange(channels, dtype=np.int32)[:, None, None, None] * np.int32(height * width)
    return np.where(flat == PADDING, np.int32(PADDING), flat + step).astype(np.int32)
