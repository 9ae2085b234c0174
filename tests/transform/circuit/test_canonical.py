"""What dray's own scikit-learn graphs spell out, and compute in doubles."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from packager.core.errors import CircuitRefused
from packager.transform.circuit.canonical import canonical
from packager.transform.circuit.compile import answers
from packager.transform.circuit.ends import run_model
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import cut

ROWS = np.random.default_rng(0).normal(size=(50, 4))
RELU = [helper.make_node("Max", ["zero", "h"], ["a"])]
LOGISTIC = [
    helper.make_node("Abs", ["h"], ["size"]),
    helper.make_node("Neg", ["size"], ["negative"]),
    helper.make_node("Exp", ["negative"], ["power"]),
    helper.make_node("Add", ["power", "one"], ["below"]),
    helper.make_node("Less", ["h", "zero"], ["told"]),
    helper.make_node("Where", ["told", "power", "one"], ["above"]),
    helper.make_node("Div", ["above", "below"], ["a"]),
]


def network(activation: list[onnx.NodeProto], *, zero: float = 0.0) -> onnx.ModelProto:
    """Two layers of doubles with a rescaled input, and a label beside the probabilities."""
    random = np.random.default_rng(1)
    constants = {
        "w0": random.normal(size=(4, 5)), "w1": random.normal(size=(5, 3)), "mean": np.ones(4), "zero": np.array(zero),
        "one": np.array(1.0),
    }  # fmt: skip
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["moved"]),
        helper.make_node("MatMul", ["moved", "w0"], ["h"]),
        *activation,
        helper.make_node("MatMul", ["a", "w1"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["p"]),
        helper.make_node("ArgMax", ["p"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])]
    outputs += [helper.make_tensor_value_info("p", TensorProto.DOUBLE, ["n", 3])]
    graph = helper.make_graph(
        nodes, "n", [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", 4])], outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("activation", [RELU, LOGISTIC])
def test_the_canonical_graph_computes_the_same(activation: list[onnx.NodeProto]) -> None:
    model = network(activation)
    changed = canonical(model)
    assert {node.op_type for node in changed.graph.node} >= {"Relu" if activation is RELU else "Sigmoid"}
    assert not {"Max", "Abs", "Where"} & {node.op_type for node in changed.graph.node}
    assert np.allclose(run_model(changed, {"x": ROWS})["p"], run_model(model, {"x": ROWS})["p"], atol=1e-12)


@pytest.mark.parametrize("activation", [RELU, LOGISTIC])
def test_a_network_of_doubles_becomes_a_circuit_between_its_ends(activation: list[onnx.NodeProto]) -> None:
    parts = cut(canonical(network(activation)))
    entering = run_model(parts.before, {"x": ROWS})[parts.entry] if parts.before else ROWS
    circuit = fixed(parts.network, entering, Widths.of(10))
    found = answers(parts, circuit, {"x": ROWS})
    wanted = run_model(network(activation), {"x": ROWS})
    assert found["p"].dtype == np.float64
    assert (found["label"] == wanted["label"]).mean() > 0.95
    assert np.allclose(found["p"], wanted["p"], atol=0.1)


def test_another_maximum_stays_and_is_refused_by_name() -> None:
    with pytest.raises(CircuitRefused, match=r"between layers stand .*Max"):
        cut(canonical(network(RELU, zero=0.5)))
