"""From floats to integers: a power-of-two scale for each tensor, by what calibration rows make of it."""

from dataclasses import dataclass, field, replace

import numpy as np

from packager.core.errors import CircuitRefused
from packager.transform.circuit import network as floats
from packager.transform.circuit.ir import (
    Circuit,
    Decisions,
    Forest,
    Format,
    Largest,
    Operation,
    Place,
    Positive,
    Product,
    Rescale,
    Step,
    Table,
    Total,
    bits_for,
)
from packager.transform.circuit.network import Floats, Integers, Layer, Network
from packager.transform.circuit.reference import dequantise, quantise

# A bias is one constant of the circuit, and its tools carry 32 bits, of which alkaid keeps the first 24 (an FP32's).
_BIAS_BITS = 31
_BIAS_DIGITS = 24
# A table has an entry for each value of its input.
_TABLE_BITS = 10
# With fewer rows a tensor's range says little, and none is left for values a little beyond it.
_FRACTIONS_TRIED = (0, 1)


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of the input, of weights, and of what goes from layer to layer."""

    input: int
    weights: int
    activations: int

    @classmethod
    def of(cls, bits: int) -> "Widths":
        """The same number of bits everywhere."""
        return cls(bits, bits, bits)


def fixed(network: Network, calibration: Floats, widths: Widths) -> Circuit:
    """The network in integers of these widths.

    Raises:
        CircuitRefused: A constant or a table does not fit.
    """
    values = floats.evaluate(network, calibration)
    building = _Building(network, values, widths, _entering(network, values[0], widths))
    for number, layer in enumerate(network.layers, start=1):
        building.numbers[number] = building.add(layer, number)
    return Circuit(network.shape, building.input, tuple(building.steps))


def _entering(network: Network, values: Floats, widths: Widths) -> Format:
    """Trees compare what was made whole before; what others take is scaled here."""
    first = network.layers[0].operation
    return Format(False, first.bits, 0) if isinstance(first, floats.Trees) else format_for(values, widths.input)


def format_for(values: Floats, bits: int) -> Format:
    """The format of so many bits with the least squared error on these values, which may saturate the largest."""
    finite = values[np.isfinite(values)]
    signed = bool((finite < 0).any())
    most = float(np.abs(finite).max(initial=0.0))
    widest = bits - signed - int(np.ceil(np.log2(most))) if most > 0 else 0
    tried = [Format(signed, bits, widest + more) for more in _FRACTIONS_TRIED]
    return min(tried, key=lambda one: _lost(finite, one))


@dataclass(slots=True)
class _Building:
    network: Network
    values: list[Floats]
    widths: Widths
    input: Format
    steps: list[Step] = field(default_factory=list)
    # Where the result of a layer is among the circuit's tensors, and where its narrow form is.
    numbers: dict[int, int] = field(default_factory=lambda: {0: 0})
    narrowed: dict[int, int] = field(default_factory=dict)

    def add(self, layer: Layer, number: int) -> int:
        """Number of the tensor that holds this layer's result."""
        sources = layer.sources
        match layer.operation:
            case floats.Select(index):
                return self._same(Place(index), self.numbers[sources[0]], layer.name)
            case floats.Relu():
                return self._positive(self.numbers[sources[0]], layer.name)
            case floats.Maximum():
                return self._same(Largest(), self._narrow(sources[0]), layer.name)
            case floats.Affine(weight, bias):
                return self._product(weight, bias, self._narrow(sources[0]), layer.name)
            case floats.Join():
                return self._total(self._narrow(sources[0]), self._narrow(sources[1]), layer.name)
            case floats.Curve(function):
                return self._table(function, self._narrow(sources[0]), number, layer.name)
            case floats.Trees():
                return self._forest(layer.operation, self.numbers[sources[0]], layer.name)

    def _step(self, operation: Operation, sources: tuple[int, ...], result: Format, name: str) -> int:
        self.steps.append(Step(operation, sources, result, name))
        return len(self.steps)

    def _format(self, tensor: int) -> Format:
        return self.steps[tensor - 1].format if tensor else self.input

    def _same(self, operation: Operation, source: int, name: str) -> int:
        return self._step(operation, (source,), self._format(source), name)

    def _positive(self, source: int, name: str) -> int:
        before = self._format(source)
        after = Format(False, max(1, before.bits - before.signed), before.fraction)
        return self._step(Positive(), (source,), after, name)

    def _narrow(self, layer: int) -> int:
        """The tensor in the width of activations, rescaled once however many read it."""
        tensor = self.numbers[layer]
        before = self._format(tensor)
        if before.bits <= (self.widths.activations if tensor else self.widths.input):
            return tensor
        if layer not in self.narrowed:
            after = format_for(self.values[layer], self.widths.activations)
            # What calibration rows make of rounding errors alone would have a scale far below the integers at hand.
            after = replace(after, fraction=min(after.fraction, before.fraction))
            rescale = Rescale(before.fraction - after.fraction)
            self.narrowed[layer] = self._step(rescale, (tensor,), after, f"narrow {tensor}")
        return self.narrowed[layer]

    def _product(self, weight: Floats, bias: Floats, source: int, name: str) -> int:
        before = self._format(source)
        scale = format_for(weight, self.widths.weights)
        # A sign bit whether there are negative weights or not: the range of weights is symmetric.
        whole = quantise(weight, Format(True, self.widths.weights + (not scale.signed), scale.fraction))
        fraction = before.fraction + scale.fraction
        added = _bias(bias, fraction, name)
        low, high = _bounds(whole, added, before)
        signed, bits = bits_for(low, high)
        return self._step(Product(whole, added), (source,), Format(signed, bits, fraction), name)

    def _total(self, first: int, second: int, name: str) -> int:
        formats = self._format(first), self._format(second)
        fraction = max(one.fraction for one in formats)
        shifts = fraction - formats[0].fraction, fraction - formats[1].fraction
        low = sum(one.low << shift for one, shift in zip(formats, shifts, strict=True))
        high = sum(one.high << shift for one, shift in zip(formats, shifts, strict=True))
        signed, bits = bits_for(low, high)
        return self._step(Total(shifts), (first, second), Format(signed, bits, fraction), name)

    def _table(self, function: str, source: int, layer: int, name: str) -> int:
        before = self._format(source)
        if before.bits > _TABLE_BITS:
            raise CircuitRefused(
                f"{name!r} becomes a table of {1 << before.bits} entries; {1 << _TABLE_BITS} is the most",
                hint=f"ask for {_TABLE_BITS} bits or fewer",
            )
        entries = floats.curve(function, dequantise(np.arange(before.low, before.high + 1), before))
        after = format_for(self.values[layer], self.widths.activations)
        return self._step(Table(quantise(entries, after)), (source,), after, name)

    def _forest(self, forest: floats.Trees, source: int, name: str) -> int:
        missing = forest.missing
        if missing is None:
            raise ValueError("trees are put on a grid before they are made whole")
        forest = lightened(forest)
        # All sums have one scale, and they are exact: what was lost was lost in the leaves.
        scale = leaf_format(forest, self.widths.weights)
        base = _bias(forest.base, scale.fraction, name)
        trees = tuple(_decisions(tree, scale) for tree in forest.trees)
        leaves = [tree.values[tree.left < 0] for tree in trees]
        low = base + sum((each.min(axis=0) for each in leaves), np.zeros_like(base))
        high = base + sum((each.max(axis=0) for each in leaves), np.zeros_like(base))
        signed, bits = bits_for(int(low.min()), int(high.max()))
        return self._step(Forest(trees, base, missing), (source,), Format(signed, bits, scale.fraction), name)


