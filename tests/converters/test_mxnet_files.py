"""MXNet files that are whole, old, truncated, corrupted or hostile."""

import json
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.converters.mxnet.files import find_files
from packager.converters.mxnet.params import read_params
from packager.converters.mxnet.plugin import MxnetConverter
from packager.converters.mxnet.symbol import read_symbol
from packager.core.conversion import ModelSource
from packager.core.errors import ConversionError, ConverterMissing, DrayError, ModelInvalid, ModelMissing
from tests.support.mxnet_models import asked, converted, node, opened, params_bytes, recorded, write_model

_HEAD = struct.pack("<QQ", 0x112, 0)
_WEIGHT = {"arg:w": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool"])
def test_arrays_of_every_version_and_type_are_read(version: int, dtype: str, tmp_path: Path) -> None:
    arrays = {
        "arg:w": np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype),
        "aux:s": np.ones(2, np.float32),
        "plain": np.ones(1),
    }
    (tmp_path / "m.params").write_bytes(params_bytes(arrays, version=version))
    read = read_params(tmp_path / "m.params")
    assert list(read.arrays) == ["w", "s", "plain"]
    assert read.auxiliary == {"s"}
    np.testing.assert_array_equal(read.arrays["w"], arrays["arg:w"])
    assert read.arrays["w"].dtype == dtype


