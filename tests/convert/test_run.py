from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from onnx import TensorProto, helper
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from packager import plugins
from packager.convert import convert
from packager.core.conversion import ConversionResult, InputHint, ModelSource
from packager.core.errors import (
    ConverterMissing,
    EnvironmentMissing,
    ModelInvalid,
    ModelMissing,
    ParityError,
    SampleError,
    UnsafeModel,
    UsageError,
)
from packager.pack import write_package
from runtime.contract.tensors import load_tensor
from tests.support.graphs import double, minus_mean, write_graph
from tests.support.models import breast_cancer_pipeline, saved

NARROW = (InputHint("X", "FP32", ("n", 2)),)


def converted(path: Path, folder: Path, **options: Any) -> ConversionResult:
    work = folder / "work"
    work.mkdir()
    framework = options.pop("framework", None)
    return convert(ModelSource(path, framework), workdir=work, **options)


@pytest.fixture(scope="module")
def cancer(tmp_path_factory: pytest.TempPathFactory) -> ConversionResult:
    folder = tmp_path_factory.mktemp("cancer")
    return converted(saved(breast_cancer_pipeline(), folder), folder)


def test_a_pipeline_is_converted_and_proven(cancer: ConversionResult) -> None:
    assert cancer.reference == "source"
    assert cancer.parity is not None
    assert cancer.parity.conversion.passed
    assert cancer.parity.user_visible.passed
    assert cancer.parity.batch_sizes == (1, 3, 64)
    assert cancer.batch_safety.batchable


def test_opsets_and_signature_are_read_back(cancer: ConversionResult) -> None:
    assert (cancer.onnx.opset, cancer.onnx.domains) == (18, {"ai.onnx.ml": 3})
    assert [(spec.name, spec.dtype, spec.shape) for spec in cancer.signature.inputs] == [("X", "FP64", ("batch", 30))]
    assert [(spec.name, spec.dtype, spec.shape) for spec in cancer.signature.outputs] == [
        ("label", "INT64", ("batch",)),
        ("probabilities", "FP64", ("batch", 2)),
    ]
    assert cancer.labels == {"probabilities": (0, 1)}


def test_everything_that_took_part_is_named_with_its_version(cancer: ConversionResult) -> None:
    assert {"scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy"} <= set(cancer.versions)


def test_the_result_makes_a_package(cancer: ConversionResult, tmp_path: Path) -> None:
    package = write_package(cancer, tmp_path / "cancer", name="cancer", version="1")
    assert len(package.test_data_sets()) == 3


def test_the_tests_hold_the_answers_of_the_source(cancer: ConversionResult) -> None:
    inputs = load_tensor(cancer.test_cases[-1].inputs[0])
    label = load_tensor(cancer.test_cases[-1].outputs[0])
    rows = np.frombuffer(inputs.values, "<f8").reshape(inputs.shape)
    assert label.to_list() == breast_cancer_pipeline().predict(rows).tolist()


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"there is no model at") as caught:
        converted(tmp_path / "none.joblib", tmp_path)
    assert (caught.value.code, caught.value.hint) == ("E-MODEL-MISSING", "check the path")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.joblib").touch()
    with pytest.raises(ModelInvalid, match=r"the model file 'm.joblib' is empty"):
        converted(tmp_path / "m.joblib", tmp_path)


def test_an_unknown_kind_of_file_lists_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "m.caffemodel").write_text("layers")
    with pytest.raises(ConverterMissing) as caught:
        converted(tmp_path / "m.caffemodel", tmp_path)
    assert caught.value.message == "no installed converter recognises the file 'm.caffemodel'"
    assert caught.value.hint == f"say which with --framework: {', '.join(plugins.converters())}"


def test_an_absent_distribution_comes_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(plugins.metadata, "distribution", absent)
    with pytest.raises(EnvironmentMissing) as caught:
        converted(saved([1], tmp_path), tmp_path)
    assert caught.value.code == "E-NOT-INSTALLED"
    assert "skl2onnx" in caught.value.message
    assert caught.value.hint == 'pip install "dray[sklearn]"'


def test_a_truncated_pickle_is_refused_without_loading_it_here(tmp_path: Path) -> None:
    path = saved(breast_cancer_pipeline(), tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelInvalid, match=r"is not a pickle that can be read, or is cut off"):
        converted(path, tmp_path)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("import os; open('exploded', 'w').write(str(os.getppid()))",))


def test_loading_happens_in_another_process(tmp_path: Path) -> None:
    joblib.dump(Bomb(), tmp_path / "m.joblib")
    with pytest.raises(ModelInvalid, match=r"NoneType"):
        converted(tmp_path / "m.joblib", tmp_path, trust=True)
    assert (tmp_path / "work" / "exploded").exists()


def test_a_file_that_would_call_something_is_not_loaded_unless_trusted(tmp_path: Path) -> None:
    joblib.dump(Bomb(), tmp_path / "m.joblib")
    with pytest.raises(UnsafeModel, match=r"exec") as caught:
        converted(tmp_path / "m.joblib", tmp_path)
    assert (caught.value.code, "--trust" in caught.value.hint) == ("E-UNSAFE", True)
    assert not (tmp_path / "work" / "exploded").exists()


