"""What trees compare becomes integers: a power-of-two scale and an offset for each feature, applied on the host."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from packager.core.errors import CircuitRefused
from packager.transform.circuit.ends import to_circuit
from packager.transform.circuit.frontend import Cut
from packager.transform.circuit.network import Floats, Integers, Layer, Network, Tree, Trees

WIDEST = 16
_NARROWEST = 3
# Samples between those at hand may lie nearer to a threshold than these do.
_MARGIN = 2
# Scaled thresholds stay whole numbers that a float64 holds with room for fractions.
_LARGEST = 40
_OPSET = 18


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """How a feature's values become integers of ``bits`` bits: ``floor(value * 2 ** fraction + 1/2) - offset``.

    They saturate at the two ends, below the largest integer, which stands for NaN. A threshold ``t`` becomes
    ``floor(t * 2 ** fraction) - offset``: of two values of which one is on the grid, both orders are alike, and a value
    is on the other side of a threshold only where it is within half a step of it.
    """

    bits: int
    fractions: Integers
    offsets: Integers

    @property
    def missing(self) -> int:
        """The integer of NaN."""
        return (1 << self.bits) - 1

    def integers(self, values: Floats) -> Integers:
        """The host's rounding, in numpy; the package holds it as ONNX."""
        with np.errstate(over="ignore"):
            scaled = np.floor(np.ldexp(values, self.fractions) + 0.5) - self.offsets
        clipped = np.clip(np.where(np.isnan(values), 0.0, scaled), 0, self.missing - 1)
        return np.where(np.isnan(values), self.missing, clipped).astype(np.int64)

    def threshold(self, feature: Integers, values: Floats) -> Integers:
        """The thresholds of these features."""
        with np.errstate(over="ignore"):
            scaled = np.floor(np.ldexp(values, self.fractions[feature])) - self.offsets[feature]
        return np.clip(scaled, -1, self.missing - 1).astype(np.int64)


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
    layer = Layer(replace(first, trees=trees, bits=grid.bits), (0,), cut.network.layers[0].name)
    entry = f"{cut.entry}/integers"
    before = _before(cut, grid, entry)
    return replace(cut, before=before, network=Network(cut.network.shape, (layer,)), entry=entry)


def chosen(trees: Trees, rows: Floats) -> Grid:
    """The narrowest grid on which every comparison of these rows is decided as without it, and a margin.

    Raises:
        CircuitRefused: The thresholds are beyond what can be scaled.
    """
    thresholds = _thresholds(trees)
    if any(np.isnan(each).any() for each in thresholds.values()):
        raise CircuitRefused("a threshold of the trees is NaN", hint="train the model anew; it decides nothing there")
    for bits in range(_NARROWEST, WIDEST + 1):
        grid = _grid(thresholds, bits, rows.shape[1])
        if not _turned(grid, thresholds, rows):
            # Values that are all on the grid leave none between.
            more = 0 if _all_on(grid, thresholds, rows) else _MARGIN
            return _grid(thresholds, min(bits + more, WIDEST), rows.shape[1])
    return grid


def _thresholds(trees: Trees) -> dict[int, Floats]:
    """Distinct finite thresholds by feature, ascending."""
    found: dict[int, list[Floats]] = {}
    for tree in trees.trees:
        inner = tree.left >= 0
        for feature in np.unique(tree.feature[inner]):
            found.setdefault(int(feature), []).append(tree.threshold[inner & (tree.feature == feature)])
    finite = {feature: np.unique(np.concatenate(values)) for feature, values in sorted(found.items())}
    return {feature: values[~np.isinf(values)] for feature, values in finite.items()}


def _grid(thresholds: Mapping[int, Floats], bits: int, width: int) -> Grid:
    fractions, offsets = np.zeros(width, np.int64), np.zeros(width, np.int64)
    for feature, values in thresholds.items():
        if len(values):
            fractions[feature], offsets[feature] = _scale(float(values[0]), float(values[-1]), bits)
    return Grid(bits, fractions, offsets)


def _scale(low: float, high: float, bits: int) -> tuple[int, int]:
    """The largest fraction at which both ends, and what lies beyond them, have integers; and the lower end's."""
    # Of the integers, the largest is NaN's, and one has to be above the largest threshold.
    most = (1 << bits) - 3
    largest = max(abs(low), abs(high), 2.0**-900)
    fraction = _LARGEST - int(np.frexp(largest)[1])
    if high > low:
        fraction = min(fraction, int(np.floor(np.log2(most) - np.log2(high - low))) + 1)
    while np.floor(np.ldexp(high, fraction)) - np.floor(np.ldexp(low, fraction)) > most:
        fraction -= 1
    return fraction, int(np.floor(np.ldexp(low, fraction)))


def _turned(grid: Grid, thresholds: Mapping[int, Floats], rows: Floats) -> bool:
    """Whether a comparison of one of the rows is decided otherwise on the grid."""
    whole = grid.integers(rows)
    for feature, values in thresholds.items():
        there = ~np.isnan(rows[:, feature])
        # Of ascending thresholds, as many are below a value as decide to the right.
        rounded = grid.threshold(np.full(len(values), feature), values)
        before = np.searchsorted(values, rows[there, feature])
        if not np.array_equal(before, np.searchsorted(rounded, whole[there, feature])):
            return True
    return False


def _all_on(grid: Grid, thresholds: Mapping[int, Floats], rows: Floats) -> bool:
    used = list(thresholds)
    scaled = np.ldexp(rows[:, used], grid.fractions[used])
    return bool((np.isnan(scaled) | (scaled == np.floor(scaled))).all())


def _rounded(tree: Tree, grid: Grid) -> Tree:
    threshold = np.where(tree.left < 0, 0, grid.threshold(tree.feature, tree.threshold))
    return replace(tree, threshold=threshold.astype(np.float64))


def _before(cut: Cut, grid: Grid, entry: str) -> onnx.ModelProto:
    """The host's first part, ended by the rounding: the numbers that leave it are the circuit's integers."""
    model = onnx.ModelProto()
    if cut.before is None:
        kind = TensorProto.DOUBLE if cut.double else TensorProto.FLOAT
        value = helper.make_tensor_value_info(cut.entry, kind, ["rows", *cut.network.shape])
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
        "offset": grid.offsets.astype(np.float64), "least": np.array(0.0), "most": np.array(grid.missing - 1.0),
        "missing": np.array(float(grid.missing)),
    }  # fmt: skip
    steps = [
        ("Cast", ["wide"]), ("Mul", ["scaled", "scale"]), ("Add", ["raised", "half"]), ("Floor", ["whole"]),
        ("Sub", ["moved", "offset"]), ("Max", ["above", "least"]), ("Min", ["inside", "most"]),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], [f"{entry}/{name}"], value=numpy_helper.from_array(np.asarray(value)))
        for name, value in constants.items()
    ]
    last = source
    for op_type, (name, *others) in steps:
        given = {"to": TensorProto.DOUBLE} if op_type == "Cast" else {}
        inputs = [last, *(f"{entry}/{other}" for other in others)]
        last = f"{entry}/{name}"
        nodes.append(helper.make_node(op_type, inputs, [last], **given))
    return [
        *nodes,
        helper.make_node("IsNaN", [f"{entry}/wide"], [f"{entry}/nan"]),
        helper.make_node("Where", [f"{entry}/nan", f"{entry}/missing", last], [f"{entry}/all"]),
        helper.make_node("Cast", [f"{entry}/all"], [entry], to=TensorProto.FLOAT),
    ]
