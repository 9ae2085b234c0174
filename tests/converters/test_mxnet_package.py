"""MXNet models through the whole step: in a child process, with and without answers of MXNet."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from packager import environments
from packager.convert import convert
from packager.convert.environment import EnvironmentChoice
from packager.convert.legacy import with_answers
from packager.converters.mxnet.plugin import LEGACY as LEGACY_MXNET
from packager.converters.onnx import OnnxConverter
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.environment import LEGACY, EnvironmentSpec, LegacyProgram
from packager.core.errors import EnvironmentFailed, ParityError, UsageError
from packager.core.progress import SilentProgress
from packager.environments import Environment
from tests.support.mxnet_models import FIXTURES, asked, converted, opened

CNN = FIXTURES / "gluon_cnn"


def test_nothing_of_mxnet_is_here() -> None:
    assert importlib.util.find_spec("mxnet") is None


@pytest.mark.parametrize("named", ["model-symbol.json", "model-0010.params", ""])
def test_either_file_or_their_folder_is_enough(named: str, tmp_path: Path) -> None:
    result = convert(
        ModelSource(CNN / named if named else CNN),
        workdir=tmp_path,
        samples=CNN / "inputs.npz",
        expected=CNN / "expected.npz",
    )
    assert result.reference == "expected-file"
    assert result.parity is not None
    assert result.parity.conversion.passed
    assert (result.source.framework, result.source.framework_version) == ("mxnet", "1.9.1")


def test_without_answers_nothing_vouches_for_the_package(tmp_path: Path) -> None:
    result = convert(ModelSource(FIXTURES / "gluon_gru"), workdir=tmp_path)
    assert (result.reference, result.parity) == ("none", None)
    assert result.batch_safety.batchable


def test_answers_of_another_model_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", y=np.load(CNN / "expected.npz")["y"] + 0.001)
    with pytest.raises(ParityError):
        convert(ModelSource(CNN), workdir=tmp_path, samples=CNN / "inputs.npz", expected=tmp_path / "wrong.npz")


class _Doubling(OnnxConverter):
    """A converter whose retired framework is a script for this very Python."""

    def __init__(self, script: Path) -> None:
        self._script = script

    def legacy_program(self, request: ConversionRequest, raw: RawConversion) -> LegacyProgram:
        return LegacyProgram(EnvironmentSpec("old", "it is old", "leave it", ()), self._script, (str(request.source),))


def _here(_: EnvironmentSpec) -> Environment:
    return Environment("old", Path(sys.executable), (3, 11, 0), {"old": "1.0"})


def test_a_retired_framework_gives_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "find", _here)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy\nnumpy.savez(sys.argv[3], out=numpy.load(sys.argv[2])['data'].sum(axis=1))\n",
        encoding="utf-8",
    )
    raw = converted(FIXTURES / "gluon_mlp", tmp_path / "out")
    told = with_answers(raw, _Doubling(script), ConversionRequest(CNN, tmp_path), SilentProgress(), timeout_s=60)
    assert (told.reference, told.versions["old"]) == ("source", "1.0")
    assert told.reference_cast is not None
    wanted = np.load(raw.samples)["data"].sum(axis=1)
    np.testing.assert_array_equal(np.load(told.reference_cast)["out"], wanted)


def test_a_retired_framework_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "find", _here)
    (tmp_path / "script.py").write_text("raise SystemExit('no such operator')", encoding="utf-8")
    raw = converted(FIXTURES / "gluon_mlp", tmp_path / "out")
    with pytest.raises(EnvironmentFailed, match="no such operator"):
        with_answers(
            raw, _Doubling(tmp_path / "script.py"), ConversionRequest(CNN, tmp_path), SilentProgress(), timeout_s=60
        )


def test_lengths_are_not_asked_of_mxnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "find", lambda _: pytest.fail("an environment is looked for"))
    legacy = EnvironmentChoice(LEGACY)
    with pytest.raises(UsageError, match="--lengths and --env legacy do not go together"):
        convert(ModelSource(FIXTURES / "gluon_lstm"), workdir=tmp_path, environment=legacy, options={"lengths": True})


def test_mxnet_itself_answers_where_its_environment_is(tmp_path: Path) -> None:
    if environments.find(LEGACY_MXNET) is None:
        pytest.skip("no environment mxnet-1.9.1 here: dray package MODEL --env legacy makes it")
    result = convert(ModelSource(FIXTURES / "module_logistic"), workdir=tmp_path, environment=EnvironmentChoice(LEGACY))
    assert result.reference == "source"
    assert result.parity is not None
    assert result.parity.conversion.passed


def test_the_packaged_graph_needs_nothing_but_its_rows(tmp_path: Path) -> None:
    result = convert(ModelSource(FIXTURES / "module_mlp_bn_dropout"), workdir=tmp_path)
    raw = converted(FIXTURES / "module_mlp_bn_dropout", tmp_path / "again")
    assert [spec.name for spec in result.signature.outputs] == ["softmax_output"]
    (scores,) = asked(opened(raw), {"data": np.zeros((2, 64))})
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
