from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from packager import plugins
from packager.convert.judgement import Checks
from packager.convert.verification import verify
from packager.converters.cntk import CntkConverter
from packager.converters.cntk.conversion import convert_model
from packager.converters.onnx_files import ORT_ERRORS
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import ConversionError, ConverterMissing, ModelInvalid, SampleError
from packager.core.progress import SilentProgress
from tests.support.cntk_files import FIXTURES, Size, case_names, composite, function, recorded, variable, write_case

LSTM = FIXTURES / "lstm_varlen" / "model.model"


def convert(source: Path, folder: Path, samples: Path | None = None, **options: Any) -> RawConversion:
    work = folder / "work"
    work.mkdir()
    request = ConversionRequest(source=source, workdir=work, samples=samples, options=options)
    return CntkConverter().convert(request, SilentProgress())


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_models_are_recognised_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "anything"
    for name in case_names():
        path.write_bytes(recorded(name).model)
        assert CntkConverter().recognises(ModelSource(path)), name


@pytest.mark.parametrize(
    "content", [b"", b"\x08\x02", b"tree\nversion=v4", b"\x80\x05\x95", b"\x08\x08\x12\x04dray", b"{}"]
)
def test_other_files_are_not(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.model"
    path.write_bytes(content)
    assert not CntkConverter().recognises(ModelSource(path))


def test_no_other_converter_takes_a_cntk_model() -> None:
    source = ModelSource(FIXTURES / "cnn" / "model.model")
    assert [name for name, converter in plugins.converters().items() if converter.recognises(source)] == ["cntk"]


def test_a_v1_model_is_recognised_and_refused_with_what_to_do(tmp_path: Path) -> None:
    path = FIXTURES / "v1.dnn"
    assert CntkConverter().recognises(ModelSource(path))
    with pytest.raises(ConverterMissing, match="V1") as caught:
        convert(path, tmp_path)
    assert "save" in caught.value.hint


def test_a_trainers_state_is_recognised_and_refused(tmp_path: Path) -> None:
    path = FIXTURES / "checkpoint.ckp"
    assert CntkConverter().recognises(ModelSource(path))
    with pytest.raises(ModelInvalid, match="checkpoint of a trainer"):
        convert(path, tmp_path)


def test_an_older_opset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="opset 18"):
        convert_model(LSTM, opset=17)


def test_there_is_no_reference_without_expected_answers(tmp_path: Path) -> None:
    raw = convert(LSTM, tmp_path)
    assert (raw.reference, raw.reference_original, raw.reference_cast) == ("none", None, None)
    assert raw.synthetic
    assert raw.coverage.weak
    assert np.load(raw.samples)["rows"].shape == (64, 8, 8)


def test_expected_answers_are_the_reference(tmp_path: Path) -> None:
    folder = FIXTURES / "lstm_varlen"
    raw = convert(LSTM, tmp_path, folder / "inputs.npz", lengths=True)
    expected = npz(tmp_path / "expected.npz", prob=np.load(folder / "expected.npz")["y"])
    verified = verify(raw, Checks(atol=1e-5, rtol=0, seed=1, expected=expected))
    assert verified.reference == "expected-file"
    assert verified.batch_safety.batchable
    assert verified.parity is not None
    assert verified.parity.user_visible.outputs["prob"].rows == 32


def test_a_model_without_lengths_has_one_input_with_free_axes(tmp_path: Path) -> None:
    session = ort.InferenceSession(convert(LSTM, tmp_path).onnx)
    assert [(entry.name, entry.shape) for entry in session.get_inputs()] == [("rows", ["batch", "sequence", 8])]
    assert [(entry.name, entry.shape) for entry in session.get_outputs()] == [("prob", ["batch", 10])]


def test_lengths_are_a_second_input(tmp_path: Path) -> None:
    raw = convert(LSTM, tmp_path, lengths=True)
    session = ort.InferenceSession(raw.onnx)
    lengths = session.get_inputs()[1]
    assert (lengths.name, lengths.shape, lengths.type) == ("lengths", ["batch"], "tensor(int64)")
    drawn = np.load(raw.samples)["lengths"]
    assert (drawn.min(), drawn.max()) == (1, 8)


def test_lengths_are_for_sequences(tmp_path: Path) -> None:
    with pytest.raises(ConverterMissing, match="takes no sequence"):
        convert(FIXTURES / "cnn" / "model.model", tmp_path, lengths=True)


def test_sequences_of_several_lengths_need_lengths(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="5 to 8 steps") as caught:
        convert(LSTM, tmp_path, FIXTURES / "lstm_varlen" / "inputs.npz")
    assert "--lengths" in caught.value.hint


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"rows": np.zeros((4, 3, 8)), "lengths": np.array([1, 2, 3, 4])}, "steps"),
        ({"rows": np.zeros((4, 3, 8)), "lengths": np.array([0, 1, 2, 3])}, "steps"),
        ({"rows": np.zeros((4, 3, 8)), "lengths": np.array([0.5, 1, 2, 3])}, "whole"),
        ({"rows": np.zeros((4, 3, 8)), "lengths": np.array([1, 2])}, "same number"),
        ({"rows": np.zeros((4, 3, 7))}, "expected"),
        ({"a": np.zeros((4, 3, 8)), "b": np.zeros((4, 3, 8))}, "lack"),
    ],
)
def test_samples_that_do_not_fit_are_refused(arrays: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=reason):
        convert(LSTM, tmp_path, npz(tmp_path / "samples.npz", **arrays), lengths=True)


