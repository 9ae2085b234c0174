import sys
from pathlib import Path

import pytest

from packager.core.errors import EnvironmentFailed, EnvironmentMissing
from packager.environments import at_path, environments_home, listed, named
from packager.environments.cache import RECORD_NAME
from tests.support.fake_uv import stub_environment


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    stub_environment(environments_home() / "sklearn-1.4.2")

    with pytest.raises(EnvironmentMissing) as caught:
        named("sklearn-1.3.0", distributions=())

    assert caught.value.code == "E-NOT-INSTALLED"
    assert "no environment named 'sklearn-1.3.0'" in caught.value.message
    assert caught.value.hint.endswith("made before: sklearn-1.4.2")


@pytest.mark.parametrize("name", ["..", ".locks", "", "a b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    (environments_home() / ".locks").mkdir(parents=True)

    with pytest.raises(EnvironmentMissing):
        named(name, distributions=())


def test_an_interpreter_says_itself_what_it_has() -> None:
    found = at_path(Path(sys.executable), distributions=("scikit-learn", "not-there"))

    assert found.version == sys.version_info[:3]
    assert list(found.versions) == ["scikit-learn"]


def test_a_folder_is_a_virtual_environment(tmp_path: Path) -> None:
    found = at_path(stub_environment(tmp_path / "venv", onnx="1.18"), distributions=("onnx",))

    assert (found.python, found.versions) == (tmp_path / "venv" / "bin" / "python", {"onnx": "1.18"})


def test_a_path_without_a_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing) as caught:
        at_path(tmp_path, distributions=())

    assert "there is no Python at" in caught.value.message
    assert caught.value.hint


def test_a_python_older_than_drays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        at_path(stub_environment(tmp_path / "old", python=(3, 9, 1)), distributions=())

    assert "has Python 3.9, and converting needs 3.11 or newer" in caught.value.message
    assert "ship the .onnx file" in caught.value.hint


def test_the_list_names_what_runs_and_what_is_broken() -> None:
    stub_environment(environments_home() / "sklearn-1.4.2")
    (stub_environment(environments_home() / "sklearn-1.3.0") / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")
    (stub_environment(environments_home() / "sklearn-1.2.0") / RECORD_NAME).write_text("{")
    (environments_home() / ".sklearn-1.1.0.abc").mkdir()

    found = dict(listed())

    assert list(found) == ["sklearn-1.2.0", "sklearn-1.3.0", "sklearn-1.4.2"]
    assert isinstance(found["sklearn-1.2.0"], EnvironmentFailed)
    assert isinstance(found["sklearn-1.3.0"], EnvironmentFailed)
    assert found["sklearn-1.3.0"].message == "the environment 'sklearn-1.3.0' does not run: status 3"
    assert found["sklearn-1.3.0"].hint.endswith(f"rm -r {environments_home() / 'sklearn-1.3.0'}")
    assert not isinstance(found["sklearn-1.4.2"], EnvironmentFailed)
