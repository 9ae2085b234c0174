"""Alkaid's program against the integer reference: two ways from one circuit, which share no code."""

import numpy as np
import onnx
import pytest

from packager.core.errors import CircuitRefused
from packager.transform.circuit import reference
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import cut
from packager.transform.circuit.ir import Circuit, Format, Product, Step
from packager.transform.circuit.mutation import mutated
from packager.transform.circuit.network import Affine, Layer, Network, Select
from packager.transform.circuit.tracing import interpreted, module_name, traced, written
from packager.transform.circuit.verify import rows_for
from tests.support.circuits import cnn, mlp


@pytest.mark.parametrize("bits", [3, 6])
@pytest.mark.parametrize("model", [mlp(), mlp(activation="Tanh"), mlp(activation="Sigmoid"), cnn()])
def test_the_program_answers_as_the_reference(model: onnx.ModelProto, bits: int) -> None:
    network = cut(model).network
    samples = np.random.default_rng(3).normal(size=(60, *network.shape))
    circuit = fixed(network, samples, Widths.of(bits))
    rows = rows_for(circuit, reference.quantise(2 * samples, circuit.format))
    trace = traced(circuit, "model")
    expected = reference.run(circuit, rows)
    assert np.array_equal(interpreted(trace.logic, rows), expected.reshape(len(rows), -1))
    assert mutated(trace, rows, expected).caught > 0


PADDED = Network(
    (2,),
    (
        Layer(Affine(np.array([[1.0, 0.0], [0.5, 0.0]]), np.array([0.0, 0.8])), (0,), "dead"),
        Layer(Select(np.array([[0, 1], [-1, -1]], np.int32)), (1,), "patches, one of padding"),
        Layer(Affine(np.array([[0.7, -0.3], [0.9, 0.0]]), np.array([1 / 3, 0.25])), (2,), "b"),
    ),
)


LARGE = Network((2,), (Layer(Affine(np.array([[0.7], [0.9]]), np.array([1e5 / 3])), (0,), "a"),))


@pytest.mark.parametrize("network", [PADDED, LARGE])
def test_constants_of_a_product_are_exact(network: Network) -> None:
    samples = np.random.default_rng(3).normal(size=(40, 2))
    circuit = fixed(network, samples, Widths.of(8))
    rows = rows_for(circuit, reference.quantise(samples, circuit.format))
    expected = reference.run(circuit, rows)
    assert np.array_equal(interpreted(traced(circuit, "m").logic, rows), expected.reshape(len(rows), -1))


def test_a_constant_that_alkaid_would_round_is_refused() -> None:
    product = Product(np.array([[3]]), np.array([2**24 + 1]))
    step = Step(product, (0,), Format(False, 26, 0), "Gemm 1")
    with pytest.raises(CircuitRefused, match="a constant of 'Gemm 1' needs more than 24 bits"):
        traced(Circuit((1,), Format(False, 4, 0), (step,)), "m")


def test_a_pipeline_takes_its_numbers_side_by_side() -> None:
    network = cut(mlp()).network
    rtl = written(traced(fixed(network, np.random.default_rng(3).normal(size=(60, 6)), Widths.of(5)), "a model"))
    assert (rtl.input.count, rtl.input.bits, rtl.input.signed) == (6, 5, True)
    assert rtl.output.count == 3
    assert rtl.latency > 1
    assert "module dray_a_model " in rtl.sources["dray_a_model.v"]


def test_names_are_never_words_of_verilog() -> None:
    assert module_name("small") == "dray_small"
    assert module_name("Été 2.0!") == "dray_t_2_0"
