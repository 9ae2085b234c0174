import contextlib
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec.binary import joined
from runtime.codec.oip import DecodedRequest, decode_request, encode_response
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.manifest import Dim, Signature, TensorSpec
from runtime.errors import InvalidInput
from tests.support.tensors import typed_arrays


def signature(dtype: Datatype = "FP32", shape: tuple[Dim, ...] = ("batch", 2)) -> Signature:
    return Signature(
        inputs=(TensorSpec(name="x", dtype=dtype, shape=shape),),
        outputs=(TensorSpec(name="y", dtype=dtype, shape=shape),),
        batch_dim=None,
    )


def entry(shape: Any, size: Any, dtype: Any = "FP32", name: str = "x") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": dtype, "parameters": {"binary_data_size": size}}


def decoded(
    inputs: list[dict[str, Any]], raw: bytes, against: Signature, length: str | None = None, **more: Any
) -> DecodedRequest:
    text = json.dumps({"inputs": inputs, **more}).encode()
    return decode_request(text + raw, against, header_length=str(len(text)) if length is None else length)


@pytest.mark.parametrize("padding", range(16))
def test_a_tensor_is_read_from_behind_the_json_to_an_even_address(padding: int) -> None:
    raw = np.array([1.5, -2], "<f4").tobytes()
    values = decoded([entry([1, 2], 8)], raw, signature(), id="x" * padding).inputs["x"]

    assert values.tolist() == [[1.5, -2.0]]
    assert values.ctypes.data % 16 == 0


def test_several_tensors_lie_in_the_order_of_the_request() -> None:
    specs = tuple(TensorSpec(name=name, dtype="INT32", shape=("batch",)) for name in ("a", "b"))
    raw = np.array([7], "<i4").tobytes() + np.array([8], "<i4").tobytes()

    inputs = [entry([1], 4, "INT32", "b"), entry([1], 4, "INT32", "a")]
    values = decoded(inputs, raw, Signature(inputs=specs, outputs=specs)).inputs

    assert {name: value.tolist() for name, value in values.items()} == {"a": [8], "b": [7]}


def test_binary_and_json_tensors_may_stand_in_one_request() -> None:
    specs = tuple(TensorSpec(name=name, dtype="FP32", shape=("batch",)) for name in ("a", "b"))
    plain = {"name": "a", "shape": [1], "datatype": "FP32", "data": [0.5]}

    values = decoded([plain, entry([1], 4, name="b")], np.float32(2).tobytes(), Signature(inputs=specs, outputs=specs))

    assert [value.tolist() for value in values.inputs.values()] == [[0.5], [2.0]]


def test_a_narrower_type_is_widened() -> None:
    values = decoded([entry([1, 2], 8)], np.array([1.5, 0.1], "<f4").tobytes(), signature("FP64")).inputs["x"]

    assert values.dtype == np.float64
    assert values.tolist() == [[1.5, float(np.float32(0.1))]]


def test_any_byte_but_0_is_true() -> None:
    assert decoded([entry([1, 2], 2, "BOOL")], b"\x07\x00", signature("BOOL")).inputs["x"].tolist() == [[True, False]]


def strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("inputs", "raw", "dtype", "expected"),
    [
        ([entry([1, 2], 8)], b"1234", "FP32", "needs 8 bytes behind the JSON, got 4"),
        ([entry([1, 2], 4)], b"1234", "FP32", "needs 8 bytes for the shape [1, 2] of FP32, got 4"),
        ([entry([1, 2], 8)], b"1234567890", "FP32", "goes on for 2 bytes behind its last tensor"),
        ([entry([1, 2], -1)], b"", "FP32", "needs a 'binary_data_size' of whole bytes, got -1"),
        ([entry([1, 2], True)], b"", "FP32", "needs a 'binary_data_size' of whole bytes, got true"),
        ([entry([1, 2], "8")], b"12345678", "FP32", "needs a 'binary_data_size' of whole bytes, got '8'"),
        ([entry([10**9, 2], 8)], b"12345678", "FP32", "needs 8000000000 bytes for the shape"),
        ([entry([10**9, 2], 8, "BYTES")], b"12345678", "BYTES", "needs 2000000000 strings for the shape"),
        ([entry([1, 2], 9, "BYTES")], strings(b"a") + b"\0\0\0\0", "BYTES", None),
        ([entry([1, 2], 8, "BYTES")], struct.pack("<II", 99, 0), "BYTES", "a string that is cut off at 0"),
        ([entry([1, 2], 7, "BYTES")], strings(b"") + b"abc", "BYTES", "2 strings for the shape [1, 2], got 7 bytes"),
        ([entry([1, 2], 11, "BYTES")], strings(b"a", b"bc"), "BYTES", None),
        ([entry([1, 2], 13, "BYTES")], strings(b"a", b"bc") + b"xx", "BYTES", "got 2 bytes more"),
        ([entry([1, 2], 9, "BYTES")], strings(b"\xff", b""), "BYTES", "needs strings in UTF-8, got other bytes"),
    ],
)
def test_sizes_that_do_not_fit_are_named(
    inputs: list[dict[str, Any]], raw: bytes, dtype: Datatype, expected: str | None
) -> None:
    if expected is None:
        assert decoded(inputs, raw, signature(dtype)).inputs["x"].shape == (1, 2)
        return
    with pytest.raises(InvalidInput) as caught:
        decoded(inputs, raw, signature(dtype))
    assert expected in caught.value.message


