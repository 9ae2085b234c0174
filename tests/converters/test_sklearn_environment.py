import pickle
from importlib import metadata
from pathlib import Path

import pytest

from packager.converters.sklearn import SklearnConverter
from packager.converters.sklearn.environment import environment_for
from packager.core.conversion import ModelSource
from packager.core.environment import EnvironmentAware, EnvironmentSpec
from packager.core.errors import ModelInvalid


def saved_by(folder: Path, version: str) -> Path:
    path = folder / "m.pkl"
    path.write_bytes(pickle.dumps({"_sklearn_version": version}))
    return path


def needed(folder: Path, version: str, samples: Path | None = None) -> EnvironmentSpec:
    spec = environment_for(saved_by(folder, version), samples)
    assert spec is not None
    return spec


def test_the_same_minor_version_needs_no_environment(tmp_path: Path) -> None:
    major, minor = metadata.version("scikit-learn").split(".")[:2]

    assert environment_for(saved_by(tmp_path, f"{major}.{minor}.77"), None) is None


def test_a_file_that_names_no_version_needs_no_environment(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps([1]))

    assert environment_for(tmp_path / "m.pkl", None) is None


def test_another_minor_version_needs_that_very_version_and_what_its_time_had(tmp_path: Path) -> None:
    spec = needed(tmp_path, "1.4.2")

    assert spec.name == "sklearn-1.4.2"
    assert spec.requirements[0] == "scikit-learn==1.4.2"
    assert {"numpy<2.2", "scipy<1.14", "pandas<2.3"} < set(spec.constraints)
    assert f"skl2onnx=={metadata.version('skl2onnx')}" in spec.constraints
    here = metadata.version("scikit-learn")
    assert spec.reason == f"'m.pkl' was saved by scikit-learn 1.4.2, and {here} is installed here"
    assert spec.otherwise is not None
    assert spec.otherwise.requirements[0] == "scikit-learn>=1.4.2,<1.5"


def test_a_newer_version_needs_an_environment_too(tmp_path: Path) -> None:
    assert needed(tmp_path, "7.1.0").name == "sklearn-7.1.0"


def test_a_local_version_is_what_the_index_has(tmp_path: Path) -> None:
    assert needed(tmp_path, "1.4.2+vendor").name == "sklearn-1.4.2"


def test_parquet_samples_bring_their_reader(tmp_path: Path) -> None:
    assert "pyarrow>=14" in needed(tmp_path, "1.4.2", tmp_path / "rows.parquet").requirements
    assert "pyarrow>=14" not in needed(tmp_path, "1.4.2", tmp_path / "rows.csv").requirements


def test_a_version_too_old_for_any_python_of_drays_comes_with_a_command(tmp_path: Path) -> None:
    spec = needed(tmp_path, "1.0.2")

    assert "1.1.3 is the oldest" in spec.by_hand
    assert "uv run --no-project --python 3.10 --with scikit-learn==1.0.2" in spec.by_hand


@pytest.mark.parametrize(
    "hostile", ["1.4; rm -rf", "file:///etc/passwd", "1.4 @ http://x", "-r/etc/passwd", "../../x", "", "1." * 40 + "1"]
)
def test_what_is_no_version_is_refused(tmp_path: Path, hostile: str) -> None:
    with pytest.raises(ModelInvalid) as caught:
        environment_for(saved_by(tmp_path, hostile), None)

    assert caught.value.code == "E-MODEL-INVALID"
    assert "which is not a version" in caught.value.message
    assert caught.value.hint


def test_the_converter_says_which_environment_a_file_needs(tmp_path: Path) -> None:
    converter = SklearnConverter()

    assert isinstance(converter, EnvironmentAware)
    assert converter.environment_for(ModelSource(saved_by(tmp_path, "1.4.2")), None) is not None
