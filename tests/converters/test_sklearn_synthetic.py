import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from packager.converters.sklearn.parts import parts_of
from packager.converters.sklearn.synthetic import UNROUNDED_ROWS
from packager.converters.sklearn.trees import groves_of
from packager.core.conversion import RawConversion
from tests.support.models import breast_cancer, iris, saved, scaled_forest

Convert = Callable[..., RawConversion]
X, Y = iris()
ROOT = Path(__file__).parents[2]


def rows(raw: RawConversion) -> np.ndarray:
    with np.load(raw.samples) as archive:
        return archive[archive.files[0]]


def test_every_value_but_of_the_first_rows_is_a_float32(convert: Convert) -> None:
    drawn = rows(convert(scaled_forest()))
    rest = drawn[UNROUNDED_ROWS:]
    assert np.array_equal(rest, rest.astype(np.float32).astype(np.float64), equal_nan=True)


def test_thresholds_are_met_and_passed_by_one_step(convert: Convert) -> None:
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, Y)
    column, threshold = tree.tree_.feature[0], np.float32(tree.tree_.threshold[0])
    drawn = set(rows(convert(tree))[:, column].astype(np.float32))
    assert threshold in drawn
    assert np.nextafter(threshold, np.float32(np.inf)) in drawn
    assert np.nextafter(threshold, np.float32(-np.inf)) in drawn


@pytest.mark.parametrize("scaled", [True, False])
def test_every_leaf_of_a_forest_is_reached(scaled: bool, convert: Convert) -> None:
    forest = RandomForestClassifier(30, random_state=0)
    model = make_pipeline(StandardScaler(), forest) if scaled else forest
    coverage = convert(model.fit(*breast_cancer())).coverage
    leaves = coverage.measures["leaves"]
    assert leaves.total == sum(tree.tree_.n_leaves for tree in forest.estimators_)
    assert leaves.reached == leaves.total
    assert not coverage.weak


def test_few_rows_of_the_users_are_called_weak(convert: Convert, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", X[:3])
    coverage = convert(RandomForestClassifier(10, random_state=0).fit(X, Y), tmp_path / "s.npy").coverage
    assert coverage.weak
    assert "leaves reached" in coverage.reason
    assert "1 of 3 classes reached" in coverage.reason


def test_every_category_and_an_unknown_one_are_drawn(convert: Convert) -> None:
    encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), [0])], remainder="passthrough")
    raw = convert(make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(np.c_[Y * 10, X], Y))
    share = raw.coverage.measures["categories"]
    assert (share.reached, share.total) == (3, 3)
    assert set(rows(raw)[:, 0]) > {0.0, 10.0, 20.0}


def test_missing_values_are_drawn_only_where_the_model_takes_them(convert: Convert) -> None:
    assert np.isnan(rows(convert(DecisionTreeClassifier().fit(X, Y)))).any()
    assert not np.isnan(rows(convert(LogisticRegression(max_iter=500).fit(X, Y)))).any()


def test_another_seed_draws_other_rows(convert: Convert) -> None:
    model = LogisticRegression(max_iter=500).fit(X, Y)
    assert not np.array_equal(rows(convert(model, seed=1)), rows(convert(model, seed=2)))


def test_leaves_are_counted_as_scikit_learn_applies_them() -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    grove = groves_of(parts_of(forest, 4))[0]
    grove.see(X)
    applied = forest.apply(X)
    assert grove.leaves_reached == sum(len(np.unique(applied[:, index])) for index in range(5))


def test_boxes_are_where_the_rows_of_a_leaf_lie() -> None:
    tree = groves_of(parts_of(DecisionTreeClassifier(random_state=0).fit(X, Y), 4))[0].trees[0]
    low, high = tree.boxes(4)
    place = {int(leaf): index for index, leaf in enumerate(tree.leaves)}
    for row, leaf in zip(X.astype(np.float32), tree.leaf_of(X), strict=True):
        index = place[int(leaf)]
        assert (low[index] < row).all()
        assert (row <= high[index]).all()


SCRIPT = """
import sys
from pathlib import Path
from packager.converters.sklearn import SklearnConverter
from packager.core.conversion import ConversionRequest
from packager.core.progress import SilentProgress
request = ConversionRequest(source=Path(sys.argv[1]), workdir=Path(sys.argv[2]))
SklearnConverter().convert(request, SilentProgress())
"""


def test_the_same_model_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    model = saved(scaled_forest(), tmp_path)
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-c", SCRIPT, str(model), str(tmp_path / seed)]
        subprocess.run(argv, env=environment, check=True, timeout=120)
    assert (tmp_path / "1" / "model.onnx").read_bytes() == (tmp_path / "2" / "model.onnx").read_bytes()
    with np.load(tmp_path / "1" / "samples.npz") as first, np.load(tmp_path / "2" / "samples.npz") as second:
        assert np.array_equal(first["X"], second["X"], equal_nan=True)
