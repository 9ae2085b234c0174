"""Many kinds of PyTorch models, converted in one process of an environment that dray makes."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from packager.converters.pytorch import TorchConverter
from packager.core.conversion import ModelSource
from tests.support.frameworks import framework

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 600
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * TIMEOUT_S)]
Outcomes = Mapping[str, Mapping[str, Any]]

CONVERTED = (
    "sequential of every layer", "resnet", "unet", "LSTM bidirectional", "GRU bidirectional", "RNN bidirectional",
    "LSTM of any length", "GRU of any length", "transformer with a mask", "attention", "embedding bag",
    "tokens as INT32", "interpolate nearest", "interpolate bilinear", "interpolate bicubic", "algebra", "returns tuple",
    "returns single",
    "returns named", "returns dataclass", "returns nested", "returns collision", "doubles",
    "float64 samples of a float32 model", "whole numbers for floats", "first layer", "positional", "optional argument",
    "opset 20", "script", "script with a dict", "script with a branch", "traced", "program", "program without samples",
    "weights", "weights of DataParallel", "weights of torch.compile", "weights of Lightning",
    "weights in the old format", "weights in safetensors", "torch.cond", "unet of any even size",
    "two axes of one size", "weights beside other things",
    "words of any number", "script with defaults", "weights by one name",
)  # fmt: skip
REFUSED = {
    "returns number": ("E-CONVERSION", "output_1", "tensors only"),
    "bfloat16": ("E-CONVERSION", "bfloat16", "model.float()"),
    "nothing known": ("E-SAMPLES", "ResNet is called with", "--input image=FP32:N,3,224,224"),
    "wrong samples": ("E-SAMPLES", "cannot be multiplied (1x5 and 4x3)", "--samples"),
    "samples of another name": ("E-SAMPLES", "'memory'", "query, memory"),
    "frozen batch": ("E-CONVERSION", "5 rows at once", "x.shape[0]"),
    "frozen sequence": ("E-CONVERSION", "the size 20 only", "--input"),
    "branch": ("E-CONVERSION", "if x.sum() > 0", "torch.jit.script"),
    "noise": ("E-CONVERSION", "Dropout, RandomNormalLike", "self.training"),
    "rows that make no call": ("E-SAMPLES", "7 rows, and --input fixes 5", "a multiple"),
    "counter": ("E-CONVERSION", "changes its own state when it answers (calls)", "self.training"),
    "states first": ("E-CONVERSION", "'output_1'", "batch first"),
    "no ONNX form": ("E-NO-CONVERTER", "aten._linalg_eigh", "replace"),
    "complex answers": ("E-CONVERSION", "complex64", "view_as_real"),
    "sizes by values": ("E-CONVERSION", "does not count them", "batch first"),
    "squeezed": ("E-CONVERSION", "[] for a single sample", "x.squeeze(-1)"),
    "one step": ("E-CONVERSION", "answers x [5, 1, 4] otherwise", "frozen"),
    "nearest of few": ("E-CONVERSION", "'batch' is over 25", "--input"),
    "opset 17": ("E-CONVERSION", "opset 17", "18"),
    "quantised": ("E-CONVERSION", "quantised", "--quantize int8"),
    "traced with a frozen batch": ("E-CONVERSION", "frozen", "--input"),
    "program with a frozen batch": ("E-CONVERSION", "batch axis of 'x' frozen to 2", "dynamic_shapes"),
    "weights without a class": ("E-MODEL-INVALID", "layer.weight [3, 4], layer.bias [3]", "--class MODULE:NAME"),
    "weights of another class": ("E-MODEL-INVALID", "missing: e.weight, o.bias", "--class-args"),
    "class that is not there": ("E-USAGE", "no class 'Return'", "it has"),
    "wrong arguments": ("E-USAGE", "unexpected keyword argument 'depth'", "--class-args"),
    "other sizes": ("E-MODEL-INVALID", "size mismatch for stem.0.weight", "--class-args"),
}


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What came of every case; all workers of a run share one process."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "torch-batch"
    with FileLock(f"{folder}.lock"):
        if not (folder / "outcomes.json").exists():
            folder.mkdir(exist_ok=True)
            _run(folder)
    found: Outcomes = json.loads((folder / "outcomes.json").read_bytes())
    return found


def _run(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:  # a session has no state folder of its own
        patch.setenv("DRAY_HOME", str(folder))
        made = framework(TorchConverter().environment_for(ModelSource(folder / "model.pt"), None))
    python = "python" if made is None else str(made.python)
    argv = [python, "-P", "-m", "tests.support.torch_batch.run", str(folder)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", CONVERTED)
def test_it_answers_as_its_source_with_a_free_batch(outcomes: Outcomes, name: str) -> None:
    found = outcomes[name]

    assert found["code"] == "ok", found
    assert found["error"] <= 1e-5
    assert found["batchable"] or name in {"script with a branch", "torch.cond"}  # one branch for the whole batch
    assert all(shape[1] == "batch" for shape in (*found["inputs"].values(), *found["outputs"].values()))
    assert not found["provenance"], "paths of the machine would stand in the package"


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_reason_and_the_cure(outcomes: Outcomes, name: str) -> None:
    code, reason, cure = REFUSED[name]
    found = outcomes[name]

    assert (found["code"], reason in found["message"], cure in found["hint"]) == (code, True, True), found


def test_every_case_is_looked_at(outcomes: Outcomes) -> None:
    others = {"fixed batch", "program with a fixed batch", "halves"}
    assert set(outcomes) == {*CONVERTED, *REFUSED, *others}


def test_arguments_name_the_inputs_and_keys_the_outputs(outcomes: Outcomes) -> None:
    assert outcomes["program"]["inputs"] == {"tokens": ["INT64", "batch", 20], "num": ["FP32", "batch", 4]}
    assert outcomes["script with a dict"]["outputs"] == {"cls": ["FP32", "batch"], "reg": ["FP32", "batch"]}
    assert list(outcomes["returns tuple"]["outputs"]) == ["output_0", "output_1_0", "output_1_1"]
    assert list(outcomes["returns single"]["outputs"]) == ["output"]
    assert list(outcomes["returns named"]["outputs"]) == ["mean", "spread"]
    assert list(outcomes["returns dataclass"]["outputs"]) == ["logits"]
    assert list(outcomes["returns nested"]["outputs"]) == ["a", "b_c", "b_d_0"]


def test_an_output_may_be_named_like_anything_in_the_graph(outcomes: Outcomes) -> None:
    assert list(outcomes["returns collision"]["outputs"]) == ["x_output", "linear", "layer.weight", "val_0"]
    assert any("'x_output'" in note for note in outcomes["returns collision"]["notes"])


@pytest.mark.parametrize("name", ["LSTM of any length", "GRU of any length", "transformer with a mask"])
def test_a_sequence_axis_that_is_asked_to_be_free_is_free(outcomes: Outcomes, name: str) -> None:
    for axes in outcomes[name]["axes"].values():
        assert axes[0] == "batch"
        assert isinstance(axes[1], str)


def test_axes_of_one_number_and_size_are_one_axis(outcomes: Outcomes) -> None:
    axes = outcomes["two axes of one size"]["axes"]
    assert axes == {"ids": ["batch", "ids_1"], "mask": ["batch", "ids_1"]}


def test_an_axis_may_be_free_from_a_size_on(outcomes: Outcomes) -> None:
    assert outcomes["words of any number"]["axes"] == {"tokens": ["batch", "T"]}
    assert "the size of the axis 'T' must be 4 or more" in outcomes["words of any number"]["notes"]


def test_an_axis_may_be_free_in_multiples(outcomes: Outcomes) -> None:
    assert outcomes["unet of any even size"]["axes"] == {"x": ["batch", 3, "H", "W"]}
    assert any("'H' must be a multiple of 2" in note for note in outcomes["unet of any even size"]["notes"])


def test_recurrent_layers_stay_whole(outcomes: Outcomes) -> None:
    assert "LSTM" in outcomes["LSTM of any length"]["operators"]
    assert "GRU" in outcomes["GRU of any length"]["operators"]


def test_a_batch_that_the_user_fixes_is_fixed(outcomes: Outcomes) -> None:
    assert outcomes["fixed batch"]["inputs"] == {"x": ["FP32", 5, 4]}
    assert outcomes["program with a fixed batch"]["inputs"] == {"x": ["FP32", 2, 4]}


def test_types_are_those_of_the_model(outcomes: Outcomes) -> None:
    assert outcomes["doubles"]["inputs"]["x"][0] == "FP64"
    assert outcomes["halves"]["inputs"]["x"][0] == "FP16"
    assert outcomes["tokens as INT32"]["inputs"]["tokens"][0] == "INT32"
    assert outcomes["float64 samples of a float32 model"]["inputs"]["x"][0] == "FP32"
    assert outcomes["whole numbers for floats"]["inputs"]["x"][0] == "FP32"
    assert outcomes["transformer with a mask"]["inputs"]["mask"][0] == "BOOL"


def test_a_scripted_branch_is_an_if_and_a_traced_file_says_that_it_has_none(outcomes: Outcomes) -> None:
    assert "If" in outcomes["script with a branch"]["operators"]
    assert "If" in outcomes["torch.cond"]["operators"]
    assert any("torch.jit.trace" in note for note in outcomes["traced"]["notes"])


def test_what_was_done_to_the_names_of_weights_is_said(outcomes: Outcomes) -> None:
    assert any("'module.' of DataParallel" in note for note in outcomes["weights of DataParallel"]["notes"])
    assert any("'_orig_mod.' of torch.compile" in note for note in outcomes["weights of torch.compile"]["notes"])
    notes = " ".join(outcomes["weights of Lightning"]["notes"])
    assert "under 'state_dict'" in notes
    assert "1 others were left out" in notes


def test_drawn_samples_are_called_weak_and_given_ones_are_not(outcomes: Outcomes) -> None:
    assert outcomes["resnet"]["weak"]
    assert not outcomes["program"]["weak"]
    assert any("first layer" in note for note in outcomes["first layer"]["notes"])
