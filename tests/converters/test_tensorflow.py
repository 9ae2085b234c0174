"""TensorFlow and Keras files through the whole conversion, in the environment that dray makes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from packager.convert import convert
from packager.convert.environment import EnvironmentChoice
from packager.converters.tensorflow import TensorflowConverter
from packager.core.conversion import ConversionResult, ModelSource
from packager.core.errors import EnvironmentMissing, ModelInvalid, UsageError
from tests.support.frameworks import framework, share_environments

FIXTURES = Path(__file__).parent.parent / "fixtures" / "tensorflow"
LAMBDA = FIXTURES / "custom_layer_lambda_keras3"


def converted(path: Path, folder: Path, **options: Any) -> ConversionResult:
    source = ModelSource(path)
    framework(TensorflowConverter().environment_for(source, options.get("samples")))
    (work := folder / "work").mkdir()
    return convert(source, workdir=work, environment=EnvironmentChoice("auto"), **options)


def served(result: ConversionResult, folder: Path) -> dict[str, Any]:
    session = ort.InferenceSession(result.onnx_path)
    with np.load(folder / "inputs.npz") as archive:
        feeds = {name: archive[name] for name in archive.files}
    plain = {name: value.astype(object) if value.dtype.kind == "U" else value for name, value in feeds.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, plain), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        ("stringlookup_keras3/model.keras", {"out": "dense_3"}),
        ("keras2_rnn_h5/model.h5", {"a": "a", "b": "b"}),
    ],
)
def test_fixtures_answer_as_their_framework_did(model: str, outputs: dict[str, str], tmp_path: Path) -> None:
    path = FIXTURES / model
    result = converted(path, tmp_path)

    answers = served(result, path.parent)
    with np.load(path.parent / "expected.npz") as expected:
        for ours, theirs in outputs.items():
            np.testing.assert_allclose(answers[theirs], expected[ours], atol=1e-5, rtol=0)
    assert result.signature.batch_dim == "batch"
    assert result.batch_safety.batchable
    assert result.onnx.opset == 18


@pytest.mark.slow
def test_a_trusted_lambda_and_a_class_of_the_users_convert_on_record(tmp_path: Path) -> None:
    options = {"plugin": str(LAMBDA / "plugin.py"), "plugin_folder": str(LAMBDA)}
    result = converted(LAMBDA / "model.keras", tmp_path, trust=True, options=options)

    (answer,) = served(result, LAMBDA).values()
    with np.load(LAMBDA / "expected.npz") as expected:
        np.testing.assert_allclose(answer, expected["out"], atol=1e-5, rtol=0)
    assert "the Lambda layer 'lambda'" in result.trusted
    assert any("closed-off process" in note for note in result.notes)


def test_the_environment_is_offered_before_tensorflow_is_needed(tmp_path: Path) -> None:
    (work := tmp_path / "work").mkdir()

    with pytest.raises(EnvironmentMissing) as caught:
        convert(ModelSource(FIXTURES / "stringlookup_keras3" / "model.keras"), workdir=work)

    assert "tensorflow" in caught.value.message


def test_opsets_that_tf2onnx_does_not_write_are_refused(tmp_path: Path) -> None:
    share_environments()
    from packager.converters.tensorflow.conversion import convert as write
    from packager.core.conversion import ConversionRequest
    from packager.core.progress import SilentProgress

    with pytest.raises(UsageError, match="tf2onnx writes the opsets 15 to 18"):
        write(ConversionRequest(source=LAMBDA / "model.keras", workdir=tmp_path, opset=20), SilentProgress())


@pytest.mark.parametrize(
    ("name", "content", "recognised"),
    [
        ("m.keras", b"PK\x03\x04 cut off", True),
        ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(8), True),
        ("weights.bin", b"\x89HDF\r\n\x1a\n", True),
        ("build.py", b"import keras\ndef load(): ...", True),
        ("build.py", b"from tensorflow.keras import layers", True),
        ("build.py", b"import torch, keras", False),
        ("build.py", b"import numpy", False),
        ("broken.py", b"import keras (", False),
        ("other.zip", b"PK\x03\x04 other", False),
        ("model.pkl", b"\x80\x04.", False),
    ],
)
def test_files_are_told_by_their_content(name: str, content: bytes, recognised: bool, tmp_path: Path) -> None:
    (path := tmp_path / name).write_bytes(content)

    assert TensorflowConverter().recognises(ModelSource(path)) is recognised


def test_a_bare_graph_is_refused_with_how_to_make_a_saved_model(tmp_path: Path) -> None:
    path = tmp_path / "frozen.pb"
    path.write_bytes(b"\n\x1a\n\x01x\x12\x0bPlaceholder" + bytes(8))
    (work := tmp_path / "work").mkdir()

    with pytest.raises(ModelInvalid, match="bare graph") as caught:
        convert(ModelSource(path), workdir=work)

    assert "simple_save" in caught.value.hint
