from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from packager.core.errors import NothingToQuantize
from packager.transform.facts import check_quantizable, facts_of
from tests.support.nets import convolutions, embeddings, write_net


def test_a_convolutional_net_is_known_by_its_weights(tmp_path: Path) -> None:
    facts = facts_of(convolutions(tmp_path / "m.onnx"))
    assert (facts.convolutional, facts.products, facts.attentive) == (True, True, False)
    assert facts.weighted == {"Conv": 2, "MatMul": 1}


def test_tables_alone_are_not_matrix_products(tmp_path: Path) -> None:
    facts = facts_of(embeddings(tmp_path / "m.onnx"))
    assert (facts.convolutional, facts.products) == (False, True)
    assert facts.weighted == {"Gather": 1, "MatMul": 1}


def test_a_product_of_two_inputs_has_no_weights(tmp_path: Path) -> None:
    shape = ("x", TensorProto.FLOAT, [4, 4])
    path = write_net(
        tmp_path / "m.onnx", [helper.make_node("MatMul", ["x", "x"], ["y"])], [shape], [("y", *shape[1:])], {}
    )
    with pytest.raises(NothingToQuantize, match=r"no FP32 weights in matrix products .* computes with MatMul"):
        check_quantizable(facts_of(path))


def test_doubles_are_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(NothingToQuantize) as caught:
        check_quantizable(facts_of(convolutions(tmp_path / "m.onnx", dtype=np.float64)))
    assert caught.value.message.startswith("the weights of this model are FP64 (Conv, MatMul)")
    assert (caught.value.code, "float32" in caught.value.hint) == ("E-QUANTIZE", True)


def test_weights_given_as_constants_count(tmp_path: Path) -> None:
    path = convolutions(tmp_path / "m.onnx")
    model = onnx.load(path)
    nodes = [
        helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer
    ] + list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    path.write_bytes(model.SerializeToString())
    assert facts_of(path).weighted == {"Conv": 2, "MatMul": 1}