@pytest.mark.parametrize("length", ["", "-1", "1e3", "99999999", "\uff19", "0x10", " 5", "9" * 5000])
def test_a_header_length_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded([entry([1, 2], 8)], b"12345678", signature(), length)
    assert "Inference-Header-Content-Length" in caught.value.message
    assert len(caught.value.message) < 200


def test_a_binary_tensor_without_the_header_field_has_no_bytes() -> None:
    body = json.dumps({"inputs": [entry([1, 2], 8)]}).encode()
    with pytest.raises(InvalidInput, match="needs 8 bytes behind the JSON, got 0"):
        decode_request(body, signature())


# --- answers


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": True}}, {"y"}),
        ({"parameters": {"binary_data_output": 1}}, set()),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, {"y"}),
        (
            {
                "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
                "parameters": {"binary_data_output": True},
            },
            set(),
        ),
        ({"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}}, {"y"}),
        ({"outputs": [{"name": "y", "parameters": 3}]}, set()),
    ],
)
def test_each_output_goes_out_in_the_form_that_was_asked_for(asked: dict[str, Any], expected: set[str]) -> None:
    assert decoded([entry([1, 2], 8)], b"12345678", signature(), **asked).binary == expected


def test_a_classification_is_refused_with_what_there_is() -> None:
    outputs = [{"name": "y", "parameters": {"classification": 3}}]
    with pytest.raises(InvalidInput) as caught:
        decoded([entry([1, 2], 8)], b"12345678", signature(), outputs=outputs)
    assert "metadata" in caught.value.hint


def test_infinity_travels_in_the_binary_form() -> None:
    array = np.array([[math.inf, math.nan]], "f4")
    answer = encode_response(
        {"y": array}, signature(), model="m", version="1", request_id=None, as_binary=frozenset({"y"})
    )

    assert answer.header_length is not None
    head = json.loads(answer.body[: answer.header_length])
    assert head["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    ]
    np.testing.assert_array_equal(np.frombuffer(answer.body[answer.header_length :], "<f4"), array[0])


# --- for any input


@given(typed_arrays(infinite=True))
def test_tensors_go_there_and_back(typed: tuple[Datatype, np.ndarray]) -> None:
    dtype, array = typed
    against = signature(dtype, tuple(f"d{axis}" for axis in range(array.ndim)))
    answer = encode_response({"y": array}, against, model="m", version="1", request_id=None, as_binary=frozenset("y"))
    length = answer.header_length or 0
    output = json.loads(answer.body[:length])["outputs"][0]

    read = decoded([{**output, "name": "x"}], answer.body[length:], against).inputs["x"]

    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@given(st.binary(max_size=60), st.integers(-2, 70), st.integers(-2, 70), st.sampled_from(sorted(DTYPES)))
def test_any_bytes_are_read_or_refused(raw: bytes, size: int, length: int, dtype: Datatype) -> None:
    with contextlib.suppress(InvalidInput):
        values = decoded([entry([2, 2], size, dtype)], raw, signature(dtype), None if length > 60 else str(length))
        assert values.inputs["x"].shape == (2, 2)


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 99))
def test_a_joined_body_is_its_parts_with_tensors_at_an_even_address(parts: list[bytes], length: int) -> None:
    body = joined(parts, str(length).encode())
    assert bytes(body) == b"".join(parts) == bytes(joined(parts))
    if isinstance(body, memoryview) and length < len(body):
        assert np.frombuffer(body[length:], np.uint8).ctypes.data % 16 == 0
