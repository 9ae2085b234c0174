"""Alkaid's program against the integer reference: two ways from one circuit, which share no code."""

import numpy as np
import onnx
import pytest

from packager.transform.circuit import reference
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import cut
from packager.transform.circuit.mutation import mutated
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
