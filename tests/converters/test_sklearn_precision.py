"""Precisions, searches, and converters of the user's own."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from packager.convert import convert as convert_and_prove
from packager.convert.verification import Verified
from packager.core.conversion import ModelSource, RawConversion

Convert = Callable[..., RawConversion]
Prove = Callable[[RawConversion], Verified]
ROOT = Path(__file__).parent.parent.parent
CUSTOM = ROOT / "tests" / "fixtures" / "sklearn" / "custom_transformer"


def test_timestamps_get_an_input_that_holds_them(convert: Convert, proven: Prove) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([1.7e9 + rng.random(400) * 9000, rng.random(400)])
    model = HistGradientBoostingRegressor(max_iter=10).fit(rows, (rows[:, 0] // 700) % 2)
    verified = proven(convert(model))
    assert verified.graph.signature.inputs[0].dtype == "FP64"
    given = verified.graph.session.run(["prediction"], {"X": rows})[0]
    assert np.allclose(given, model.predict(rows))


def test_trees_that_round_their_input_themselves_take_float32(convert: Convert, proven: Prove) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([1.7e9 + rng.random(400) * 9000, rng.random(400)])
    model = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(rows, (rows[:, 0] // 700) % 2)
    verified = proven(convert(model))
    assert verified.graph.signature.inputs[0].dtype == "FP32"
    given = verified.graph.session.run(["label"], {"X": rows.astype(np.float32)})[0]
    assert (given == model.predict(rows)).all()


def test_values_on_a_threshold_of_histogram_trees_go_the_same_way(convert: Convert, proven: Prove) -> None:
    rng = np.random.default_rng(1)
    rows = np.round(rng.random((400, 2)), 1)
    model = HistGradientBoostingRegressor(max_iter=20).fit(rows, rows[:, 0] * 9 + rows[:, 1])
    verified = proven(convert(model))
    between = np.round(rng.random((300, 2)) * 20) / 20
    given = verified.graph.session.run(["prediction"], {"X": between})[0]
    assert np.allclose(given, model.predict(between), atol=1e-5)


def test_a_search_tells_its_parameters_and_scores(convert: Convert) -> None:
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3]}, cv=3)
    training = convert(search.fit(*load_iris(return_X_y=True))).training
    assert training is not None
    assert training["search"] == "GridSearchCV"
    assert training["best_parameters"] == {"max_depth": 3}
    assert training["best_score"] == pytest.approx(search.best_score_)
    assert (training["candidates"], training["splits"]) == (2, 3)


def test_a_plugin_converts_a_transformer_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"plugin": str(CUSTOM / "plugin.py"), "plugin_folder": str(CUSTOM)}
    result = convert_and_prove(ModelSource(CUSTOM / "model.joblib"), workdir=tmp_path, options=options, trust=True)
    import onnxruntime as ort

    with np.load(CUSTOM / "inputs.npz") as rows, np.load(CUSTOM / "expected.npz") as expected:
        feeds = {"X": next(iter(rows.values())).astype(np.float64)}
        label = ort.InferenceSession(result.onnx_path).run(["label"], feeds)[0]
        assert (label == expected["predict"]).all()


@pytest.mark.slow
def test_random_pipelines_answer_as_their_source(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_fidelity.py"), "-n", "24", "--processes", "1"]
    if importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed: samples of frames are written with it")
    ended = subprocess.run(
        [*command, "--log", str(tmp_path / "log.jsonl")], capture_output=True, text=True, cwd=ROOT, timeout=250
    )
    assert ended.returncode == 0, ended.stdout
    assert " 0 failed loudly, 0 silent differences" in ended.stdout
