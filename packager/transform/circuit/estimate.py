"""How many look-up tables a circuit will need, reckoned from the weights in moments, before anything slow begins."""

from dataclasses import dataclass

import numpy as np

from packager.core.errors import CircuitTooLarge
from packager.transform.circuit.fixing import Widths, format_for, leaf_format, lightened
from packager.transform.circuit.network import (
    Affine,
    Curve,
    Floats,
    Integers,
    Join,
    Maximum,
    Network,
    Relu,
    Tree,
    Trees,
    shapes,
    upwards,
)
from packager.transform.circuit.reference import quantise

MAX_LUTS = 150_000
# Alkaid shares sums among a matrix's outputs, and fuses adders by three. Fitted to its own estimates for three networks
# (MLPs 64-32-32-10 and 16-64-32-32-5, a CNN over 6 by 6); `make fpga-report` prints both beside each other.
_SHARED = 0.39
# Bits of an adder beyond those of what it adds.
_CARRY = 3


# For each bit of trees: of a comparator with a constant, of a selection among leaves, of a sum (three terms an adder).
# Fitted to alkaid's own estimates for ensembles of three widths.
_COMPARED, _SELECTED, _SUMMED = 0.15, 0.2, 0.6


@dataclass(frozen=True, slots=True)
class Estimate:
    """Look-up tables in all and by layer, in the order of the network."""

    luts: int
    layers: tuple[tuple[str, int], ...]


def estimated(network: Network, widths: Widths) -> Estimate:
    """What the network would need; no rows and no tracing are needed for it."""
    known = shapes(network)
    found = []
    for layer, shape in zip(network.layers, known[1:], strict=True):
        count = int(np.prod(shape))
        source = known[layer.sources[0]]
        match layer.operation:
            case Affine(weight):
                luts = _matrix(weight, widths) * int(np.prod(source[:-1], dtype=np.int64))
            case Maximum():
                luts = (int(np.prod(source)) - count) * 2 * widths.activations
            case Join():
                luts = count * (widths.activations + 1)
            case Curve():
                luts = count * widths.activations * max(1, 2**widths.activations // 64)
            case Trees():
                luts = _trees(layer.operation, widths)
            case Relu():
                luts = count * widths.activations * 2  # with the rounding and saturation that follow
            case _:
                continue
        found.append((layer.name, int(luts)))
    return Estimate(sum(luts for _, luts in found), tuple(found))


def check_size(found: Estimate, most: int) -> None:
    """Refuse what would not fit.

    Raises:
        CircuitTooLarge: With the estimate, and the layer that needs the most.
    """
    if found.luts <= most:
        return
    name, luts = max(found.layers, key=lambda one: one[1])
    raise CircuitTooLarge(
        f"the circuit would need about {found.luts:,} look-up tables, and {most:,} are the most (max_luts)",
        hint=f"{name} alone needs about {luts:,}; ask for fewer bits, a smaller model, another target, or mode=ep",
        detail={"estimated_luts": found.luts, "max_luts": most, "layers": dict(found.layers)},
    )


def _matrix(weight: Floats, widths: Widths) -> float:
    """Adders of a constant matrix, times their width."""
    whole = quantise(weight, format_for(weight, widths.weights))
    digits = _signed_digits(whole)
    adders = np.maximum(digits.sum(axis=0) - 1, 0).sum()
    return float(adders) * _SHARED * (widths.activations + _CARRY)


def _trees(forest: Trees, widths: Widths) -> float:
    """Comparators, each threshold of a feature once; selections up to the root; sums over the trees."""
    light = lightened(forest)
    scale = leaf_format(light, widths.weights)
    asked: set[tuple[int, int, bool]] = set()
    selected = added = 0.0
    for tree in light.trees:
        inner = tree.left >= 0
        asked |= set(
            zip(*(each[inner].tolist() for each in (tree.feature, tree.threshold, tree.missing_left)), strict=True)
        )
        whole = quantise(tree.values, scale)
        leaves = whole[~inner]
        bits = _bits(leaves.max(axis=0) - np.minimum(leaves.min(axis=0), 0))
        selected += float((_selections(tree, whole) * bits).sum()) * _SELECTED
        added += float((bits + (bits > 0)).sum()) * _SUMMED
    compared = sum(
        _COMPARED * _span(int(threshold) + 1, forest.bits) + 0.3 * missing for _, threshold, missing in asked
    )
    return compared + selected + added


def _selections(tree: Tree, values: Integers) -> Integers:
    """For each output, nodes whose sides differ."""
    values, alike = values.copy(), np.ones(values.shape, bool)
    count = np.zeros(values.shape[1], np.int64)
    for node in upwards(tree.left, tree.right):
        left, right = tree.left[node], tree.right[node]
        if left >= 0:
            same = alike[left] & alike[right] & (values[left] == values[right])
            alike[node], values[node] = same, values[left]
            count += ~same
    return count


def _bits(values: Integers) -> Integers:
    return np.asarray(np.ceil(np.log2(values + 1.0)), np.int64)


def _span(value: int, bits: int) -> int:
    """Bits of a comparison: those below the last one of the constant do not count."""
    return bits - ((value & -value).bit_length() - 1) if value else 0


def _signed_digits(
    whole: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Nonzero digits of each number in the form with the fewest: those of ``n ^ 3n``."""
    positive = np.abs(whole)
    return np.asarray(np.bitwise_count(positive ^ (3 * positive)), np.int64)
