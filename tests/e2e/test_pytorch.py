"""PyTorch models by the dray command, in an environment without PyTorch that makes one for them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from packager.converters.pytorch import TorchConverter
from packager.core.conversion import ModelSource
from tests.support.command import dray
from tests.support.frameworks import framework
from tests.support.pickles import touching
from tests.support.torch_files import FIXTURES, inner_archive, rewritten, with_pickle

pytestmark = pytest.mark.e2e


@pytest.fixture
def environment() -> None:
    """The environment that dray makes, kept between runs."""
    framework(TorchConverter().environment_for(ModelSource(Path("model.pt2")), None))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The fixtures, each beside the module with its class."""
    folder = tmp_path / "models"
    shutil.copytree(FIXTURES, folder)
    for inner in ("lstm_multi_io", "digits_cnn_statedict"):
        shutil.copyfile(FIXTURES / "pt_defs.py", folder / inner / "pt_defs.py")
    return folder


def packaged(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    result = dray("package", *arguments, "--out", str(tmp_path / "package"), "-o", "json", "--progress", "plain")
    assert result.status == 0, result.err
    document: dict[str, Any] = result.document
    return {**document, "stderr": result.err}


def largest_difference(package: Path, folder: Path) -> float:
    """Between the package's model and what PyTorch answered when the fixture was made."""
    session = ort.InferenceSession(package / "model.onnx")
    with np.load(folder / "inputs.npz") as given, np.load(folder / "expected.npz") as expected:
        inputs = dict(zip([one.name for one in session.get_inputs()], given.values(), strict=True))
        wanted = {key: expected[key] for key in expected.files}
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, inputs), strict=True))
    if len(wanted) == 1:
        return float(np.abs(next(iter(found.values())) - next(iter(wanted.values()))).max())
    return max(float(np.abs(found[name] - value).max()) for name, value in wanted.items())


@pytest.mark.slow
def test_weights_with_their_class_answer_as_pytorch_did(tmp_path: Path, models: Path, environment: None) -> None:
    folder = models / "lstm_multi_io"
    options = ["--class", "pt_defs:MultiIO", "--samples", str(folder / "inputs.npz"), "--dynamic", "tokens:1"]

    document = packaged(tmp_path, str(folder / "model.pth"), *options)

    assert largest_difference(Path(document["package"]), folder) < 1e-5
    manifest = json.loads((tmp_path / "package" / "manifest.json").read_text())
    shapes = {one["name"]: one["shape"] for one in manifest["signature"]["inputs"]}
    assert shapes == {"tokens": ["batch", "tokens_1"], "num": ["batch", 4]}
    assert manifest["source"]["framework"] == "torch"
    assert "using the environment torch" in document["stderr"]


@pytest.mark.slow
def test_constructor_arguments_come_from_a_json_file(tmp_path: Path, models: Path, environment: None) -> None:
    folder = models / "digits_cnn_statedict"
    (folder / "args.json").write_text('{"ch": 16, "n": 10}')
    options = ["--class", "pt_defs:DigitsCNN", "--class-args", str(folder / "args.json")]

    document = packaged(tmp_path, str(folder / "model.pth"), *options, "--samples", str(folder / "inputs.npz"))

    assert largest_difference(Path(document["package"]), folder) < 1e-5


@pytest.mark.slow
def test_a_program_is_packaged_where_there_is_no_pytorch(tmp_path: Path, models: Path, environment: None) -> None:
    document = packaged(tmp_path, str(models / "program.pt2"))

    assert document["parity"]["conversion"]["outputs"]["output"]["max_abs_error"] < 1e-5
    assert document["batch_safety"]["batchable"]


@pytest.mark.slow
def test_a_pickled_module_is_loaded_when_its_class_is_named(tmp_path: Path, models: Path, environment: None) -> None:
    folder = models / "lstm_multi_io"
    options = ["--class", "pt_defs:MultiIO", "--samples", str(folder / "inputs.npz")]

    document = packaged(tmp_path, str(folder / "model_pickled.pt"), *options)

    assert largest_difference(Path(document["package"]), folder) < 1e-5


@pytest.mark.slow
def test_a_model_is_built_by_a_function_of_the_user(tmp_path: Path, environment: None) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "parts.py").write_text("WIDTH = 3\n")
    (code / "build.py").write_text(
        "import torch\nfrom parts import WIDTH\n\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = torch.nn.Linear(4, WIDTH)\n"
        "    def forward(self, x, scale):\n        return {'scaled': self.layer(x) * scale}\n\n"
        "def load():\n    return Net(), {'x': torch.randn(3, 4), 'scale': torch.rand(3, 1)}\n"
    )

    document = packaged(tmp_path, f"{code / 'build.py'}:load")

    manifest = json.loads((tmp_path / "package" / "manifest.json").read_text())
    assert [one["name"] for one in manifest["signature"]["inputs"]] == ["x", "scale"]
    assert list(document["parity"]["conversion"]["outputs"]) == ["scaled"]


@pytest.mark.slow
def test_a_branch_on_values_is_refused_with_its_line(tmp_path: Path, models: Path, environment: None) -> None:
    result = dray("package", str(models / "branch.pt"), "--class", "pt_defs:DataDep", "--input", "x=FP32:N,4")

    assert result.status == 3
    assert "if x.sum() > 0" in result.err
    assert "torch.jit.script" in result.err


@pytest.mark.parametrize("form", ["checkpoint", "program", "bin"])
def test_a_malicious_file_runs_nowhere(tmp_path: Path, form: str) -> None:
    harm = touching(tmp_path / "touched", protocol=2)
    if form == "program":
        path = rewritten(
            FIXTURES / "program.pt2", tmp_path / "model.pt2", {"data/sample_inputs/model.pt": inner_archive(harm)}
        )
    else:
        path = with_pickle(tmp_path / f"model.{'pt' if form == 'checkpoint' else form}", harm)

    for command in ("package", "inspect", "plan", "serve"):
        result = dray(command, str(path), *(("-t", "local") if command == "plan" else ()))
        assert result.status != 0
        assert not (tmp_path / "touched").exists()
    refused = dray("package", str(path), "-o", "json", "--env", "auto")
    assert refused.document["error"]["code"] == "E-UNSAFE"
    assert "system" in refused.document["error"]["message"]


def test_the_environment_is_offered_before_it_is_made(tmp_path: Path) -> None:
    result = dray("package", str(FIXTURES / "program.pt2"), "-o", "json")

    error = result.document["error"]
    assert (result.status, error["code"]) == (2, "E-NOT-INSTALLED")
    assert "torch" in error["message"]
    assert "--env auto" in error["hint"]