def lightened(forest: floats.Trees) -> floats.Trees:
    """The same sums with smaller leaves: what all leaves of a tree add, the base does."""
    base, trees = forest.base.copy(), []
    for tree in forest.trees:
        leaves = tree.values[tree.left < 0]
        common = np.maximum(leaves.min(axis=0), 0.0) + np.minimum(leaves.max(axis=0), 0.0)
        base += common
        trees.append(replace(tree, values=np.where((tree.left < 0)[:, None], tree.values - common, 0.0)))
    return replace(forest, trees=tuple(trees), base=base)


def leaf_format(forest: floats.Trees, bits: int) -> Format:
    """The coarsest of the formats that lose the least of leaves and base: votes, which are whole, stay so."""
    values = np.concatenate([tree.values[tree.left < 0].ravel() for tree in forest.trees])
    finest = format_for(values, bits)
    tried = [replace(finest, fraction=finest.fraction - less) for less in range(bits + 1)]
    losses = [_lost(values, one) + _lost(forest.base, replace(one, bits=_BIAS_BITS, signed=True)) for one in tried]
    return next(one for one, loss in zip(reversed(tried), reversed(losses), strict=True) if loss == min(losses))


def _lost(values: Floats, to: Format) -> float:
    return float(np.square(dequantise(quantise(values, to), to) - values).sum())


def _decisions(tree: floats.Tree, scale: Format) -> Decisions:
    threshold = tree.threshold.astype(np.int64)
    return Decisions(tree.feature, threshold, tree.left, tree.right, tree.missing_left, quantise(tree.values, scale))


def _bias(bias: Floats, fraction: int, name: str) -> Integers:
    whole = np.floor(np.ldexp(bias, fraction) + 0.5)
    if np.abs(whole).max(initial=0.0) >= 2**_BIAS_BITS:
        raise CircuitRefused(
            f"a bias of {name!r}, {float(np.abs(bias).max()):g}, does not fit {_BIAS_BITS + 1} bits,"
            f" {fraction} of them fraction",
            hint="scale the model's inputs before its first layer, or ask for fewer bits",
        )
    spare = np.maximum(np.frexp(whole)[1] - _BIAS_DIGITS, 0)
    return np.asarray(np.ldexp(np.floor(np.ldexp(whole, -spare) + 0.5), spare), np.int64)


def _bounds(weight: Integers, bias: Integers, before: Format) -> tuple[int, int]:
    """The least and the most that a product can be, whatever the input in its format."""
    rising, falling = np.maximum(weight, 0).sum(axis=0), np.minimum(weight, 0).sum(axis=0)
    low = rising * before.low + falling * before.high + bias
    high = rising * before.high + falling * before.low + bias
    return int(low.min()), int(high.max())
