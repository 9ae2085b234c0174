import os
import pickle
from pathlib import Path

import pytest
import yaml

from packager.convert.environment import EnvironmentChoice, choose, code_folder
from packager.converters.onnx import OnnxConverter
from packager.converters.sklearn import SklearnConverter
from packager.core.conversion import ModelSource
from packager.core.errors import EnvironmentMissing
from packager.core.progress import SilentProgress
from packager.core.protocols import Converter
from packager.environments import Environment, environments_home
from tests.support.fake_uv import FakeUv, stub_environment

HAS_IT_ALL = {
    "scikit_learn": "1.4.2", "joblib": "1.4", "onnx": "1.20", "pandas": "2.2", "protobuf": "6.33", "pydantic": "2.12",
    "onnxruntime": "1.32",
    "skl2onnx": "1.20",
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"_sklearn_version": "1.4.2"}))
    return ModelSource(path)


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    (tmp_path / "fake-uv").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'fake-uv'}{os.pathsep}{os.environ['PATH']}")
    fake = FakeUv(tmp_path / "fake-uv")
    fake.write()
    return fake


def chosen(choice: EnvironmentChoice, source: ModelSource, converter: Converter | None = None) -> Environment | None:
    return choose(
        choice, converter or SklearnConverter(), source, samples=None, progress=SilentProgress(), timeout_s=60
    )


def test_current_is_this_environment_whatever_the_version(source: ModelSource) -> None:
    assert chosen(EnvironmentChoice("current"), source) is None


def test_a_converter_that_needs_no_child_stays_here(source: ModelSource) -> None:
    assert chosen(EnvironmentChoice("auto"), source, OnnxConverter()) is None


def test_one_that_is_there_is_used_without_a_question(source: ModelSource) -> None:
    stub_environment(environments_home() / "sklearn-1.4.2", **HAS_IT_ALL)

    found = chosen(EnvironmentChoice(agree=lambda _: pytest.fail("asked")), source)

    assert found is not None
    assert found.name == "sklearn-1.4.2"


def test_a_later_patch_that_is_there_will_do(source: ModelSource) -> None:
    stub_environment(environments_home() / "sklearn-1.4", **{**HAS_IT_ALL, "scikit_learn": "1.4.3"})

    found = chosen(EnvironmentChoice(), source)

    assert found is not None
    assert found.name == "sklearn-1.4"


def test_nothing_is_made_where_nobody_agreed(source: ModelSource, uv: FakeUv) -> None:
    with pytest.raises(EnvironmentMissing) as caught:
        chosen(EnvironmentChoice(), source)

    assert caught.value.code == "E-NOT-INSTALLED"
    assert "needs the environment 'sklearn-1.4.2', which is not made yet" in caught.value.message
    assert "--env auto" in caught.value.hint
    assert "--env current" in caught.value.hint
    assert uv.calls() == []


@pytest.mark.parametrize("choice", [EnvironmentChoice("auto"), EnvironmentChoice(agree=lambda _: True)])
def test_it_is_made_where_it_was_asked_for_or_agreed(
    choice: EnvironmentChoice, source: ModelSource, uv: FakeUv
) -> None:
    found = chosen(choice, source)

    assert found is not None
    assert found.versions["scikit-learn"] == "1.4.2"


def test_a_named_one_must_have_what_the_converter_needs(source: ModelSource) -> None:
    stub_environment(environments_home() / "mine", scikit_learn="1.4.2", pydantic="2.12")

    with pytest.raises(EnvironmentMissing) as caught:
        chosen(EnvironmentChoice("mine"), source)

    assert caught.value.message == "the environment 'mine' lacks joblib, onnx, pandas, skl2onnx"
    assert caught.value.hint.endswith("bin/python joblib onnx pandas skl2onnx")


def test_a_path_is_an_environment_of_the_users(source: ModelSource, tmp_path: Path) -> None:
    folder = stub_environment(tmp_path / "venv", **HAS_IT_ALL)

    found = chosen(EnvironmentChoice(str(folder)), source)

    assert found is not None
    assert found.python == folder / "bin" / "python"


def test_the_childs_code_is_drays_and_the_converters_and_nothing_beside_it(tmp_path: Path) -> None:
    class Foreign(SklearnConverter):
        __module__ = f"{yaml.__name__}.anything"

    folder = code_folder(tmp_path, Foreign())

    assert sorted(path.name for path in folder.iterdir()) == ["packager", "runtime", "yaml"]
    assert (folder / "packager" / "convert" / "worker.py").is_file()
