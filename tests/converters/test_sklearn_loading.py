import bz2
import gzip
import lzma
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from packager.converters.sklearn import SklearnConverter
from packager.converters.sklearn.loading import load_estimator
from packager.core.conversion import ModelSource
from packager.core.errors import ModelInvalid
from tests.support.models import FIXTURES, iris, linear_regression, saved

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


def refused(path: Path) -> ModelInvalid:
    with pytest.raises(ModelInvalid) as caught:
        load_estimator(path)
    assert caught.value.code == "E-MODEL-INVALID"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_a_pickle_is_recognised_by_its_first_bytes(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(COMPRESSORS[compression](pickle.dumps(linear_regression())))
    assert SklearnConverter().recognises(ModelSource(path))


@pytest.mark.parametrize(("name", "recognised"), [("m.pkl.gz", True), ("m.joblib.gz", True), ("m.gz", False)])
def test_a_pickle_packed_as_its_name_says_is_recognised(name: str, recognised: bool, tmp_path: Path) -> None:
    joblib.dump(linear_regression(), tmp_path / name, compress=("gzip", 3))
    assert SklearnConverter().recognises(ModelSource(tmp_path / name)) is recognised


@pytest.mark.parametrize(("name", "content"), [("model.onnx", b"\x80\x04"), ("notes.txt", b"hello"), ("empty", b"")])
def test_other_files_are_not_recognised(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert not SklearnConverter().recognises(ModelSource(tmp_path / name))
    assert not SklearnConverter().recognises(ModelSource(tmp_path))


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("lzma", 1)])
def test_a_joblib_file_is_loaded(compress: Any, tmp_path: Path) -> None:
    joblib.dump(linear_regression(), tmp_path / "m.joblib", compress=compress)
    assert type(load_estimator(tmp_path / "m.joblib")[0]).__name__ == "LinearRegression"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.joblib").touch()
    assert refused(tmp_path / "m.joblib").message == "the model file 'm.joblib' is empty"


@pytest.mark.parametrize("content", [b"this is no pickle", b"x\x9c\x00\x00", b"\x80\x04\x95\xff", b"\x00" * 64])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(content)
    assert refused(tmp_path / "m.pkl").message.startswith("'m.pkl' is not a pickle that can be read, or is cut off")


def test_an_array_is_no_model(tmp_path: Path) -> None:
    error = refused(saved(np.zeros(3), tmp_path))
    assert error.message == "'model.joblib' holds an object of class ndarray, not a scikit-learn estimator"


def test_an_estimator_inside_a_dict_is_pointed_at(tmp_path: Path) -> None:
    assert refused(saved({"model": linear_regression()}, tmp_path)).hint == "save its entry 'model' alone"


def test_an_unfitted_estimator_is_refused(tmp_path: Path) -> None:
    error = refused(saved(LogisticRegression(), tmp_path))
    assert (error.message, error.hint) == ("the LogisticRegression is not fitted", "call fit(X, y), then save it")


def test_a_pipeline_with_an_unfitted_step_is_refused(tmp_path: Path) -> None:
    model = Pipeline([("scale", StandardScaler()), ("fit", linear_regression())])
    assert refused(saved(model, tmp_path)).message == "the Pipeline is not fitted"


def test_a_search_without_a_best_estimator_is_refused(tmp_path: Path) -> None:
    search = GridSearchCV(RandomForestClassifier(2), {"max_depth": [1, 2]}, cv=2, refit=False).fit(*iris())
    error = refused(saved(search, tmp_path))
    assert "GridSearchCV" in error.message
    assert "refit" in error.message or "not fitted" in error.message


def test_a_missing_module_is_named() -> None:
    error = refused(FIXTURES / "custom_transformer" / "model.joblib")
    assert error.message == "'model.joblib' needs the module 'sk_custom', which is not here"
    assert error.hint == "install it, or put the folder that holds sk_custom.py on PYTHONPATH"


def test_a_class_of_a_notebook_is_explained(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"c__main__\nMyTransformer\n.")
    error = refused(tmp_path / "m.pkl")
    assert "MyTransformer" in error.message
    assert "move it to a module" in error.hint


def test_another_version_of_scikit_learn_becomes_a_note(tmp_path: Path) -> None:
    model = linear_regression()
    state = model.__getstate__()
    state["_sklearn_version"] = "1.4.2"

    class Old(type(model)):  # type: ignore[misc]
        def __reduce__(self) -> Any:
            return (type(model), (), state)

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Old()))
    _, notes = load_estimator(tmp_path / "m.pkl")
    assert len(notes) == 1
    assert notes[0].startswith("saved by scikit-learn 1.4.2, loaded and converted with ")
