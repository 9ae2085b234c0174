"""What a circuit computes, in numpy's integers, from operations and widths alone: the measure of all simulations."""

from collections.abc import Sequence

import numpy as np

from packager.core.errors import CircuitRefused
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
)
from packager.transform.circuit.network import Floats, Integers

# Beyond it an int64 could overflow in silence.
WIDEST = 62


def quantise(values: Floats, to: Format) -> Integers:
    """Numbers as a circuit's input takes them: rounded half up and saturated, on the host; NaN counts as zero."""
    scaled = np.floor(np.ldexp(values.astype(np.float64), to.fraction) + 0.5)
    return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0, posinf=to.high, neginf=to.low), to.low, to.high), np.int64)


def dequantise(integers: Integers, of: Format) -> Floats:
    """The numbers that a circuit's integers stand for."""
    return np.ldexp(integers.astype(np.float64), -of.fraction)


def run(circuit: Circuit, rows: Integers) -> Integers:
    """The circuit's answers to rows of integers, each row of its input's shape."""
    return tensors(circuit, rows)[-1]


def tensors(circuit: Circuit, rows: Integers) -> list[Integers]:
    """Every tensor of a run, the input first.

    Raises:
        CircuitRefused: A tensor is wider than can be computed here.
    """
    found = [rows.astype(np.int64)]
    for step in circuit.steps:
        if step.format.bits > WIDEST:
            raise CircuitRefused(
                f"{step.name!r} is {step.format.bits} bits wide; {WIDEST} is the most", hint="ask for fewer --bits"
            )
        source = circuit.format_of(step.sources[0])
        found.append(_apply(step, source, [found[number] for number in step.sources]))
    return found


def _apply(step: Step, source: Format, values: Sequence[Integers]) -> Integers:
    operation: Operation = step.operation
    first = values[0]
    match operation:
        case Place(index):
            flat = first.reshape(len(first), -1)
            padded = np.concatenate([flat, np.zeros((len(flat), 1), np.int64)], axis=1)
            return padded[:, index]
        case Product(weight, bias):
            return np.asarray(first @ weight + bias, np.int64)
        case Positive():
            return np.maximum(first, 0)
        case Largest():
            return np.asarray(first.max(axis=-1), np.int64)
        case Total(shifts):
            return (first << shifts[0]) + (values[1] << shifts[1])
        case Rescale(shift):
            return np.clip(_shifted(first, shift), step.format.low, step.format.high)
        case Table(table):
            return table[first - source.low]
        case Forest(trees, base, missing):
            return base + sum((_decided(tree, first, missing) for tree in trees), np.zeros_like(base))


def _decided(tree: Decisions, rows: Integers, missing: Integers) -> Integers:
    """The values of the leaf that each row ends in."""
    node, every = np.zeros(len(rows), np.int64), np.arange(len(rows))
    for _ in range(len(tree.left)):
        feature = tree.feature[node]
        value = rows[every, feature]
        left = np.where(value >= missing[feature], tree.missing_left[node], value <= tree.threshold[node])
        following = np.where(left, tree.left[node], tree.right[node])
        if (following < 0).all():
            break
        node = np.where(following < 0, node, following)
    return tree.values[node]


def _shifted(values: Integers, shift: int) -> Integers:
    """Divided by two to the power of ``shift``, rounded half up."""
    if shift <= 0:
        return values << -shift
    if shift > WIDEST:
        return np.zeros_like(values)  # each is less than a half
    return (values + (1 << (shift - 1))) >> shift