def test_an_index_is_drawn_as_a_whole_number(tmp_path: Path) -> None:
    raw = convert(write_case("recurrence/index_input", tmp_path), tmp_path)
    values = np.load(raw.samples)["x"]
    assert set(np.unique(values)) == set(range(6))


def test_a_sparse_input_is_drawn_as_one_hot_rows(tmp_path: Path) -> None:
    raw = convert(write_case("layers/embedding_sparse", tmp_path), tmp_path)
    values = np.load(raw.samples)["x"]
    assert values.shape == (64, 5)
    assert np.array_equal(np.sort(values, axis=1), np.tile([0, 0, 0, 0, 1], (64, 1)))


def test_losses_beside_a_model_are_left_out_with_their_labels(tmp_path: Path) -> None:
    converted = convert_model(write_case("losses/model_with_loss", tmp_path), opset=18)
    assert [given.name for given in converted.inputs] == ["features"]
    assert converted.outputs == ("z",)
    assert "loss, error" in converted.notes[0]


def test_losses_under_another_name_or_reduced_are_left_out_as_well(tmp_path: Path) -> None:
    converted = convert_model(write_case("losses/model_with_wrapped_loss", tmp_path), opset=18)
    assert [given.name for given in converted.inputs] == ["features"]
    assert converted.outputs == ("z", "top")
    assert "loss, error" in converted.notes[0]


def test_a_loss_alone_keeps_its_label_as_an_input(tmp_path: Path) -> None:
    converted = convert_model(write_case("losses/loss_of_model", tmp_path), opset=18)
    assert sorted(given.name for given in converted.inputs) == ["features", "label"]
    assert "losses of training" in converted.notes[0]


def test_names_are_kept_made_valid_and_unique(tmp_path: Path) -> None:
    def names(case: str) -> tuple[list[str], list[str]]:
        converted = convert_model(write_case(case, tmp_path), opset=18)
        return [given.name for given in converted.inputs], list(converted.outputs)

    assert names("shapes/combine") == (["x", "y"], ["first", "second"])
    assert names("shapes/combine_same_name") == (["x", "y"], ["a", "a_2"])
    assert names("shapes/combine_unnamed") == (["x", "y"], ["output", "output_2"])
    assert names("shapes/odd_names") == (["in_put_1", "in_put_1_2"], ["out_put"])
    assert names("shapes/unnamed_inputs") == (["input", "input_2"], ["output"])
    assert names("layers/dense_relu") == (["x"], ["hidden"])


def test_names_cannot_meet_those_of_the_graph_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.model"
    inputs = [variable("Input1", name="relu_1"), variable("Input2", name="identity/2")]
    functions = [
        function("ReLU3", 3, ["Input1"]),
        {**function("Plus4", 19, ["ReLU3_Output_0", "Input2"]), "name": "add/2"},
    ]
    path.write_bytes(composite(inputs, functions, "Plus4"))
    converted = convert_model(path, opset=18)
    ones = np.ones((2, 3), np.float32)
    answer = ort.InferenceSession(converted.onnx.SerializeToString()).run(None, {"relu_1": ones, "identity_2": ones})
    assert np.array_equal(answer[0], 2 * ones)


def test_a_sequence_without_the_item_that_is_asked_for_has_no_answer(tmp_path: Path) -> None:
    converted = convert_model(write_case("sequence/slice_last_but_one", tmp_path), opset=18, lengths=True)
    session = ort.InferenceSession(converted.onnx.SerializeToString())
    rows = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    answer = session.run(None, {"x": rows, "lengths": np.array([4, 2])})[0]
    assert np.array_equal(answer, rows[[0, 1], [2, 0]])
    with pytest.raises(ORT_ERRORS):
        session.run(None, {"x": rows, "lengths": np.array([4, 1])})


def test_a_block_may_hold_its_functions_itself(tmp_path: Path) -> None:
    inner = {
        "version": Size(1), "type": "CompositeFunction", "uid": "C9", "root": "Tanh3",
        "inputs": [variable("P2", kind=4)], "primitive_functions": [function("Tanh3", 2, ["P2"])],
    }  # fmt: skip
    block = {
        **function("Block4", 57, ["Input1"]), "block_function_composite": inner, "block_function_op_name": "Mine",
        "block_function_composite_arguments_map_keys": ["P2"],
        "block_function_composite_arguments_map_values": ["Input1"],
    }  # fmt: skip
    path = tmp_path / "m.model"
    path.write_bytes(composite([variable("Input1")], [block, function("ReLU5", 3, ["Block4_Output_0"])], "ReLU5"))
    converted = convert_model(path, opset=18)
    assert [node.op_type for node in converted.onnx.graph.node] == ["Tanh", "Relu", "Identity"]


@pytest.mark.parametrize("name", ["recurrence/lstm_fold", "convolution/bn_spatial", "elementwise/input_no_batch"])
def test_the_same_file_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    path = write_case(name, tmp_path)
    first, second = (convert_model(path, opset=18).onnx.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
