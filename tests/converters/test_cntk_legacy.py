"""``--env legacy``: the plumbing with a stand-in for CNTK, and CNTK itself where CNTK_ENVIRONMENT names one."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from packager.convert import convert
from packager.convert.environment import EnvironmentChoice
from packager.converters.cntk.model import read_model
from packager.core.conversion import ConversionResult, ModelSource
from packager.core.environment import legacy_home
from packager.core.errors import EnvironmentFailed, EnvironmentMissing, ParityError, UsageError
from tests.support.cntk_files import FIXTURES
from tests.support.graphs import double

LOGISTIC = FIXTURES / "logistic" / "model.model"
# Answers for any model of one input, with what the test sets.
_STAND_IN = """
import numpy as np

__version__ = "2.7"


class Variable:
    def __init__(self, uid, axes=1):
        self.uid, self.dtype, self.dynamic_axes, self.is_sparse = uid, np.float32, list(range(axes)), False


class Function:
    arguments = [Variable("{uid}")]
    outputs = [Variable("out")]

    @staticmethod
    def load(path):
        return Function()

    def eval(self, feeds):
        (rows,) = feeds.values()
        {answer}


def combine(outputs):
    return Function()
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str) -> None:
    """An environment whose CNTK gives these answers."""
    uid = next(variable.uid for variable in read_model(LOGISTIC).variables.values() if variable.kind == 0)
    (folder / "cntk.py").write_text(_STAND_IN.format(uid=uid, answer=answer))
    python = legacy_home("cntk") / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Its site-packages are a folder of the test: without -I, which the first argument is.
    python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
    python.chmod(0o755)


def package(folder: Path, source: Path = LOGISTIC, **options: object) -> ConversionResult:
    work = folder / "work"
    work.mkdir()
    return convert(ModelSource(source), workdir=work, environment=EnvironmentChoice("legacy"), **options)  # type: ignore[arg-type]


def test_without_an_environment_the_hint_makes_one(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match=r"CNTK 2\.7") as caught:
        package(tmp_path)
    assert f"python3.6 -m venv {legacy_home('cntk')}" in caught.value.hint
    assert "cntk==2.7.post2" in caught.value.hint
    assert "libmpi.so.12" in caught.value.hint


def test_answers_of_the_original_are_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {
        variable.name: variable.value.array()
        for variable in read_model(LOGISTIC).variables.values()
        if variable.value is not None and variable.name in ("W", "b")
    }
    np.savez(tmp_path / "w.npz", **weights)
    answer = (
        f"w = np.load({str(tmp_path / 'w.npz')!r}); z = rows @ w['W'] + w['b']; "
        "e = np.exp(z - z.max(1, keepdims=True)); return e / e.sum(1, keepdims=True)"
    )
    stand_in(monkeypatch, tmp_path, answer)
    result = package(tmp_path)
    assert result.reference == "source"
    assert result.source.framework_version == "2.7"
    assert result.versions["cntk"] == "2.7"
    assert result.parity is not None


def test_other_answers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path, "return np.zeros((len(rows), 10), 'f')")
    with pytest.raises(ParityError):
        package(tmp_path)


def test_a_failing_cntk_is_told_of_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path, "raise RuntimeError('libmpi.so.12: cannot open')")
    with pytest.raises(EnvironmentFailed, match=r"libmpi\.so\.12: cannot open"):
        package(tmp_path)


def test_two_sources_of_answers_are_refused(tmp_path: Path) -> None:
    folder = FIXTURES / "logistic"
    with pytest.raises(UsageError, match="--expected and --env legacy"):
        package(tmp_path, samples=folder / "inputs.npz", expected=folder / "expected.npz")


def test_other_frameworks_have_no_legacy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not for onnx"):
        package(tmp_path, double(tmp_path / "m.onnx"))


@pytest.mark.skipif("CNTK_ENVIRONMENT" not in os.environ, reason="CNTK_ENVIRONMENT names no environment with CNTK")
@pytest.mark.parametrize("folder", ["cnn", "gru_last", "lstm_varlen", "mlp_bn_dropout"])
def test_cntk_itself_agrees(folder: str, tmp_path: Path) -> None:
    legacy_home("cntk").parent.mkdir(parents=True)
    legacy_home("cntk").symlink_to(os.environ["CNTK_ENVIRONMENT"])
    result = package(tmp_path, FIXTURES / folder / "model.model", options={"lengths": folder == "lstm_varlen"})
    assert result.reference == "source"
