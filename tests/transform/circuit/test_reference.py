"""The integer reference against plain Python's integers, which cannot overflow and round nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.core.errors import CircuitRefused
from packager.transform.circuit import reference
from packager.transform.circuit.fixing import Widths, fixed, format_for
from packager.transform.circuit.ir import (
    Circuit,
    Format,
    Largest,
    Place,
    Positive,
    Product,
    Rescale,
    Step,
    Table,
    Total,
    bits_for,
)
from packager.transform.circuit.network import Affine, Curve, Join, Layer, Maximum, Network, Relu, Select


def plain(circuit: Circuit, row: list[int]) -> list[int]:
    """The answer to a flat row, in Python's integers, read off the definitions in ``ir``."""
    found: list[tuple[list[int], tuple[int, ...]]] = [(row, circuit.shape)]
    for step in circuit.steps:
        values, shape = found[step.sources[0]]
        found.append(_plain_step(circuit, step, values, shape, [found[at][0] for at in step.sources]))
    return found[-1][0]


def _plain_step(
    circuit: Circuit, step: Step, values: list[int], shape: tuple[int, ...], sources: list[list[int]]
) -> tuple[list[int], tuple[int, ...]]:
    last = shape[-1]
    lines = [values[at : at + last] for at in range(0, len(values), last)]
    match step.operation:
        case Place(index):
            return [values[at] if at >= 0 else 0 for at in index.ravel().tolist()], index.shape
        case Product(weight, bias):
            w, b = weight.tolist(), bias.tolist()
            out = [b[j] + sum(x * w[i][j] for i, x in enumerate(line)) for line in lines for j in range(len(b))]
            return out, (*shape[:-1], len(b))
        case Positive():
            return [max(0, one) for one in values], shape
        case Largest():
            return [max(line) for line in lines], shape[:-1]
        case Total(shifts):
            return [a * 2 ** shifts[0] + b * 2 ** shifts[1] for a, b in zip(*sources, strict=True)], shape
        case Rescale(shift):
            # Half up: floor(value / 2**shift + 1/2), in whole numbers.
            scaled = [(2 * one + 2**shift) // 2 ** (shift + 1) if shift > 0 else one * 2**-shift for one in values]
            return [min(max(one, step.format.low), step.format.high) for one in scaled], shape
        case Table(table):
            return [int(table[one - circuit.format_of(step.sources[0]).low]) for one in values], shape


def network(random: np.random.Generator) -> Network:
    """One of each operation."""
    return Network(
        (4,),
        (
            Layer(Affine(random.normal(size=(4, 6)), random.normal(size=6)), (0,), "a"),
            Layer(Relu(), (1,), "r"),
            Layer(Select(np.array([[0, 1, -1], [3, 4, 5]], np.int32)), (2,), "s"),
            Layer(Maximum(), (3,), "m"),
            Layer(Affine(random.normal(size=(2, 2)), random.normal(size=2)), (4,), "b"),
            Layer(Curve("tanh"), (5,), "t"),
            Layer(Join(), (4, 6), "j"),
        ),
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.integers(3, 10))
def test_the_reference_is_exact(seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    circuit = fixed(network(random), random.normal(size=(20, 4)), Widths.of(bits))
    rows = random.integers(circuit.format.low, circuit.format.high + 1, size=(5, 4))
    assert reference.run(circuit, rows).tolist() == [plain(circuit, row) for row in rows.tolist()]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.integers(3, 10))
def test_no_tensor_leaves_its_format(seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    circuit = fixed(network(random), random.normal(size=(20, 4)), Widths.of(bits))
    extremes = random.choice([circuit.format.low, circuit.format.high], size=(50, 4))
    for number, tensor in enumerate(reference.tensors(circuit, extremes)):
        held = circuit.format_of(number)
        assert held.low <= tensor.min()
        assert tensor.max() <= held.high


@pytest.mark.parametrize(("scale", "bias"), [(1e-25, -1e-24), (1e-16, 0.0)])
def test_units_that_are_dead_or_hold_rounding_errors_alone_stay_exact(scale: float, bias: float) -> None:
    weight = np.array([[0.1, -0.1], [0.2, -0.2]])
    layers = (
        Layer(Affine(weight * scale, np.full(2, bias)), (0,), "a"),
        Layer(Relu(), (1,), "r"),
        Layer(Affine(np.array([[1.0], [1.0 / 3]]), np.zeros(1)), (2,), "b"),
    )
    samples = np.random.default_rng(0).normal(size=(30, 2))
    circuit = fixed(Network((2,), layers), samples, Widths.of(8))
    assert all(step.operation.shift >= 0 for step in circuit.steps if isinstance(step.operation, Rescale))
    rows = reference.quantise(samples, circuit.format)
    assert reference.run(circuit, rows).tolist() == [plain(circuit, row) for row in rows.tolist()]


def test_inputs_saturate_and_nothing_is_no_number() -> None:
    to = Format(signed=True, bits=4, fraction=1)
    values = np.array([1e30, -1e30, np.inf, -np.inf, np.nan, 0.25, -0.25, 1.0])
    assert reference.quantise(values, to).tolist() == [7, -8, 7, -8, 0, 1, 0, 2]


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**6))
def test_bits_for_is_the_narrowest_format(low: int, span: int) -> None:
    signed, bits = bits_for(low, low + span)
    assert Format(signed, bits, 0).low <= low
    assert low + span <= Format(signed, bits, 0).high
    assert bits == 1 or not (Format(signed, bits - 1, 0).low <= low and low + span <= Format(signed, bits - 1, 0).high)


def test_a_scale_fits_the_largest_value_or_errs_less_without_it() -> None:
    assert format_for(np.array([-3.0, 2.5]), 8) == Format(signed=True, bits=8, fraction=5)
    assert format_for(np.zeros(3), 6).bits == 6


def test_what_an_int64_could_not_carry_is_refused() -> None:
    wide = Step(Product(np.ones((1, 1), np.int64), np.zeros(1, np.int64)), (0,), Format(True, 70, 0), "wide")
    with pytest.raises(CircuitRefused, match="70 bits"):
        reference.run(Circuit((1,), Format(True, 4, 0), (wide,)), np.ones((1, 1), np.int64))
