"""Ensembles of ONNX as trees of a network, and what the host makes of their sums; the rest is refused by name."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from packager.core.errors import CircuitRefused
from packager.transform.circuit.ends import from_circuit, run_model, to_circuit
from packager.transform.circuit.frontend import cut
from packager.transform.circuit.network import evaluate
from tests.support.tree_models import (
    by_leaf_numbers,
    classifier,
    leaves_of,
    nodes_of,
    regressor,
    rows_around,
    tree_model,
)


def answers_of(model: onnx.ModelProto, rows: np.ndarray) -> dict[str, np.ndarray]:
    parts, feeds = cut(model), {"x": rows}
    return from_circuit(parts, evaluate(parts.network, to_circuit(parts, feeds))[-1], feeds)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), targets=st.integers(1, 3), how=st.sampled_from(["SUM", "AVERAGE"]))
def test_sums_are_the_models_on_and_beside_every_threshold(seed: int, targets: int, how: str) -> None:
    model = regressor(seed, trees=4, depth=3, targets=targets, aggregate_function=how)
    rows = rows_around(model)
    np.testing.assert_array_equal(answers_of(model, rows)["y"], run_model(model, {"x": rows})["y"])


@pytest.mark.parametrize(
    "asked",
    [
        {"labels": ("no", "yes"), "shares": True},
        {"labels": (3, 5), "transform": "LOGISTIC", "base_values": [0.125]},
        {"shares": True, "transform": "LOGISTIC"},
        {},
        {"labels": (2, 4, 8), "transform": "SOFTMAX", "base_values": [0.5, 0.0, 0.25]},
        {"labels": ("a", "b", "c"), "transform": "LOGISTIC"},
        {"labels": (0, 1, 2)},
    ],
)
def test_labels_and_scores_are_made_on_the_host_as_onnx_runtime_makes_them(asked: dict[str, Any]) -> None:
    model = classifier(**asked)
    rows = rows_around(model)
    found, wanted = answers_of(model, rows), run_model(model, {"x": rows})
    assert found["label"].tolist() == wanted["label"].tolist()
    np.testing.assert_allclose(found["scores"], wanted["scores"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("transform", ["LOGISTIC", "SOFTMAX"])
def test_what_follows_the_sums_of_a_regressor_stays_on_the_host(transform: str) -> None:
    model = regressor(targets=3, post_transform=transform)
    rows = rows_around(model)
    np.testing.assert_allclose(answers_of(model, rows)["y"], run_model(model, {"x": rows})["y"], rtol=1e-5, atol=1e-6)


def test_numbers_of_leaves_become_the_values_that_they_stand_for() -> None:
    model = by_leaf_numbers()
    rows = rows_around(model)
    assert len(cut(model).network.layers) == 1
    assert [node.op_type for node in cut(model).after.graph.node] == ["Cast", "Cast"]
    np.testing.assert_array_equal(answers_of(model, rows)["y"], run_model(model, {"x": rows})["y"])


def test_numbers_of_leaves_that_are_used_otherwise_are_left_to_nobody() -> None:
    model = by_leaf_numbers()
    model.graph.node[6].op_type = "ReduceSum"
    with pytest.raises(CircuitRefused, match="ReduceSum after the last layer"):
        cut(model)


def test_votes_which_no_leaf_has_to_give_are_taken_where_there_is_no_base() -> None:
    model = regressor(targets=2, target_ids=[0, 1] * 6, base_values=[0.0, 0.0])
    rows = rows_around(model)
    np.testing.assert_array_equal(answers_of(model, rows)["y"], run_model(model, {"x": rows})["y"])


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (regressor(modes=["BRANCH_LEQ", "BRANCH_EQ"]), "decides by BRANCH_EQ"),
        (regressor(aggregate_function="MAX"), "joined by MAX"),
        (regressor(post_transform="PROBIT"), "post_transform is PROBIT"),
        (classifier(transform="SOFTMAX"), "SOFTMAX of one sum"),
        (classifier(base_values=[0.5, 0.5]), "2 base values for 1 outputs"),
        (regressor(targets=2, target_ids=[0, 1] * 6), "to output 0 not every row has a leaf"),
        (classifier(labels=(0, 1, 2), class_ids=[0, 1, 2] * 4), "to output 0 not every row has a leaf"),
    ],
)
def test_what_has_no_circuit_is_refused_by_name(model: onnx.ModelProto, why: str) -> None:
    with pytest.raises(CircuitRefused, match=why) as caught:
        cut(model)
    assert caught.value.code == "E-CIRCUIT"
    assert "docs/circuits.md" in caught.value.hint


def test_two_classes_with_sums_of_their_own_are_refused() -> None:
    nodes = nodes_of(np.random.default_rng(0), trees=1, depth=1)
    treeids, nodeids = leaves_of(nodes)
    leaves = {"class_treeids": treeids, "class_nodeids": nodeids, "class_ids": [0, 1], "class_weights": [1.0, 1.0]}
    model = tree_model("TreeEnsembleClassifier", ["label", "scores"], {**nodes, **leaves, "classlabels_int64s": [0, 1]})
    with pytest.raises(CircuitRefused, match=r"for 2 labels its leaves add to the classes \[0, 1\]"):
        cut(model)


def test_a_broken_tree_is_refused() -> None:
    model = regressor(depth=1)
    (attribute,) = (one for one in model.graph.node[0].attribute if one.name == "nodes_truenodeids")
    attribute.ints[0] = 77
    with pytest.raises(CircuitRefused, match="leads to node 77"):
        cut(model)


def test_trees_and_layers_are_not_one_circuit() -> None:
    model = regressor()
    model.graph.node[0].output[0] = "sums"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 2), np.float32), "w"))
    model.graph.node.append(helper.make_node("MatMul", ["sums", "w"], ["y"]))
    with pytest.raises(CircuitRefused, match=r"TreeEnsembleRegressor 1 and MatMul 2 would be one circuit"):
        cut(model)
