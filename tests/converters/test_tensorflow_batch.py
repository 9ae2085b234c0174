"""Many small models in one process of the TensorFlow environment, each against the model's own answers."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from packager.converters.tensorflow import TensorflowConverter
from packager.core.conversion import ModelSource
from tests.support.frameworks import framework

# The first test waits for the run of all models.
pytestmark = pytest.mark.timeout(900)
SUPPORT = Path(__file__).parent.parent / "support"
NAMES = re.findall(
    r'^    "(\w+)": lambda|^@named\("(\w+)"\)', (SUPPORT / "keras_models.py").read_text(encoding="utf-8"), re.MULTILINE
)
ANY = SUPPORT.parent / "fixtures" / "tensorflow" / "stringlookup_keras3" / "model.keras"
MODELS = [first or second for first, second in NAMES]
# What is refused, by the words that say why.
REFUSED = {
    "hashing": "StringToHashBucketFast in 'sequential/hashing', which hashes texts",
    "string_lookup_two_oov": "StringToHashBucketFast",
    "text_vectorization": "StringSplitV2",
    "feature_space_cross": "SparseCross",
    "stateful_lstm": "changes its own state",
    "time_distributed_free": "with the shape [3, 3, 2]",
    "mel": "RFFT",
}
# TensorFlow's own arithmetic is coarser there than ONNX can follow: parity refuses these where they are packaged.
COARSE = {"resizing_bicubic", "float16"}


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """Of every model, by name; all workers share one run."""
    root = tmp_path_factory.getbasetemp()
    shared = root if worker_id == "master" else root.parent
    found = shared / "outcomes.json"
    with FileLock(shared / "tensorflow-batch.lock", timeout=850):
        if not found.exists():
            _run(shared)
    read: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return read


def _run(out: Path) -> None:
    (out / "dray-home").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DRAY_HOME", str(out / "dray-home"))
        environment = framework(TensorflowConverter().environment_for(ModelSource(ANY), None))
    assert environment is not None
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [environment.python, SUPPORT / "keras_batch.py", out], env=env, check=True, capture_output=True, timeout=800
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in REFUSED and name not in COARSE])
def test_a_model_answers_in_onnx_as_in_keras(name: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[name]

    assert "refused" not in outcome, outcome
    assert outcome["difference"] <= 1e-5
    assert outcome["labels"] == 0
    assert all(shape[0] == "batch" for shape in (*outcome["inputs"].values(), *outcome["outputs"].values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_faithful_form_is_refused_by_name(name: str, outcomes: dict[str, Any]) -> None:
    assert outcomes[name]["refused"] == "E-NO-CONVERTER"
    assert REFUSED[name] in outcomes[name]["message"]
    assert outcomes[name]["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COARSE))
def test_coarser_arithmetic_is_beyond_what_parity_lets_through(name: str, outcomes: dict[str, Any]) -> None:
    assert 1e-4 < outcomes[name]["difference"] < 1e-2


@pytest.mark.slow
def test_free_axes_are_named_by_what_they_are(outcomes: dict[str, Any]) -> None:
    assert outcomes["lstm_sequences"]["outputs"] == {"dense": ["batch", "sequence", 2]}
    assert outcomes["free_image"]["inputs"] == {"x": ["batch", "height", "width", 3]}
    assert outcomes["encoder_decoder"]["inputs"]["target"] == ["batch", "target_d1", 3]
    assert outcomes["encoder_decoder"]["outputs"] == {"lstm_1": ["batch", "target_d1", 4]}


@pytest.mark.slow
def test_names_are_the_models_own_and_each_is_there_once(outcomes: dict[str, Any]) -> None:
    assert list(outcomes["multi_io"]["inputs"]) == ["right", "left"]
    assert list(outcomes["multi_io"]["outputs"]) == ["score", "features"]
    assert list(outcomes["same_output_twice"]["outputs"]) == ["shared", "shared_1", "x_1"]
    assert list(outcomes["input_as_output"]["outputs"]) == ["x_1", "y"]


CONVERTED = {
    "tflite_float": ({"image": ["batch", 8, 8, 1]}, ["output_0"]),
    "tflite_gelu": ({"x": ["batch", 6]}, ["output_0"]),
    "below_zero": ({"x": ["batch", 4]}, ["cut", "div", "mod", "rest"]),
    "float_remainders": ({"x": ["batch", 4]}, ["div", "log", "mod", "rest"]),
    "loop_over_rows": ({"x": ["batch", 4]}, ["y"]),
    "keras_export": ({"image": ["batch", 8, 8, 1]}, ["output_0"]),
    "signature_chosen": ({"x": ["batch", 4]}, ["best", "score"]),
    "methods_without_signatures": ({"x": ["batch", 4]}, ["total"]),
    "tensorflow_1": ({"x": ["batch", 4]}, ["y"]),
    "hdf5_suffix": ({"image": ["batch", 8, 8, 1]}, ["probs"]),
    "saved_lookup": ({"city": ["batch", 1], "num": ["batch", 4]}, ["output_0"]),
    "saved_lstm": ({"num": ["batch", 4], "tokens": ["batch", 20]}, ["cls", "reg"]),
    "code": ({"inputs": ["batch", 4]}, ["output_0"]),
    "code_function": ({"input_0": ["batch", 3], "input_1": ["batch", 3]}, ["sum"]),
    "code_module": ({"x": ["batch", 3]}, ["y"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERTED)
def test_other_kinds_answer_as_they_did(name: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[name]

    assert outcome.get("difference", 1.0) <= 1e-5, outcome
    assert (outcome["inputs"], list(outcome["outputs"])) == CONVERTED[name]


SAID = {
    "tflite_int8": ("E-NO-CONVERTER", "the TFLite file is quantised"),
    "tflite_fixed_axis": ("E-NO-CONVERTER", "the model itself fixes that axis at 8"),
    "tflite_other_size": ("E-USAGE", "the model's shape is [None, 8, 8, 1], asked is ['N', 9, 8, 1]"),
    "tflite_other_type": ("E-USAGE", "the model's type is FP32, asked is FP64"),
    "signature_not_chosen": ("E-USAGE", "none is the default: 'score' (x [None, 4]); 'total' (x [None, 4])"),
    "signature_of_keras": ("E-USAGE", "is a Keras file, which has no signatures"),
    "signature_unknown": ("E-USAGE", "has no signature 'classify'"),
    "random_answers": ("E-NO-CONVERTER", "answers the same row in two ways"),
    "truncated_variables": ("E-MODEL-INVALID", "cannot load 'exported'"),
    "fixed_axis": ("E-NO-CONVERTER", "the model itself fixes that axis at 8"),
    "unknown_class": ("E-NO-CONVERTER", "Own, which is no part of Keras and is not registered"),
    "lambda_in_hdf5": ("E-UNSAFE", "the Lambda layer"),
    "lambda_in_zip": ("E-UNSAFE", "the Lambda layer"),
    "samples_that_do_not_fit": ("E-SAMPLES", "[3, 5] for 'num', which takes ['any', 4]"),
    "code_junk": ("E-NO-CONVERTER", "makes a int"),
    "code_fails": ("E-CONVERSION", "build.py:fails fails: OSError: no such weights"),
    "code_absent": ("E-USAGE", "has no function 'absent'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_other_kinds_are_refused_with_what_to_do(name: str, outcomes: dict[str, Any]) -> None:
    code, words = SAID[name]

    assert outcomes[name]["refused"] == code, outcomes[name]
    assert words in outcomes[name]["message"]
    assert outcomes[name]["hint"]
