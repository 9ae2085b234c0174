"""What of a graph becomes a circuit, what stays on the host, and what is refused by name."""

import time

import numpy as np
import onnx
import pytest
from onnx import helper

from packager.core.errors import CircuitRefused, CircuitTooLarge
from packager.transform.circuit.canonical import canonical
from packager.transform.circuit.ends import from_circuit, run_model, to_circuit
from packager.transform.circuit.estimate import MAX_LUTS, check_size, estimated
from packager.transform.circuit.fixing import Widths
from packager.transform.circuit.frontend import cut
from packager.transform.circuit.network import evaluate
from tests.support.circuits import cnn, mlp, model_of, resnet


@pytest.mark.parametrize("model", [mlp(), mlp(activation="Tanh"), mlp(activation="Sigmoid"), cnn()])
def test_a_cut_model_computes_what_the_whole_computes(model: onnx.ModelProto) -> None:
    shape = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    feeds = {"x": np.random.default_rng(1).normal(size=(9, *shape)).astype(np.float32)}
    parts = cut(model)
    answers = from_circuit(parts, evaluate(parts.network, to_circuit(parts, feeds))[-1], feeds)
    for name, expected in run_model(model, feeds).items():
        np.testing.assert_allclose(answers[name], expected, rtol=1e-4, atol=1e-4)


def test_softmax_stays_on_the_host_and_batch_normalisation_goes_into_the_weights() -> None:
    assert [node.op_type for node in cut(mlp()).after.graph.node] == ["Softmax"]
    names = [layer.name for layer in cut(cnn()).network.layers]
    assert not any("Normal" in name for name in names)
    assert cut(cnn()).after is None


def test_scaling_before_the_first_layer_stays_on_the_host() -> None:
    parts = cut(mlp_with_scaling())
    assert [node.op_type for node in parts.before.graph.node] == ["Sub", "Div"]
    assert parts.entry == "scaled"


def mlp_with_scaling() -> onnx.ModelProto:
    weights = {"m": np.ones(4, np.float32), "s": np.full(4, 2, np.float32), "w": np.ones((4, 2), np.float32)}
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["centred"]),
        helper.make_node("Div", ["centred", "s"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "w"], ["y"]),
    ]
    return model_of(nodes, weights, [4], ["y"])


def test_an_operator_between_layers_is_refused_by_name() -> None:
    with pytest.raises(CircuitRefused, match="Softplus"):
        cut(mlp(activation="Softplus"))


def test_an_operator_at_the_end_that_no_host_part_may_hold_is_refused_by_name() -> None:
    model = mlp()
    model.graph.node[-1].op_type = "Hardmax"
    with pytest.raises(CircuitRefused, match="Hardmax after the last layer"):
        cut(model)


def test_several_operators_are_refused_in_one_sentence() -> None:
    model = mlp()
    model.graph.node[-1].op_type = "Hardmax"
    model.graph.node.append(helper.make_node("Erf", ["probabilities"], ["erf"]))
    model.graph.output[0].name = "erf"
    with pytest.raises(CircuitRefused, match="Erf, Hardmax after the last layer have no circuit, and are not left"):
        cut(model)


@pytest.mark.parametrize(("operator", "constant"), [("Mul", 0.0), ("Add", 0.0), ("Div", 4.0)])
def test_a_constant_after_a_layer_goes_into_its_weights(operator: str, constant: float) -> None:
    found = cut(_then(operator, constant))
    rows = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    assert evaluate(found.network, to_circuit(found, {"x": rows}))[-1] == pytest.approx(
        run_model(_then(operator, constant), {"x": rows})["y"], abs=1e-5
    )


def test_a_division_by_zero_is_refused() -> None:
    with pytest.raises(CircuitRefused, match=r"Div .* divides by zero"):
        cut(_then("Div", 0.0))


def _then(operator: str, constant: float) -> onnx.ModelProto:
    """A layer, an operator with a constant, and another layer, so that it stands between the two."""
    weights = {"w": np.eye(4, 3, dtype=np.float32) + 1, "c": np.float32([constant]), "v": np.eye(3, dtype=np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node(operator, ["m", "c"], ["s"]),
        helper.make_node("MatMul", ["s", "v"], ["y"]),
    ]
    return model_of(nodes, weights, [4], ["y"])


def node(op: str, *inputs: str, to: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), [to], **attributes)


