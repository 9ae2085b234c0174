"""Trees in integers: the reference against plain Python, alkaid's program and a simulation against the reference."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier

from packager.converters.lightgbm import LightgbmConverter
from packager.converters.sklearn import SklearnConverter
from packager.core.conversion import ConversionRequest
from packager.core.errors import CircuitRefused, CircuitTooLarge
from packager.core.progress import SilentProgress
from packager.transform.circuit import reference
from packager.transform.circuit.compile import Asked, answers, compiled
from packager.transform.circuit.edges import edges
from packager.transform.circuit.ends import run_model, to_circuit
from packager.transform.circuit.estimate import estimated
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import Cut, cut
from packager.transform.circuit.grid import on_grid
from packager.transform.circuit.ir import Circuit, Decisions, Forest
from packager.transform.circuit.mutation import GROWN, mutated
from packager.transform.circuit.network import Network
from packager.transform.circuit.project import Device, project_files
from packager.transform.circuit.tracing import interpreted, traced, written
from packager.transform.circuit.verify import rows_for
from tests.support.models import saved
from tests.support.tree_models import classifier, regressor, rows_around

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gbdt"
Feeds = Mapping[str, np.ndarray]


def made(model: onnx.ModelProto, feeds: Feeds, bits: int = 6) -> tuple[Cut, Circuit]:
    parts = on_grid(cut(model), feeds)
    return parts, fixed(parts.network, to_circuit(parts, feeds), Widths.of(bits))


def plain(forest: Forest, row: list[int]) -> list[int]:
    """The sums for a row, one decision after the other."""
    found = forest.base.tolist()
    for tree in forest.trees:
        found = [one + more for one, more in zip(found, _leaf(tree, forest.missing.tolist(), row), strict=True)]
    return found


def _leaf(tree: Decisions, missing: list[int], row: list[int]) -> list[int]:
    node = 0
    while tree.left[node] >= 0:
        feature = int(tree.feature[node])
        absent = row[feature] >= missing[feature]
        left = bool(tree.missing_left[node]) if absent else row[feature] <= int(tree.threshold[node])
        node = int(tree.left[node] if left else tree.right[node])
    return tree.values[node].tolist()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.integers(2, 12), targets=st.integers(1, 3))
def test_reference_and_program_decide_as_plain_python_does(seed: int, bits: int, targets: int) -> None:
    model = regressor(seed, trees=3, depth=3, targets=targets)
    parts, circuit = made(model, {"x": rows_around(model, 50)}, bits)
    samples = reference.quantise(to_circuit(parts, {"x": rows_around(model, 20, seed=2)}), circuit.format)
    rows = rows_for(circuit, samples)
    expected = reference.run(circuit, rows)
    assert expected.tolist() == [plain(circuit.steps[0].operation, row) for row in rows.tolist()]
    assert circuit.answer.low <= expected.min()
    assert expected.max() <= circuit.answer.high
    assert np.array_equal(interpreted(traced(circuit, "trees").logic, rows), expected)


def test_branches_that_several_nodes_lead_to_are_made_once() -> None:
    model = regressor(5, trees=2, depth=3)
    (leads,) = (one for one in model.graph.node[0].attribute if one.name == "nodes_falsenodeids")
    leads.ints[1] = 5  # of the other half of the tree, as dray writes tests of sets
    rows = rows_around(model)
    parts, circuit = made(model, {"x": rows}, bits=12)
    asked = rows_for(circuit, reference.quantise(to_circuit(parts, {"x": rows}), circuit.format))
    expected = reference.run(circuit, asked)
    assert expected.tolist() == [plain(circuit.steps[0].operation, row) for row in asked.tolist()]
    assert np.array_equal(interpreted(traced(circuit, "trees").logic, asked), expected)


@pytest.mark.parametrize("seed", range(3))
def test_broken_thresholds_selections_and_sums_are_noticed(seed: int) -> None:
    model = regressor(seed, trees=8, depth=2, targets=2)
    parts, circuit = made(model, {"x": rows_around(model, 50)})
    samples = reference.quantise(to_circuit(parts, {"x": rows_around(model, 20)}), circuit.format)
    rows, trace = rows_for(circuit, samples), traced(circuit, "trees")
    found = mutated(trace, rows, reference.run(circuit, rows), kinds=GROWN, count=1000)
    assert {op.opcode for op in trace.logic.ops} >= {0, 4, 6}
    assert found.caught >= 0.9 * found.made > 50


def test_a_broken_selection_that_has_no_verilog_is_not_the_one_that_is_built() -> None:
    model = regressor(15, trees=4, depth=3, targets=2)
    parts, circuit = made(model, {"x": rows_around(model, 50)})
    samples = reference.quantise(to_circuit(parts, {"x": rows_around(model, 20)}), circuit.format)
    rows, trace = rows_for(circuit, samples), traced(circuit, "trees")
    found = mutated(trace, rows, reference.run(circuit, rows), kinds=GROWN, count=40)
    assert found.one is not None
    assert written(found.one).sources != written(trace).sources


def test_every_leaf_of_every_tree_is_reached_in_the_verification() -> None:
    model = regressor(4, trees=4, depth=3)
    parts, circuit = made(model, {"x": rows_around(model, 50)})
    (step,) = circuit.steps
    rows = edges(circuit, np.zeros((1, *parts.network.shape), np.int64))
    assert (rows == circuit.format.high).any()
    for tree in step.operation.trees:
        possible = {tuple(_leaf(tree, step.operation.missing.tolist(), row)) for row in rows.tolist()}
        everywhere = np.random.default_rng(0).integers(0, circuit.format.high + 1, size=(4000, 4))
        assert possible >= {tuple(_leaf(tree, step.operation.missing.tolist(), row)) for row in everywhere.tolist()}


def test_votes_stay_whole_and_what_all_leaves_share_goes_to_the_base() -> None:
    votes = regressor(1, trees=4, targets=2, target_weights=[1.0] * 16, target_ids=[0, 1] * 8, base_values=[0.0] * 2)
    forest = made(votes, {"x": rows_around(votes)}, bits=8)[1].steps[0].operation
    assert set(np.concatenate([tree.values.ravel() for tree in forest.trees]).tolist()) == {0, 1}
    far = regressor(1, trees=1, depth=1, target_weights=[1000.0, 1001.0], base_values=[0.5])
    circuit = made(far, {"x": rows_around(far)}, bits=4)[1]
    found = reference.dequantise(reference.run(circuit, np.array([[0] * 4, [circuit.format.high] * 4])), circuit.answer)
    assert {*found.ravel().tolist()} <= {1000.5, 1001.5}


def test_the_estimate_is_near_alkaids_and_refuses_before_anything_slow(tmp_path: Path) -> None:
    model = regressor(3, trees=30, depth=4)
    feeds = {"x": rows_around(model)}
    parts, circuit = made(model, feeds)
    rtl = written(traced(circuit, "trees"))
    assert 0.6 * rtl.luts < estimated(parts.network, Widths.of(6)).luts < 1.8 * rtl.luts
    assert written(traced(circuit, "trees")).sources == rtl.sources
    steps: list[str] = []
    with pytest.raises(CircuitTooLarge, match=r"look-up tables, and 50 are the most") as caught:
        compiled(model, feeds, "trees", Asked(max_luts=50), tmp_path, on_step=steps.append)
    assert "TreeEnsembleRegressor 1 alone" in caught.value.hint
    assert steps == []


def test_trees_that_decide_nothing_are_refused(tmp_path: Path) -> None:
    model = regressor(1, target_weights=[0.5] * 12)
    with pytest.raises(CircuitRefused, match="the same answer to everything"):
        compiled(model, {"x": rows_around(model)}, "trees", Asked(min_agreement=0), tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "fitted",
    [
        GradientBoostingClassifier(n_estimators=4, max_depth=2),
        HistGradientBoostingClassifier(max_iter=4),
        RandomForestClassifier(4, max_depth=3),
        RandomForestClassifier(4),
    ],
    ids=lambda one: f"{type(one).__name__} {getattr(one, 'max_depth', '')}",
)
def test_what_dray_converts_of_scikit_learn_keeps_its_labels(fitted: object, tmp_path: Path) -> None:
    rows, labels = load_iris(return_X_y=True)
    source = saved(fitted.fit(rows, np.array(["a", "b", "c"])[labels]), tmp_path)
    raw = SklearnConverter().convert(ConversionRequest(source=source, workdir=tmp_path), SilentProgress())
    _keeps_labels(onnx.load(raw.onnx), rows)


def test_a_boosters_missing_numbers_go_where_they_went(tmp_path: Path) -> None:
    source = FIXTURES / "lightgbm_nan" / "model.txt"
    raw = LightgbmConverter().convert(ConversionRequest(source=source, workdir=tmp_path), SilentProgress())
    with np.load(FIXTURES / "lightgbm_nan" / "inputs.npz") as inputs:
        rows = inputs["X"]
    assert np.isnan(rows).any()
    _keeps_labels(onnx.load(raw.onnx), rows)


def _keeps_labels(model: onnx.ModelProto, rows: np.ndarray) -> None:
    (given,) = model.graph.input
    kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    feeds = {given.name: rows.astype(kind)}
    parts, circuit = made(model, feeds, bits=10)
    agreed = answers(parts, circuit, feeds)["label"] == run_model(model, feeds)["label"]
    assert agreed.mean() >= 0.99
    assert isinstance(parts.network, Network)
    assert len(parts.network.layers) == 1


@pytest.mark.slow
def test_a_small_ensemble_becomes_a_verified_circuit(tmp_path: Path) -> None:
    model = classifier(labels=(0, 1, 2), transform="SOFTMAX")
    found = compiled(model, {"x": rows_around(model, 60)}, "small", Asked(bits=6), tmp_path)
    assert found.verified.rows > 60 + 64 + 2
    assert found.verified.cycles == found.verified.first + found.verified.rows
    assert found.verified.caught >= 0.9 * found.verified.mutants
    assert found.agreement >= 0.98
    files = project_files(found.rtl, Device(), {}, found.cut.grid)
    assert files["inputs.csv"].count("\n") == 5
    assert "`inputs.csv` says" in files["README.md"]
