from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime as ort
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from packager.convert import convert
from packager.core.conversion import ConversionResult, ModelSource
from packager.core.errors import ConverterMissing, ModelInvalid
from tests.support.boosters import trained

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gbdt"
NUMPY = {"tensor(float)": "f4", "tensor(double)": "f8"}


def converted(path: Path, folder: Path, **options: Any) -> ConversionResult:
    work = folder / "work"
    work.mkdir()
    return convert(ModelSource(path), workdir=work, **options)


def served(result: ConversionResult, rows: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(result.onnx_path)
    (given,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {given.name: rows.astype(NUMPY[given.type])}), strict=True))


@pytest.mark.parametrize("name", ["lightgbm_bin", "lightgbm_nan", "xgboost_bin", "xgboost_nan"])
def test_files_of_the_libraries_answer_as_they_did(name: str, tmp_path: Path) -> None:
    (model,) = (path for path in (FIXTURES / name).iterdir() if path.stem == "model")

    result = converted(model, tmp_path)

    with np.load(FIXTURES / name / "inputs.npz") as rows, np.load(FIXTURES / name / "expected.npz") as expected:
        answers = served(result, rows["X"])
        np.testing.assert_array_equal(answers["label"], expected["predict"])
        np.testing.assert_allclose(answers["probabilities"], expected["proba"], atol=1e-5, rtol=1e-4)
    leaves = result.parity.coverage.measures["leaves"] if result.parity else None
    assert leaves is not None
    assert leaves.reached == leaves.total


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(12))  # `make fuzz-fidelity` tries as many as one likes
def test_a_random_booster_answers_as_its_library_or_is_refused_by_name(seed: int, tmp_path: Path) -> None:
    booster = trained(seed)
    path = booster.save(tmp_path)

    try:
        result = converted(path, tmp_path)
    except ConverterMissing:
        return
    rows = booster.fresh(300, np.random.default_rng(seed))
    for kind in (np.float32, np.float64):
        fed = rows.astype(kind).astype(np.float64)
        if result.signature.inputs[0].dtype == "FP32" and kind is np.float64:
            continue
        answers, expected = served(result, fed), booster.predict(fed)
        for output, wanted in expected.items():
            got = answers[output]
            if np.asarray(wanted).dtype.kind == "f":
                np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=1e-4, err_msg=booster.description)
            else:
                np.testing.assert_array_equal(got, wanted, err_msg=booster.description)


def voting() -> VotingClassifier:
    return VotingClassifier(
        [("x", XGBClassifier(n_estimators=10)), ("l", LogisticRegression(max_iter=5000))], voting="soft"
    )


def wine_by_name() -> tuple[np.ndarray, np.ndarray]:
    wine, kind = load_wine(return_X_y=True)
    return wine, np.array(["barolo", "grignolino", "barbera"])[kind]


WRAPPERS: dict[str, tuple[Callable[[], Any], Callable[[], tuple[np.ndarray, np.ndarray]]]] = {
    "XGBClassifier": (lambda: XGBClassifier(n_estimators=15), lambda: load_breast_cancer(return_X_y=True)),
    "XGBClassifier in a pipeline": (
        lambda: make_pipeline(StandardScaler(), XGBClassifier(n_estimators=15)), lambda: load_wine(return_X_y=True),
    ),
    "XGBRegressor": (lambda: XGBRegressor(n_estimators=15), lambda: load_diabetes(return_X_y=True)),
    "LGBMClassifier with text labels": (lambda: LGBMClassifier(n_estimators=15, verbose=-1), wine_by_name),
    "LGBMRegressor in a pipeline": (
        lambda: make_pipeline(StandardScaler(), LGBMRegressor(n_estimators=15, verbose=-1)),
        lambda: load_diabetes(return_X_y=True),
    ),
    "XGBClassifier that votes": (voting, lambda: load_breast_cancer(return_X_y=True)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_of_scikit_learn_answer_as_they_do_there(name: str, tmp_path: Path) -> None:
    make, load = WRAPPERS[name]
    rows, wanted = load()
    model = make().fit(rows, wanted)
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    fresh = rows * np.random.default_rng(0).normal(1, 0.01, rows.shape)

    answers = served(converted(path, tmp_path), fresh)

    expected = model.predict(fresh)
    if "label" in answers:
        np.testing.assert_array_equal(answers["label"], expected)
        np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-5, rtol=1e-4)
    else:
        np.testing.assert_allclose(answers["prediction"], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["lightgbm_bin/model.txt", "xgboost_bin/model.json"])
def test_a_truncated_file_is_refused(name: str, tmp_path: Path) -> None:
    whole = (FIXTURES / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ModelInvalid) as caught:
        converted(path, tmp_path)

    assert caught.value.code == "E-MODEL-INVALID"
    assert caught.value.hint


@pytest.mark.parametrize(("name", "text"), [("m.json", '{"a": 1}'), ("m.txt", "tree hugging\n")])
def test_other_text_is_no_booster(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(ConverterMissing, match="no installed converter recognises"):
        converted(tmp_path / name, tmp_path)
