"""The proof of models that take texts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from packager.convert.graph import check_graph
from packager.convert.judgement import Checks
from packager.convert.verification import verify
from packager.core.errors import ConversionError, EnvironmentMissing, ParityError, SampleError
from runtime.contract.manifest import TensorSpec
from tests.support.graphs import write_graph
from tests.support.texts import STEP, TEXTS, mean_graph, text_conversion, word_tokenizer

CHECKS = Checks(atol=1e-5, rtol=1e-4, seed=1)


def with_tokenizer(graph: Path) -> Path:
    word_tokenizer().save(str(graph.parent / STEP.path))
    return graph


def test_a_model_is_proven_from_texts_alone_and_in_batches(tmp_path: Path) -> None:
    verified = verify(text_conversion(tmp_path), CHECKS)

    assert verified.graph.signature.inputs == (TensorSpec(name="text", dtype="BYTES", shape=("batch",)),)
    assert verified.graph.signature.batch_dim == "batch"
    assert verified.batch_safety.batchable
    assert verified.parity is not None
    assert verified.parity.samples == len(TEXTS)
    assert "tokenizers" in verified.versions


def test_a_graph_that_ignores_the_mask_is_found_out(tmp_path: Path) -> None:
    verified = verify(text_conversion(tmp_path, masked=False), CHECKS)

    assert not verified.batch_safety.batchable
    assert "alone it is" in verified.batch_safety.reason
    assert verified.parity is not None
    assert verified.parity.batch_sizes == (1,)


def test_a_tokenizer_that_cuts_otherwise_than_the_source_is_refused(tmp_path: Path) -> None:
    raw = text_conversion(tmp_path)
    with pytest.raises(ParityError, match="rows over tolerance"):
        verify(replace(raw, preprocessing=STEP.model_copy(update={"max_length": 5})), CHECKS)


def test_a_frozen_axis_is_refused(tmp_path: Path) -> None:
    graph = with_tokenizer(mean_graph(tmp_path / "model.onnx", tokens=20))
    with pytest.raises(ConversionError, match=r"the graph takes INT64 \['rows', 20\] for 'ids'") as caught:
        check_graph(graph, preprocessing=STEP)

    assert "frozen" in caught.value.hint


def test_an_axis_that_is_free_by_name_alone_is_found_out(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["ids"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["float", "weights"], ["embedding"]),
        helper.make_node("Identity", ["mask"], ["unused"]),
    ]
    shape = ("rows", "tokens")
    inputs = [("ids", TensorProto.INT64, shape), ("mask", TensorProto.INT64, shape)]
    outputs = [("embedding", TensorProto.FLOAT, ("rows", 2))]
    constants = {"weights": np.ones((3, 2), np.float32)}
    graph = with_tokenizer(write_graph(tmp_path / "model.onnx", nodes, inputs, outputs, constants))
    with pytest.raises(ConversionError, match="does not take 1 rows of 1 tokens"):
        check_graph(graph, preprocessing=STEP)


def test_an_input_that_no_text_gives_is_refused(tmp_path: Path) -> None:
    graph = with_tokenizer(mean_graph(tmp_path / "model.onnx"))
    with pytest.raises(ConversionError, match="takes 'mask' beside what a tokenizer gives"):
        check_graph(graph, preprocessing=STEP.model_copy(update={"attention_mask": None}))


def test_answers_of_one_value_a_token_are_refused(tmp_path: Path) -> None:
    graph = with_tokenizer(mean_graph(tmp_path / "model.onnx"))
    model = onnx.load(graph)
    model.graph.output.append(helper.make_tensor_value_info("each", TensorProto.FLOAT, ("rows", "tokens", 4)))
    onnx.save(model, graph)
    with pytest.raises(ConversionError, match=r"'each' has the shape .* expected one row of a fixed size"):
        check_graph(graph, preprocessing=STEP)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    graph = mean_graph(tmp_path / "model.onnx")
    (tmp_path / STEP.path).write_text("{}")
    with pytest.raises(EnvironmentMissing, match="tokenizers that makes tokens of them is not installed here"):
        check_graph(graph, preprocessing=STEP)


def test_a_sample_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    session = check_graph(with_tokenizer(mean_graph(tmp_path / "model.onnx")), preprocessing=STEP).session
    with pytest.raises(SampleError, match="in row 1"):
        session.run(["embedding"], {"text": np.array(["good", b"\xff"], dtype=object)})
