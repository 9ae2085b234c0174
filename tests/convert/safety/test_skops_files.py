"""skops files: what they name is checked like a pickle's, and shipped when it is known."""

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from packager.convert import convert
from packager.convert.safety import cleared
from packager.converters.sklearn.recognition import recorded_version
from packager.core.conversion import ModelSource
from packager.core.errors import ModelInvalid, UnsafeModel

ROWS = np.random.default_rng(0).integers(0, 4, (80, 3)).astype(float)
TARGET = (ROWS[:, 0] > 1).astype(int)
MODELS = {
    "pipeline": make_pipeline(StandardScaler(), FunctionTransformer(np.abs), LogisticRegression()),
    "forest": RandomForestClassifier(5, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=4, random_state=0),
    "encoder": make_pipeline(OneHotEncoder(handle_unknown="ignore"), SVC()),
}


def dumped(folder: Path, model: object, name: str = "m.skops") -> Path:
    path = folder / name
    skops.io.dump(model, path)
    return path


def changed(path: Path, **replaced: str) -> Path:
    """The file with words in its schema replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = members["schema.json"].decode()
    for old, new in replaced.items():
        text, count = re.subn(old, new, text)
        assert count
    members["schema.json"] = text.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_skops_saved_is_converted(name: str, tmp_path: Path) -> None:
    path = dumped(tmp_path, MODELS[name].fit(ROWS, TARGET))
    (tmp_path / "work").mkdir()

    result = convert(ModelSource(path), workdir=tmp_path / "work")

    assert result.trusted == ()
    assert result.parity is not None
    assert result.parity.conversion.passed


def test_its_content_counts_and_not_its_name(tmp_path: Path) -> None:
    path = dumped(tmp_path, MODELS["forest"].fit(ROWS, TARGET), "model.bin")
    (tmp_path / "work").mkdir()

    assert convert(ModelSource(path), workdir=tmp_path / "work").source.framework == "sklearn"


def test_a_function_that_runs_programs_is_refused_though_nothing_calls_it_yet(tmp_path: Path) -> None:
    path = dumped(tmp_path, MODELS["pipeline"].fit(ROWS, TARGET))
    changed(path, **{r'"absolute",(\s+)"__module__": "numpy"': r'"system",\1"__module__": "os"'})
    (tmp_path / "copy").mkdir()

    with pytest.raises(UnsafeModel) as caught:
        cleared(path, tmp_path / "copy")

    assert "os.system" in caught.value.message
    assert "--trust" in caught.value.hint


@pytest.mark.parametrize("loader", ["MethodNode", "OperatorFuncNode", "PartialNode", "NodeOfTomorrow"])
def test_a_loader_that_makes_more_than_data_is_refused(loader: str, tmp_path: Path) -> None:
    path = dumped(tmp_path, MODELS["pipeline"].fit(ROWS, TARGET))
    changed(path, FunctionNode=loader)
    (tmp_path / "copy").mkdir()

    with pytest.raises(UnsafeModel, match=loader):
        cleared(path, tmp_path / "copy")


def test_a_class_of_ones_own_needs_trust(tmp_path: Path) -> None:
    path = dumped(tmp_path, MODELS["forest"].fit(ROWS, TARGET))
    changed(path, **{"sklearn.ensemble._forest": "somebody.elses"})
    (tmp_path / "copy").mkdir()
    (tmp_path / "trusted").mkdir()

    with pytest.raises(UnsafeModel, match="RandomForestClassifier"):
        cleared(path, tmp_path / "copy")
    assert "somebody.elses.RandomForestClassifier" in cleared(path, tmp_path / "trusted", trust=True).trusted


@pytest.mark.parametrize("schema", ["", "{", "[]", "{}", '{"__loader__": 3}', "[" * 100_000])
def test_a_damaged_schema_is_refused(schema: str, tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", schema)
    (tmp_path / "copy").mkdir()

    with pytest.raises((ModelInvalid, UnsafeModel)):
        cleared(path, tmp_path / "copy")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
        with archive.open("0.npy", "w", force_zip64=True) as stream:
            for _ in range(300):
                stream.write(bytes(1 << 20))
    (tmp_path / "copy").mkdir()

    with pytest.raises(UnsafeModel, match="grows to more than"):
        cleared(path, tmp_path / "copy")


def test_the_version_is_read_without_loading(tmp_path: Path) -> None:
    import sklearn

    assert recorded_version(dumped(tmp_path, MODELS["forest"].fit(ROWS, TARGET))) == sklearn.__version__
    assert recorded_version(Path(os.devnull)) is None
