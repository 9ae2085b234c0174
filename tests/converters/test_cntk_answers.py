"""Every converted primitive, attribute and layer, held to what CNTK 2.7 itself answered."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from packager.converters.cntk.conversion import Converted, convert_model
from packager.converters.cntk.registry import PRIMITIVES
from packager.core.errors import ConverterMissing
from tests.support.cntk_files import FIXTURES, Recorded, case_names, recorded, write_case

# What CNTK answers and dray refuses, by name, with a word of the reason.
REFUSED = {
    "convolution/unpooling": "leave items out",
    "elementwise/assign": "changes a parameter",
    "elementwise/eye_like": "without a batch axis",
    "elementwise/random": "random",
    "losses/classification_error_top": "metric",
    "losses/edit_distance": "metric",
    "losses/lambda_rank": "loss",
    "losses/ndcg": "metric",
    "losses/cross_entropy_primitive": "loss",
    "losses/squared_error_primitive": "loss",
    "products/cos_distance_negative": "rows beside it",
    "reduction/over_all": "rows of the batch",
    "reduction/over_batch": "defaultBatchAxis",
    "sequence/gather_data": "depends on the data",
    "sequence/scatter": "depend on data",
    "sequence/where": "places in sequences",
    "shapes/free_static": "free size",
    "shapes/roi_max": "rounds regions",
    "shapes/unpack_batch": "rows of a batch",
}
TWO_SEQUENCES = {"recurrence/attention", "models/s2s", "models/s2s_attention_raw", "models/s2s_seqinit"}
CONVERTED = [name for name in case_names() if name not in REFUSED]
_TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def session(converted: Converted) -> ort.InferenceSession:
    onnx.checker.check_model(converted.onnx)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(converted.onnx.SerializeToString(), options)


def sequences(converted: Converted) -> dict[str, bool]:
    return {given.variable.uid: len(given.variable.dynamic) > 1 for given in converted.inputs}


def test_there_are_hundreds_of_cases() -> None:
    assert len(CONVERTED) > 400


@pytest.mark.parametrize("name", CONVERTED)
def test_answers_are_those_of_cntk(name: str, tmp_path: Path) -> None:
    case = recorded(name)
    converted = convert_model(write_case(name, tmp_path), opset=18)
    answers = _row_by_row(case, converted) if case.lengths is not None else _whole(case, converted)
    wanted = case.outputs[: len(converted.outputs)]
    for given, expected in zip(answers, wanted, strict=True):
        assert given.shape == expected.shape
        np.testing.assert_allclose(given, expected, **_TOLERANCE)


@pytest.mark.parametrize("name", [name for name in CONVERTED if recorded(name).lengths is not None])
def test_answers_of_padded_batches_are_those_of_cntk(name: str, tmp_path: Path) -> None:
    case = recorded(name)
    path = write_case(name, tmp_path)
    if name in TWO_SEQUENCES:
        with pytest.raises(ConverterMissing, match="2 sequence axes"):
            convert_model(path, opset=18, lengths=True)
        return
    converted = convert_model(path, opset=18, lengths=True)
    named = sequences(converted)
    feeds: dict[str, Any] = {"lengths": case.lengths}
    for given in converted.inputs:
        uid = given.variable.uid
        feeds[given.name] = _with_garbage(case, uid) if named[uid] else case.inputs[uid]
    for answer, expected in zip(session(converted).run(None, feeds), case.outputs, strict=True):
        if answer.shape == expected.shape:
            np.testing.assert_allclose(answer, expected, **_TOLERANCE)
        else:  # a sequence that became shorter keeps its padding
            assert not answer[:, expected.shape[1] :].any()
            np.testing.assert_allclose(answer[:, : expected.shape[1]], expected, **_TOLERANCE)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_right_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConverterMissing, match=REFUSED[name]) as caught:
        convert_model(write_case(name, tmp_path), opset=18)
    assert caught.value.hint


def test_every_primitive_that_is_called_supported_has_an_answer_to_hold_it_to(tmp_path: Path) -> None:
    from packager.converters.cntk.model import read_model

    seen: set[int] = {44, 57}
    for name in CONVERTED:
        seen |= {node.op for node in read_model(write_case(name, tmp_path)).nodes.values()}
    assert {number for number, known in PRIMITIVES.items() if not known.refused} <= seen


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm_backwards", "lstm_fold", "stacked_lstm"])
def test_cntks_own_layers_become_recurrent_operators(name: str, tmp_path: Path) -> None:
    converted = convert_model(write_case(f"recurrence/{name}", tmp_path), opset=18)
    operators = {node.op_type for node in converted.onnx.graph.node}
    assert operators & {"LSTM", "GRU", "RNN"}
    assert "Scan" not in operators


@pytest.mark.parametrize("folder", sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()))
def test_trained_models_answer_as_they_did(folder: str) -> None:
    path = FIXTURES / folder
    varies = folder == "lstm_varlen"
    converted = convert_model(path / "model.model", opset=18, lengths=varies)
    given, expected = dict(np.load(path / "inputs.npz")), np.load(path / "expected.npz")["y"]
    run = session(converted)
    name = converted.inputs[0].name
    if varies:
        rows = [given[f"x{index}"] for index in range(len(expected))]
        lengths = np.array([len(row) for row in rows])
        padded = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), np.float32)
        for row, values in zip(padded, rows, strict=True):
            row[: len(values)] = values
        feeds = [({name: padded, "lengths": lengths}, expected)]
        feeds += [({name: row[None], "lengths": np.array([len(row)])}, expected[[i]]) for i, row in enumerate(rows)]
    else:
        feeds = [({name: given["x"]}, expected)]
        feeds += [({name: given["x"][[row]]}, expected[[row]]) for row in range(len(expected))]
    for feed, wanted in feeds:
        np.testing.assert_allclose(run.run(None, feed)[0], wanted, **_TOLERANCE)


def test_without_lengths_each_sequence_is_answered_alone() -> None:
    path = FIXTURES / "lstm_varlen"
    given, expected = dict(np.load(path / "inputs.npz")), np.load(path / "expected.npz")["y"]
    converted = convert_model(path / "model.model", opset=18)
    run = session(converted)
    answers = [run.run(None, {converted.inputs[0].name: given[f"x{row}"][None]})[0] for row in range(len(expected))]
    np.testing.assert_allclose(np.concatenate(answers), expected, **_TOLERANCE)


def _whole(case: Recorded, converted: Converted) -> list[NDArray[Any]]:
    feeds = {given.name: case.inputs[given.variable.uid] for given in converted.inputs}
    answers: list[NDArray[Any]] = session(converted).run(None, feeds)
    return answers


def _row_by_row(case: Recorded, converted: Converted) -> list[NDArray[Any]]:
    """Each row alone, put side by side as CNTK's answers were recorded."""
    run, named = session(converted), sequences(converted)
    assert case.lengths is not None
    parts = []
    for row in range(len(case.lengths)):
        feeds = {
            given.name: case.row(row, given.variable.uid, sequence=named[given.variable.uid])
            for given in converted.inputs
        }
        parts.append(run.run(None, feeds))
    answers = [np.zeros_like(expected) for expected in case.outputs]
    for row, part in enumerate(parts):
        for answer, values in zip(answers, part, strict=True):
            answer[(row, *(slice(size) for size in values[0].shape))] = values[0]
    return answers


def _with_garbage(case: Recorded, uid: str) -> NDArray[Any]:
    """The input with numbers in its padding, which nothing may see."""
    values = case.inputs[uid].copy()
    assert case.lengths is not None
    for row, length in enumerate(case.lengths):
        values[row, length:] = 3.3
    return values