def test_expected_answers_replace_the_reference(tmp_path: Path) -> None:
    rows = np.arange(8.0).reshape(4, 2)
    np.save(tmp_path / "x.npy", rows)
    np.savez(tmp_path / "y.npz", y=2 * rows)
    result = converted(double(tmp_path / "m.onnx"), tmp_path, samples=tmp_path / "x.npy", expected=tmp_path / "y.npz")
    assert result.reference == "expected-file"
    assert result.parity is not None
    assert result.parity.user_visible.outputs["y"].max_abs_error == 0


def test_wrong_expected_answers_are_refused(tmp_path: Path) -> None:
    rows = np.arange(8.0).reshape(4, 2)
    np.save(tmp_path / "x.npy", rows)
    np.savez(tmp_path / "y.npz", y=2 * rows + np.eye(4, 2))
    with pytest.raises(ParityError, match=r"ONNX answers 'y' in row 0 with 0.0, the source with 1.0"):
        converted(double(tmp_path / "m.onnx"), tmp_path, samples=tmp_path / "x.npy", expected=tmp_path / "y.npz")


def test_expected_answers_need_their_rows(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--expected holds answers to rows that are not there"):
        converted(double(tmp_path / "m.onnx"), tmp_path, expected=tmp_path / "y.npz")


def test_expected_answers_for_other_outputs_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 2)))
    np.savez(tmp_path / "y.npz", other=np.zeros(1))
    with pytest.raises(SampleError, match=r"lack the output 'y'") as caught:
        converted(double(tmp_path / "m.onnx"), tmp_path, samples=tmp_path / "x.npy", expected=tmp_path / "y.npz")
    assert caught.value.hint == "the model's outputs are y; the file holds other"


def test_an_onnx_file_is_its_own_reference(tmp_path: Path) -> None:
    result = converted(double(tmp_path / "m.onnx"), tmp_path)
    assert (result.reference, result.source.framework) == ("self", "onnx")
    assert result.parity is not None
    assert result.parity.coverage.weak
    assert result.parity.conversion.passed
    assert result.parity.user_visible == result.parity.conversion
    assert result.batch_safety.batchable
    assert len(result.test_cases) == 3


def test_a_model_that_sees_the_batch_is_packaged_for_one_row_at_a_time(tmp_path: Path) -> None:
    result = converted(minus_mean(tmp_path / "m.onnx"), tmp_path)
    assert not result.batch_safety.batchable
    assert [load_tensor(case.inputs[0]).shape[0] for case in result.test_cases] == [1]


def test_a_model_of_fixed_batch_is_packaged(tmp_path: Path) -> None:
    result = converted(double(tmp_path / "m.onnx", shape=(4, 2)), tmp_path)
    assert result.signature.batch_dim is None
    assert load_tensor(result.test_cases[0].outputs[0]).shape == (4, 2)


@pytest.fixture
def timestamps(tmp_path: Path) -> tuple[Path, Path]:
    """A scaled tree on unix timestamps one second apart, which float32 cannot tell apart, and the timestamps."""
    seconds = 1_700_000_000 + np.arange(200.0).reshape(-1, 1)
    model = make_pipeline(StandardScaler(), DecisionTreeRegressor()).fit(seconds, np.arange(200.0))
    np.save(tmp_path / "x.npy", seconds)
    return saved(model, tmp_path), tmp_path / "x.npy"


def test_precision_that_the_input_type_cannot_hold_is_refused(tmp_path: Path, timestamps: tuple[Path, Path]) -> None:
    with pytest.raises(ParityError, match=r"for the original values") as caught:
        converted(timestamps[0], tmp_path, samples=timestamps[1], inputs=NARROW)
    assert caught.value.detail["comparison"] == "user_visible"
    assert "--accept-precision-loss" in caught.value.hint


def test_a_loss_of_precision_that_was_accepted_is_recorded(tmp_path: Path, timestamps: tuple[Path, Path]) -> None:
    result = converted(timestamps[0], tmp_path, samples=timestamps[1], inputs=NARROW, accept_precision_loss=True)
    assert result.parity is not None
    assert result.parity.accepted_precision_loss
    assert result.parity.conversion.passed
    assert not result.parity.user_visible.passed
    assert "--accept-precision-loss" in result.notes[-1]


def test_a_vector_of_texts_is_an_input_like_others(tmp_path: Path) -> None:
    shape = ("x", TensorProto.STRING, ["batch"])
    path = write_graph(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [shape], [("y", *shape[1:])])
    result = converted(path, tmp_path)
    assert len(result.test_cases) == 3


def test_inputs_of_different_lengths_are_one_call(tmp_path: Path) -> None:
    inputs = [("x", TensorProto.FLOAT, ["a", 5]), ("c", TensorProto.FLOAT, [5])]
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    result = converted(write_graph(tmp_path / "m.onnx", nodes, inputs, [("y", *inputs[0][1:])]), tmp_path)
    assert [load_tensor(tensor).shape for tensor in result.test_cases[0].inputs] == [(4, 5), (5,)]