def _array(*parts: bytes) -> bytes:
    return _HEAD + struct.pack("<Q", 1) + b"".join(parts) + bytes(64)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ends at byte 0"),
        (b"PK\x03\x04" + bytes(60), "does not start"),
        (_HEAD + struct.pack("<Q", 1 << 62), "claims 4611686018427387904 arrays"),
        (_array(struct.pack("<Iii", 0xF993FAC9, 0, 1 << 30)), "an array of 1073741824 axes"),
        (_array(struct.pack("<Iii", 0xF993FAC9, 0, -5)), "an array of -5 axes"),
        (_array(struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, 1 << 40, 1 << 40), struct.pack("<iii", 1, 0, 0)), "claims"),
        (_array(struct.pack("<Iiiq", 0xF993FAC9, 0, 1, -1), struct.pack("<iii", 1, 0, 0)), "negative size"),
        (_array(struct.pack("<Iiiq", 0xF993FAC9, 0, 1, 1), struct.pack("<iii", 1, 0, 99)), "unknown number type 99"),
        (_array(struct.pack("<Ii", 0xF993FAC9, 7)), "unknown storage type 7"),
        (params_bytes(_WEIGHT)[:-1], "claims 5 bytes of a name"),
        (params_bytes(_WEIGHT)[:-21] + struct.pack("<Q", 0), "names 0 of its 1"),
        (params_bytes({"arg:w": np.ones(1), "w": np.ones(1)}), "two parameters named 'w'"),
    ],
)
def test_hostile_parameters_are_refused_without_memory(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.params").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelInvalid, match=words) as caught:
            read_params(tmp_path / "m.params")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.hint


@pytest.mark.parametrize(("storage", "word"), [(1, "row_sparse"), (2, "csr")])
def test_sparse_arrays_are_refused_by_name(storage: int, word: str, tmp_path: Path) -> None:
    (tmp_path / "m.params").write_bytes(_array(struct.pack("<Ii", 0xF993FAC9, storage)))
    with pytest.raises(ConversionError, match=word):
        read_params(tmp_path / "m.params")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no nodes"),
        ('{"nodes": [], "heads": [[0,0,0]]}', "no nodes"),
        ('{"nodes": [7], "heads": [[0,0,0]]}', "node 0 has no op"),
        (json.dumps({"nodes": [node("relu", "r", [0])], "heads": [[0, 0, 0]]}), "no earlier node"),
        (
            json.dumps({"nodes": [node("relu", "r", [1]), node("relu", "s", [0])], "heads": [[0, 0, 0]]}),
            "no earlier node",
        ),
        (json.dumps({"nodes": [node("null", "d")], "heads": [[5, 0, 0]]}), "a head refers to output 0 of node 5"),
        (json.dumps({"nodes": [node("null", "d")], "heads": [["x"]]}), "no reference"),
        ('{"nodes": [{"op": "null", "name": "d", "inputs": [], "attrs": {"a": 1}}], "heads": [[0]]}', "not texts"),
    ],
)
def test_hostile_symbols_are_refused_quickly(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "m-symbol.json").write_text(text, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(ModelInvalid, match=words):
        read_symbol(tmp_path / "m-symbol.json")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("key", ["param", "attr", "attrs"])
def test_attributes_of_every_version_are_read(key: str, tmp_path: Path) -> None:
    nodes = [node("null", "data"), node("_mul_scalar", "twice", [0])]
    nodes[1] |= {
        key: {"scalar": "2"},
        "attrs" if key != "attrs" else "attr": {"weight_lr_mult": "0.1", "__shape__": "(1,)"},
    }
    source = write_model(tmp_path, nodes, {})
    session = opened(converted(source, tmp_path / "out", inputs=(_hint("data=FP32:N,3"),)))
    np.testing.assert_array_equal(asked(session, {"data": np.ones((2, 3))})[0], np.full((2, 3), 2))


def _hint(text: str) -> object:
    from tests.support.mxnet_models import hint

    return hint(text)


def test_the_last_epoch_beside_a_symbol_is_taken(tmp_path: Path) -> None:
    for name in ("m-symbol.json", "m-0003.params", "m-0012.params", "m-other-0099.params"):
        (tmp_path / name).write_bytes(b"")
    assert find_files(tmp_path).params.name == "m-0012.params"
    assert find_files(tmp_path / "m-symbol.json").params.name == "m-0012.params"
    assert find_files(tmp_path / "m-0003.params").symbol.name == "m-symbol.json"
    assert MxnetConverter().recognises(ModelSource(tmp_path / "m-0003.params"))
    assert MxnetConverter().recognises(ModelSource(tmp_path))


def test_a_lonely_file_and_a_folder_of_two_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a-symbol.json").write_bytes(b"")
    with pytest.raises(ModelMissing, match=r"a-0000\.params"):
        find_files(tmp_path / "a-symbol.json")
    (tmp_path / "b-symbol.json").write_bytes(b"")
    with pytest.raises(ModelInvalid, match="2 symbols"):
        find_files(tmp_path)
    with pytest.raises(ModelMissing, match="c-symbol"):
        find_files(tmp_path / "c-0001.params")


_FUZZED = ["zoo:squeezenet narrow", "RNN:lstm 2 layers bidirectional", "model:tagger", "model:unrolled gru",
           "slice:step", "Reshape:split infer", "Pooling:avg full pad", "BatchNorm", "FullyConnected"]  # fmt: skip


@settings(max_examples=120, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_converted_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    case = recorded()[data.draw(st.sampled_from(_FUZZED))]
    folder = tmp_path_factory.mktemp("fuzz")
    source = case.write(folder)
    path = source if data.draw(st.booleans()) else folder / "model-0000.params"
    path.write_bytes(_mutated(path.read_bytes(), data))
    try:
        raw = converted(source, folder / "out", folder / "samples.npz", inputs=case.hints)
    except DrayError:
        return
    assert raw.onnx.is_file()


def _mutated(content: bytes, data: st.DataObject) -> bytes:
    """Some bytes changed, cut away, doubled, or numbers replaced."""
    kind = data.draw(st.sampled_from(["cut", "bytes", "double", "number"]))
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "cut":
        return content[:at]
    if kind == "double":
        end = data.draw(st.integers(at, min(len(content), at + 200)))
        return content[:end] + content[at:]
    if kind == "bytes":
        return content[:at] + data.draw(st.binary(min_size=1, max_size=8)) + content[at + 4 :]
    places = [index for index, byte in enumerate(content) if 48 <= byte < 58]
    if not places:
        return content
    place = data.draw(st.sampled_from(places))
    new = data.draw(st.sampled_from([b"0", b"-1", b"7", b"999999999", b"None", b"1e9", b"99999999999999999999"]))
    return content[:place] + new + content[place + 1 :]


@settings(max_examples=150, deadline=20_000)
@given(data=st.data())
def test_unusual_attributes_are_converted_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = recorded()[data.draw(st.sampled_from(sorted(recorded())))]
    folder = tmp_path_factory.mktemp("fuzz")
    source = case.write(folder)
    document = json.loads(source.read_text(encoding="utf-8"))
    held = [entry for entry in document["nodes"] if entry.get("attrs")]
    if held:
        attributes = data.draw(st.sampled_from(held))["attrs"]
        key = data.draw(st.sampled_from(sorted(attributes)))
        texts = [
            "0",
            "-1",
            "3",
            "(1, 2)",
            "()",
            "None",
            "(0, 0, 0, 0, 0)",
            "100000",
            "(-1, -1)",
            "True",
            "nan",
            "1e30",
            "(None, 2)",
        ]
        attributes[key] = data.draw(st.sampled_from(texts))
    inputs = data.draw(st.sampled_from(document["nodes"]))["inputs"]
    if data.draw(st.booleans()) and inputs:
        inputs[data.draw(st.integers(0, len(inputs) - 1))][0] = 0
    source.write_text(json.dumps(document), encoding="utf-8")
    try:
        raw = converted(source, folder / "out", folder / "samples.npz", inputs=case.hints)
    except DrayError:
        return
    assert raw.onnx.is_file()


def test_an_unknown_operator_attribute_and_value_are_refused_by_name(tmp_path: Path) -> None:
    for wrong, words in (
        (node("Frobnicate", "odd", [0]), "Frobnicate node 'odd'"),
        (node("relu", "odd", [0], alpha="1"), "'odd' has an attribute 'alpha'"),
        (node("Activation", "odd", [0], act_type="swish"), "'odd' has the unknown value 'swish' for 'act_type'"),
        (node("_contrib_quantize_v2", "odd", [0]), "integers of 8 bits"),
        (node("_foreach", "odd", [0]), "control flow"),
        (node("_cond", "odd", [0]), "control flow"),
        (node("tile", "odd", [0], reps="(1, 999999999)"), "'odd' makes a tensor of"),
    ):
        source = write_model(tmp_path, [node("null", "data"), wrong], {})
        with pytest.raises(ConverterMissing, match=words):
            converted(source, tmp_path / "out", inputs=(_hint("data=FP32:N,3"),))


def test_a_loss_that_cannot_be_converted_is_left_out_beside_an_answer(tmp_path: Path) -> None:
    nodes = [
        node("null", "data"),
        node("null", "y_label"),
        node("relu", "answer", [0]),
        node("CTCLoss", "loss", [2, 1]),
    ]
    source = write_model(tmp_path, nodes, {}, heads=[[2, 0, 0], [3, 0, 0]])
    raw = converted(source, tmp_path / "out", inputs=(_hint("data=FP32:N,3"),))
    assert raw.notes == ("the head 'loss' is left out: it needs 'y_label'",)
    with pytest.raises(ConverterMissing, match="'loss' depends on the label 'y_label'"):
        converted(write_model(tmp_path, nodes, {}), tmp_path / "out", inputs=(_hint("data=FP32:N,3"),))
