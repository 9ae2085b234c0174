from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from packager.converters.onnx import OnnxConverter
from packager.core.conversion import ConversionRequest, InputHint, ModelSource, RawConversion
from packager.core.errors import ModelInvalid, SampleError
from packager.core.progress import SilentProgress
from tests.support.graphs import double, write_graph


def convert(source: Path, samples: Path | None = None, **options: object) -> RawConversion:
    work = source.parent / "work"
    work.mkdir(exist_ok=True)
    request = ConversionRequest(source=source, workdir=work, samples=samples, **options)  # type: ignore[arg-type]
    return OnnxConverter().convert(request, SilentProgress())


def arrays(path: Path | None) -> dict[str, np.ndarray]:
    assert path is not None
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def test_an_onnx_file_is_recognised_by_its_suffix(tmp_path: Path) -> None:
    assert OnnxConverter().recognises(ModelSource(double(tmp_path / "m.onnx")))
    assert not OnnxConverter().recognises(ModelSource(tmp_path / "m.pkl"))


def test_the_answers_are_the_models_own(tmp_path: Path) -> None:
    raw = convert(double(tmp_path / "m.onnx"))
    assert raw.reference == "self"
    assert np.array_equal(arrays(raw.reference_cast)["y"], 2 * arrays(raw.samples)["x"])
    assert raw.onnx == tmp_path / "m.onnx"


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32])
def test_samples_are_drawn_for_numbers(dtype: int, tmp_path: Path) -> None:
    raw = convert(double(tmp_path / "m.onnx", dtype=dtype))
    assert raw.synthetic
    assert raw.coverage.weak
    assert arrays(raw.samples)["x"].shape == (64, 2)


@pytest.mark.parametrize("dtype", [TensorProto.STRING, TensorProto.BOOL])
def test_samples_are_drawn_for_text_and_truth(dtype: int, tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    shape = ("n", 3)
    raw = convert(write_graph(tmp_path / "m.onnx", nodes, [("x", dtype, shape)], [("y", dtype, shape)]))
    assert np.array_equal(arrays(raw.reference_cast)["y"], arrays(raw.samples)["x"])


def test_a_fixed_first_axis_is_filled_in_whole_calls(tmp_path: Path) -> None:
    assert arrays(convert(double(tmp_path / "m.onnx", shape=(5, 2))).samples)["x"].shape == (60, 2)


def test_the_size_of_a_free_axis_can_be_given(tmp_path: Path) -> None:
    hint = InputHint("x", "FP32", ("N", 9))
    raw = convert(double(tmp_path / "m.onnx", shape=("n", "length")), inputs=(hint,))
    assert arrays(raw.samples)["x"].shape == (64, 9)


def test_the_users_samples_are_taken_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.ones((3, 2)), other=np.zeros(3))
    raw = convert(double(tmp_path / "m.onnx"), tmp_path / "s.npz")
    assert arrays(raw.samples)["x"].tolist() == [[1, 1]] * 3
    assert not raw.synthetic


def test_samples_without_an_input_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", a=np.ones((3, 2)), b=np.zeros(3))
    with pytest.raises(SampleError) as caught:
        convert(double(tmp_path / "m.onnx"), tmp_path / "s.npz")
    assert caught.value.message == "the samples 's.npz' lack the input 'x'"
    assert caught.value.hint == "it takes x; they hold a, b"


def test_samples_of_another_width_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones((3, 5)))
    with pytest.raises(SampleError, match=r"the model stops at the samples"):
        convert(double(tmp_path / "m.onnx"), tmp_path / "s.npy")


def test_values_that_whole_numbers_cannot_hold_pass_without_a_warning(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[1.0, np.nan]], np.float32))
    raw = convert(double(tmp_path / "m.onnx", dtype=TensorProto.INT64), tmp_path / "rows.npy")
    assert np.isnan(arrays(raw.samples)["x"]).any()


def test_text_for_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([["a", "b"]]))
    with pytest.raises(SampleError, match=r"the model takes FP32"):
        convert(double(tmp_path / "m.onnx"), tmp_path / "s.npy")


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model at all")
    with pytest.raises(ModelInvalid, match=r"'m.onnx'"):
        convert(tmp_path / "m.onnx")
