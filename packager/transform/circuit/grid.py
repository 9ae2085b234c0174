"""The grid that a model's trees are put on, as narrow as the samples allow, and the host's part that rounds to it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from packager.core.errors import CircuitRefused
from packager.transform.circuit.ends import to_circuit
from packager.transform.circuit.frontend import Cut
from packager.transform.circuit.network import Floats, Layer, Network, Tree, Trees
from packager.transform.circuit.scales import Grid

WIDEST = 16
_NARROWEST = 3
# Samples between those at hand may lie nearer to a threshold than these do.
_MARGIN = 2
# Scaled thresholds stay whole numbers that a float64 holds with room for fractions.
_LARGEST = 40
# Beyond FP32. LightGBM writes 1e300 for infinity, and a grid that reached so far would tell nothing else apart.
_ENDLESS = 2.0**128
_OPSET = 18


def on_grid(cut: Cut, feeds: Mapping[str, NDArray[Any]]) -> Cut:
    """The cut with the host's rounding in its first part, where it begins with trees; any other as it is.

    Args:
        feeds: Samples; the fewest bits are taken that decide all of them as the model does, and two more.
    """
    first = cut.network.layers[0].operation
    if not isinstance(first, Trees):
        return cut
    grid = chosen(first, to_circuit(cut, feeds))
    trees = tuple(_rounded(tree, grid) for tree in first.trees)
    whole = replace(first, trees=trees, bits=grid.bits, missing=grid.missing)
    network = Network(cut.network.shape, (Layer(whole, (0,), cut.network.layers[0].name),))
    entry = f"{cut.entry}/integers"
    return replace(cut, before=_before(cut, grid, entry), network=network, entry=entry, grid=grid)


def chosen(trees: Trees, rows: Floats) -> Grid:
    """For each feature the narrowest grid on which all of these rows are decided as without it, and a margin.

    Raises:
        CircuitRefused: A threshold is NaN.
    """
    scales = np.tile(np.array([_NARROWEST, 0, 0], np.int64), (rows.shape[1], 1))
    for feature, thresholds in _thresholds(trees).items():
        if np.isnan(thresholds).any():
            raise CircuitRefused(
                "a threshold of the trees is NaN", hint="train the model anew: it decides nothing there"
            )
        if len(thresholds):
            scales[feature] = _narrowest(thresholds, rows[:, feature])
    return Grid(*scales.T)


def _thresholds(trees: Trees) -> dict[int, Floats]:
    """Distinct thresholds by feature, ascending, without those that stand for an end of all numbers."""
    found: dict[int, list[Floats]] = {}
    for tree in trees.trees:
        inner = tree.left >= 0
        for feature in np.unique(tree.feature[inner]):
            found.setdefault(int(feature), []).append(tree.threshold[inner & (tree.feature == feature)])
    distinct = {feature: np.unique(np.concatenate(values)) for feature, values in sorted(found.items())}
    return {feature: values[~(np.abs(values) >= _ENDLESS)] for feature, values in distinct.items()}


def _narrowest(thresholds: Floats, values: Floats) -> tuple[int, int, int]:
    """Width, fraction and offset for one feature."""
    values = values[~np.isnan(values)]
    low, high = float(thresholds[0]), float(thresholds[-1])
    every = [(width, *_scale(low, high, width)) for width in range(_NARROWEST, WIDEST + 1)]
    fitting = [one for one in every if _decides(one, thresholds, values)]
    if not fitting:
        return every[-1]
    with np.errstate(over="ignore"):
        scaled = np.ldexp(values, fitting[0][1])
    # Values that are all on the grid leave none between.
    wanted = fitting[0][0] + (0 if (scaled == np.floor(scaled)).all() else _MARGIN)
    return next((one for one in fitting if one[0] >= wanted), fitting[-1])


def _decides(one: tuple[int, int, int], thresholds: Floats, values: Floats) -> bool:
    """Whether thresholds stay apart, and every comparison is decided as without the grid.

    It is where as many thresholds are below each value.
    """
    grid = Grid(*(np.array([number], np.int64) for number in one))
    rounded = grid.thresholds(np.zeros(len(thresholds), np.int64), thresholds)
    whole = grid.integers(values[:, None])[:, 0]
    if len(np.unique(rounded)) < len(rounded):
        return False
    return np.array_equal(np.searchsorted(thresholds, values), np.searchsorted(rounded, whole))


def _scale(low: float, high: float, width: int) -> tuple[int, int]:
    """The largest fraction at which both ends, and what lies beyond them, have integers; and the lower end's."""
    # Of the integers, the largest is NaN's, and one has to be above the largest threshold.
    most = (1 << width) - 3
    largest = max(abs(low), abs(high), 2.0**-900)
    fraction = _LARGEST - int(np.frexp(largest)[1])
    if high > low:
        fraction = min(fraction, int(np.floor(np.log2(most) - np.log2(high - low))) + 1)
    while np.floor(np.ldexp(high, fraction)) - np.floor(np.ldexp(low, fraction)) > most:
        fraction -= 1
    return fraction, int(np.floor(np.ldexp(low, fraction)))