SQUARE = {"w": np.eye(3, dtype=np.float32), "v": np.float32([1, 2, 3]), "zeros": np.zeros((1, 1, 3), np.float32)}
PRODUCT = node("MatMul", "x", "w", to="p")


@pytest.mark.parametrize(
    ("shape", "nodes", "outputs", "message"),
    [
        ((3, 3), [PRODUCT, node("BatchNormalization", "p", *"vvvv", to="y")], "y", "differs among places"),
        ((3,), [PRODUCT, node("Add", "p", "column", to="y")], "y", "does not go with rows"),
        ((3,), [node("Gemm", "x", "w", "column", to="y")], "y", "differs from row to row"),
        ((3,), [node("Gemm", "x", "w", "x", to="y")], "y", "'x' is no constant"),
        ((3,), [PRODUCT, node("Max", "p", "zeros", to="y")], "y", "Max after the last layer"),
        ((3,), [node("Gemm", "x", "infinite", to="y")], "y", "holds inf"),
        (
            (2, 3),
            [PRODUCT, node("Reshape", "p", "rows", to="r"), node("MatMul", "r", "w", to="y")],
            "y",
            "moves the batch",
        ),
        (
            (3,),
            [node("Abs", "x", to="a"), node("MatMul", "a", "w", to="p"), node("Mul", "p", "a", to="y")],
            "y",
            "both sides",
        ),
        ((3,), [PRODUCT, node("Dropout", "p", to="y")], "yp", "end in 2 places"),
    ],
)
def test_what_a_circuit_would_compute_otherwise_is_refused(
    shape: tuple[int, ...], nodes: list[onnx.NodeProto], outputs: str, message: str
) -> None:
    weights = {
        **SQUARE, "column": np.ones((3, 1), np.float32), "rows": np.array([-1, 3]),
        "infinite": np.full((3, 2), np.inf, np.float32),
    }  # fmt: skip
    with pytest.raises(CircuitRefused, match=message):
        cut(canonical(model_of(nodes, weights, shape, list(outputs))))


def test_a_window_of_padding_alone_is_refused() -> None:
    kernel = {"w": np.ones((1, 1, 1, 1), np.float32)}
    pool = node("MaxPool", "c", to="y", kernel_shape=[2, 2], dilations=[3, 3], pads=[1, 1, 1, 1])
    with pytest.raises(CircuitRefused, match="in the padding alone"):
        cut(model_of([node("Conv", "x", "w", to="c"), pool], kernel, [1, 2, 2], ["y"]))


def test_a_graph_without_layers_is_refused() -> None:
    with pytest.raises(CircuitRefused, match="computes with Relu"):
        cut(model_of([helper.make_node("Relu", ["x"], ["y"])], {}, [3], ["y"]))


def test_a_residual_network_is_refused_with_its_estimate_in_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(CircuitTooLarge, match=r"would need about [\d,]+ look-up tables") as caught:
        check_size(estimated(cut(resnet()).network, Widths.of(8)), MAX_LUTS)
    assert time.monotonic() - began < 20
    assert "Conv" in caught.value.hint


@pytest.mark.filterwarnings("ignore")
def test_of_an_mlp_classifier_the_labels_stay_on_the_host() -> None:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier

    rows = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    fitted = MLPClassifier((5, 4), max_iter=20, random_state=0).fit(rows, np.where(rows[:, 0] > 0, "yes", "no"))
    model = to_onnx(fitted, rows[:1], options={"zipmap": False})
    parts, feeds = cut(model), {"X": rows}
    answers = from_circuit(parts, evaluate(parts.network, to_circuit(parts, feeds))[-1], feeds)
    assert answers["label"].tolist() == fitted.predict(rows).tolist()
    assert [layer.name.split()[0] for layer in parts.network.layers] == ["MatMul", "Relu", "MatMul", "Relu", "MatMul"]
