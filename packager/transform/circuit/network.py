"""A network in floats, in the few operations that a circuit is made of; what ONNX calls many names is one of these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

PADDING = -1


@dataclass(frozen=True, slots=True, eq=False)
class Select:
    """Elements by their place: a reshape, a transposition, the patches of a convolution, the windows of a pool.

    ``index`` has the shape of the result (without the batch) and counts the flat source; ``PADDING`` is a zero.
    """

    index: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """``x @ weight + bias`` over the last axis."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Relu:
    """The larger of an element and zero."""


@dataclass(frozen=True, slots=True)
class Maximum:
    """The largest element of the last axis, which goes."""


@dataclass(frozen=True, slots=True)
class Join:
    """The sum of two tensors of one shape."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A function that has no circuit of its own, and becomes a table."""

    function: Literal["sigmoid", "tanh"]


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Arrays by node, the root first; a row goes left where ``value <= threshold``. Several nodes may lead to one.

    Attributes:
        left, right: -1 at a leaf.
        missing_left: Where NaN goes.
        values: What a leaf adds to each output, (nodes, outputs).
    """

    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    missing_left: Bools
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """``base`` and what the leaves add that a row ends in.

    ``bits`` is 0 while thresholds are the model's; then input and thresholds are integers of so many bits, and those
    from ``missing`` on, which each feature has its own of, stand for NaN.
    """

    trees: tuple[Tree, ...]
    base: Floats
    bits: int = 0
    missing: Integers | None = None


Operation: TypeAlias = Select | Affine | Relu | Maximum | Join | Curve | Trees


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation on earlier tensors: 0 is the network's input, ``n`` the result of layer ``n - 1``."""

    operation: Operation
    sources: tuple[int, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Network:
    """Layers in the order of their computation; the last one's result is the network's."""

    shape: tuple[int, ...]
    layers: tuple[Layer, ...]


def shapes(network: Network) -> list[tuple[int, ...]]:
    """Shape of every tensor, the input's first, without the batch."""
    found = [network.shape]
    for layer in network.layers:
        source = found[layer.sources[0]]
        match layer.operation:
            case Select(index):
                found.append(index.shape)
            case Affine(weight):
                found.append((*source[:-1], weight.shape[1]))
            case Maximum():
                found.append(source[:-1])
            case Trees(_, base):
                found.append(base.shape)
            case Relu() | Join() | Curve():
                found.append(source)
    return found


def evaluate(network: Network, rows: Floats) -> list[Floats]:
    """Every tensor for these rows, in float64; the first is ``rows``, the last the result."""
    tensors = [rows.astype(np.float64)]
    for layer in network.layers:
        tensors.append(_apply(layer.operation, [tensors[source] for source in layer.sources]))
    return tensors


def upwards(left: Integers, right: Integers) -> Iterator[int]:
    """Nodes of a tree that its root leads to, each after those that it leads to, and once."""
    waiting, seen = [(0, False)], set()
    while waiting:
        node, ready = waiting.pop()
        if ready:
            yield node
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            if left[node] >= 0:
                waiting += [(int(right[node]), False), (int(left[node]), False)]


def curve(function: str, values: Floats) -> Floats:
    """A table's function at these values."""
    if function == "tanh":
        return np.asarray(np.tanh(values), np.float64)
    # The form that does not overflow for large negative values.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)


def _apply(operation: Operation, values: Sequence[Floats]) -> Floats:
    first = values[0]
    match operation:
        case Select(index):
            flat = first.reshape(len(first), -1)
            padded = np.concatenate([flat, np.zeros((len(flat), 1))], axis=1)
            return padded[:, index]  # PADDING, -1, is the last: the zero
        case Affine(weight, bias):
            return np.asarray(first @ weight + bias, np.float64)
        case Relu():
            return np.maximum(first, 0.0)
        case Maximum():
            return np.asarray(first.max(axis=-1), np.float64)
        case Join():
            return first + values[1]
        case Curve(function):
            return curve(function, first)
        case Trees():
            return _grown(operation, first)


def _grown(forest: Trees, rows: Floats) -> Floats:
    missing = np.isnan(rows) if forest.missing is None else rows >= forest.missing
    sums = np.tile(forest.base, (len(rows), 1))
    for tree in forest.trees:
        sums += tree.values[_leaves(tree, rows, missing)]
    return sums


def _leaves(tree: Tree, rows: Floats, missing: Bools) -> Integers:
    node, every = np.zeros(len(rows), np.int64), np.arange(len(rows))
    while (inner := tree.left[node] >= 0).any():
        feature = tree.feature[node]
        goes_left = rows[every, feature] <= tree.threshold[node]
        goes_left = np.where(missing[every, feature], tree.missing_left[node], goes_left)
        node = np.where(inner, np.where(goes_left, tree.left[node], tree.right[node]), node)
    return node