def _rounded(tree: Tree, grid: Grid) -> Tree:
    threshold = np.where(tree.left < 0, 0, grid.thresholds(tree.feature, tree.threshold))
    return replace(tree, threshold=threshold.astype(np.float64))


def _before(cut: Cut, grid: Grid, entry: str) -> onnx.ModelProto:
    """The host's first part, ended by the rounding: the numbers that leave it are the circuit's integers."""
    model = onnx.ModelProto()
    if cut.before is None:
        value = helper.make_tensor_value_info(cut.entry, cut.kind, ["rows", *cut.network.shape])
        graph = helper.make_graph([], "before", [value], [])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    else:
        model.CopyFrom(cut.before)
        del model.graph.output[:]
    model.graph.node.extend(_nodes(cut.entry, grid, entry))
    model.graph.output.append(helper.make_tensor_value_info(entry, TensorProto.FLOAT, None))
    return model


def _nodes(source: str, grid: Grid, entry: str) -> list[onnx.NodeProto]:
    """``Grid.integers``, step by step in float64."""
    constants = {
        "scale": np.ldexp(np.ones(len(grid.fractions)), grid.fractions), "half": np.array(0.5),
        "offset": grid.offsets.astype(np.float64), "least": np.array(0.0), "most": (1 << grid.widths) - 2.0,
        "place": np.ldexp(np.ones(len(grid.shifts)), grid.shifts), "missing": np.array((1 << grid.bits) - 1.0),
    }  # fmt: skip
    steps = [
        ("Mul", ["scaled", "scale"]), ("Add", ["raised", "half"]), ("Floor", ["whole"]),
        ("Sub", ["moved", "offset"]), ("Max", ["above", "least"]), ("Min", ["inside", "most"]),
        ("Mul", ["placed", "place"]),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], [f"{entry}/{name}"], value=numpy_helper.from_array(np.asarray(value)))
        for name, value in constants.items()
    ]
    last = f"{entry}/wide"
    nodes.append(helper.make_node("Cast", [source], [last], to=TensorProto.DOUBLE))
    for op_type, (name, *others) in steps:
        nodes.append(helper.make_node(op_type, [last, *(f"{entry}/{one}" for one in others)], [f"{entry}/{name}"]))
        last = f"{entry}/{name}"
    return [
        *nodes,
        helper.make_node("IsNaN", [f"{entry}/wide"], [f"{entry}/nan"]),
        helper.make_node("Where", [f"{entry}/nan", f"{entry}/missing", last], [f"{entry}/all"]),
        helper.make_node("Cast", [f"{entry}/all"], [entry], to=TensorProto.FLOAT),
    ]
