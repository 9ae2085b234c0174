import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec.oip import DecodedRequest, decode_request, encode_response
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.errors import DrayError
from runtime.contract.manifest import Dim, Signature, TensorSpec
from runtime.errors import InvalidInput, NonFiniteOutput
from tests.support.tensors import typed_arrays


def signature(dtype: Datatype = "FP32", shape: tuple[Dim, ...] = ("batch", 2)) -> Signature:
    spec = TensorSpec(name="x", dtype=dtype, shape=shape)
    return Signature(inputs=(spec,), outputs=(spec.model_copy(update={"name": "y"}),), batch_dim="batch")


def tensor(data: Any, shape: Any, dtype: Any = "FP32", name: Any = "x") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": dtype, "data": data}


def decode(entry: Any, against: Signature | None = None, **more: Any) -> DecodedRequest:
    body = json.dumps({"inputs": [entry], **more}).encode()
    return decode_request(body, against or signature())


def refused(entry: Any, against: Signature | None = None, **more: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        decode(entry, against, **more)
    assert caught.value.code == "E-INPUT"
    return caught.value


# --- what is taken


def test_flat_and_nested_data_are_the_same() -> None:
    flat = decode(tensor([1, 2.5, 3, 4], [2, 2])).inputs["x"]
    nested = decode(tensor([[1, 2.5], [3, 4]], [2, 2])).inputs["x"]
    assert flat.dtype == np.float32
    np.testing.assert_array_equal(flat, nested)
    np.testing.assert_array_equal(flat, np.array([[1, 2.5], [3, 4]], "f4"))


@pytest.mark.parametrize("literal", ["null", "NaN"])
def test_null_and_nan_are_nan_in_float_tensors(literal: str) -> None:
    body = json.dumps({"inputs": [tensor(["?", 1], [1, 2])]}).replace('"?"', literal)
    assert np.isnan(decode_request(body.encode(), signature()).inputs["x"][0, 0])


def test_infinity_is_taken() -> None:
    body = b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [Infinity, -Infinity]}]}'
    assert decode_request(body, signature()).inputs["x"].tolist() == [[math.inf, -math.inf]]


@pytest.mark.parametrize("data", [[], [[], []][:0]])
def test_zero_rows_are_taken(data: list[Any]) -> None:
    assert decode(tensor(data, [0, 2])).inputs["x"].shape == (0, 2)


def test_empty_inner_axis_is_taken() -> None:
    assert decode(tensor([[], []], [2, 0]), signature(shape=("batch", "n"))).inputs["x"].shape == (2, 0)


def test_scalar_is_taken() -> None:
    assert decode(tensor([3], []), signature(shape=())).inputs["x"].shape == ()


def test_strings_are_taken() -> None:
    array = decode(tensor(["é", "a\0b"], [1, 2], "BYTES"), signature("BYTES")).inputs["x"]
    assert array.tolist() == [["é", "a\0b"]]


def test_largest_integers_are_exact() -> None:
    array = decode(tensor([2**64 - 1, 0], [1, 2], "UINT64"), signature("UINT64")).inputs["x"]
    assert array.tolist() == [[2**64 - 1, 0]]


def test_id_and_outputs_are_kept() -> None:
    request = decode(tensor([1, 2], [1, 2]), id="a-1", outputs=[{"name": "y"}])
    assert (request.id, request.outputs) == ("a-1", ("y",))


def test_all_outputs_unless_some_are_named() -> None:
    assert decode(tensor([1, 2], [1, 2])).outputs == ("y",)
    assert decode(tensor([1, 2], [1, 2]), outputs=[]).outputs == ("y",)


def test_unknown_keys_are_passed_over() -> None:
    assert decode({**tensor([1, 2], [1, 2]), "extra": 1}, parameters={"priority": 1}).id is None


# --- what is refused, by name


@pytest.mark.parametrize(
    ("entry", "expected", "actual"),
    [
        (tensor([1, 2], [1, 2], "FP64"), "the datatype 'FP32'", "'FP64'"),
        (tensor([1, 2], [1, 2], None), "the datatype 'FP32'", "null"),
        (tensor([1, 2, 3], [1, 3]), "the shape [batch, 2]", "[1, 3]"),
        (tensor([1, 2], [2]), "the shape [batch, 2]", "[2]"),
        (tensor([1, 2], [-1, 2]), "a shape of whole numbers of at least 0", "an array of 2"),
        (tensor([1, 2], [True, 2]), "a shape of whole numbers of at least 0", "an array of 2"),
        (tensor([1, 2], "1x2"), "a shape of whole numbers of at least 0", "'1x2'"),
        (tensor([1, 2, 3], [1, 2]), "2 values for the shape [1, 2]", "3 values"),
        (tensor([[1], [2]], [1, 2]), "data flat or nested as the shape [1, 2] says", "data nested otherwise"),
        (tensor([[1, 2], [3]], [2, 2]), "data flat or nested as the shape [2, 2] says", "data nested otherwise"),
        (tensor([[1, 2], 3], [2, 2]), "data flat or nested as the shape [2, 2] says", "data nested otherwise"),
        (tensor([1, True], [1, 2]), "numbers or null (FP32)", "the boolean true at position 1"),
        (tensor(["1", 2], [1, 2]), "numbers or null (FP32)", "the string '1' at position 0"),
        (tensor([{}, 2], [1, 2]), "numbers or null (FP32)", "an object of 0 at position 0"),
        (tensor([1, 3.5e38], [1, 2]), "values in the range of FP32", "3.5e+38 at position 1"),
        (tensor(3, [1, 2]), "an array under 'data', or 'binary_data_size' among its parameters", "3"),
        (tensor(None, [1, 2]), "an array under 'data', or 'binary_data_size' among its parameters", "null"),
        (tensor([], [10**9, 2]), "2000000000 values for the shape [1000000000, 2]", "0 values"),
        (tensor([], [10**30, 2]), "a shape of whole numbers of at least 0", "an array of 2"),
    ],
)
def test_wrong_tensor_is_named_with_both_sides(entry: Any, expected: str, actual: str) -> None:
    error = refused(entry)
    assert error.message == f"input 'x' needs {expected}, got {actual}"
    assert error.detail == {"tensor": "x", "expected": expected, "actual": actual}


@pytest.mark.parametrize(
    ("dtype", "value", "actual"),
    [
        ("INT32", 1.0, "the number 1.0 at position 1"),
        ("INT32", True, "the boolean true at position 1"),
        ("INT32", None, "null at position 1"),
        ("INT8", 128, "128 at position 1"),
        ("UINT8", -1, "-1 at position 1"),
        ("INT64", 2**63, "9223372036854775808 at position 1"),
        ("BOOL", 1, "the number 1 at position 1"),
        ("BYTES", 1, "the number 1 at position 1"),
        ("BYTES", None, "null at position 1"),
        ("FP16", 70000, "70000 at position 1"),
    ],
)
def test_value_of_another_type_is_refused(dtype: Datatype, value: Any, actual: str) -> None:
    fitting = {"BOOL": True, "BYTES": "a"}.get(dtype, 1)
    assert refused(tensor([fitting, value], [1, 2], dtype), signature(dtype)).detail["actual"] == actual


def test_integer_beyond_floating_point_is_refused() -> None:
    body = json.dumps({"inputs": [tensor([float("nan"), 10**400 - 1], [1, 2], "FP64")]})
    with pytest.raises(InvalidInput, match="needs values in the range of FP64, got 9999"):
        decode_request(body.encode(), signature("FP64"))


def test_long_values_are_cut_in_messages() -> None:
    assert len(refused(tensor(["a" * 10_000, 1], [1, 2])).message) < 200


def test_axes_of_one_name_must_agree() -> None:
    specs = tuple(TensorSpec(name=name, dtype="FP32", shape=("batch",)) for name in ("a", "b"))
    body = {"inputs": [tensor([1], [1], name="a"), tensor([1, 2], [2], name="b")]}
    with pytest.raises(InvalidInput) as caught:
        decode_request(json.dumps(body).encode(), Signature(inputs=specs, outputs=specs))
    assert caught.value.message == (
        "input 'b' needs the axis 'batch' to be 1, as in another input, got 2 in the shape [2]"
    )


def test_empty_tensor_cannot_claim_a_huge_axis() -> None:
    error = refused(tensor([], [0, 10**9]), signature(shape=("batch", "n")))
    assert "axes of at most 65536 where one is 0" in error.message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "input 'x' is missing; the model takes 'x'"),
        ([tensor([1, 2], [1, 2], name="z")], "unknown input 'z'; the model takes 'x'"),
        ([tensor([1, 2], [1, 2])] * 2, "inputs names 'x' twice"),
        ([{"shape": [1]}], "inputs[0] must be an object with a string 'name', got an object of 1"),
        ([7], "inputs[0] must be an object with a string 'name', got 7"),
        (None, "'inputs' must be an array of tensors, got null"),
    ],
)
def test_inputs_that_are_not_the_models_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(json.dumps({"inputs": inputs}).encode(), signature())
    assert caught.value.message == message


def test_unknown_output_is_refused() -> None:
    error = refused(tensor([1, 2], [1, 2]), outputs=[{"name": "z"}])
    assert error.message == "unknown output 'z'; the model gives 'y'"


def test_id_must_be_a_string() -> None:
    assert refused(tensor([1, 2], [1, 2]), id=7).message == "'id' must be a string, got 7"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"NaN",
        b"[" * 100_000 + b"NaN" + b"]" * 100_000,
        b'{"id": "\\ud800", "inputs": [NaN]}',
        b'{"id": ' + b"9" * 5000 + b', "inputs": [NaN]}',
    ],
)
def test_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(body, signature())
    assert "\n" not in caught.value.message


# --- answers


def answer(array: np.ndarray, dtype: Datatype = "FP32", request_id: str | None = None) -> dict[str, Any]:
    body = encode_response({"y": array}, signature(dtype), model="m", version="1", request_id=request_id)
    document: dict[str, Any] = json.loads(body.body)
    return document


def test_answer_carries_name_version_id_and_flat_data() -> None:
    assert answer(np.array([[1.5, 2]], "f4"), request_id="a") == {
        "model_name": "m",
        "model_version": "1",
        "id": "a",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 2.0]}],
    }


def test_nan_is_null_in_an_answer() -> None:
    assert answer(np.array([[math.nan, 0.1]], "f4"))["outputs"][0]["data"] == [None, 0.1]


def test_labels_are_strings_in_an_answer() -> None:
    assert answer(np.array([["é", b"\xff"]], dtype=object), "BYTES")["outputs"][0]["data"] == ["é", "\ufffd"]


def test_infinity_in_an_answer_is_an_error_that_names_the_binary_form() -> None:
    with pytest.raises(NonFiniteOutput) as caught:
        answer(np.array([[1, -math.inf]], "f4"))
    assert caught.value.code == "E-NON-FINITE"
    assert caught.value.message == "output 'y' holds -inf at [0, 1], and JSON cannot carry infinity"
    assert "binary form" in caught.value.hint
    assert caught.value.detail == {"tensor": "y", "place": [0, 1]}


def test_scalar_infinity_is_named_too() -> None:
    with pytest.raises(NonFiniteOutput, match=r"holds inf at \[\]"):
        answer(np.array(math.inf, "f4"))


# --- for any input


@given(typed_arrays(infinite=False), st.booleans())
def test_tensors_go_there_and_back(typed: tuple[Datatype, np.ndarray], nested: bool) -> None:
    dtype, array = typed
    against = signature(dtype, tuple(f"d{axis}" for axis in range(array.ndim)))
    document = answer_of(array, against)
    entry = {**document["outputs"][0], "name": "x"}
    if nested and array.ndim:
        entry["data"] = np.array(entry["data"], dtype=object).reshape(array.shape).tolist()
    read = decode(entry, against).inputs["x"]
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


def answer_of(array: np.ndarray, against: Signature) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        encode_response({"y": array}, against, model="m", version="1", request_id=None).body
    )
    return document


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | JSON,
        "shape": st.lists(st.integers(-1, 3) | st.integers(), max_size=3) | JSON,
        "datatype": st.sampled_from(sorted(DTYPES)) | JSON,
        "data": st.lists(JSON, max_size=4) | JSON,
        "parameters": JSON,
    },
)


@given(
    st.fixed_dictionaries({"inputs": st.lists(NEARLY, max_size=2) | JSON}, optional={"id": JSON, "outputs": JSON})
    | JSON,
    st.sampled_from(sorted(DTYPES)),
)
def test_any_json_is_decoded_or_refused(document: Any, dtype: Datatype) -> None:
    error: DrayError | None = None
    try:
        decode_request(json.dumps(document).encode(), signature(dtype, ("batch", "n")))
    except InvalidInput as refusal:
        error = refusal
    if error is not None:
        json.dumps(error.as_dict(), ensure_ascii=False).encode("utf-8")


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_request(body, signature())


@pytest.mark.parametrize("given", ["FP16", "FP32", "INT32", "UINT8"])
def test_values_of_a_narrower_type_are_taken_as_they_are(given: str) -> None:
    body = json.dumps({"inputs": [tensor([3, 7], [1, 2], given)]}).encode()

    values = decode_request(body, signature("FP64")).inputs["x"]

    assert values.dtype == np.float64
    assert values.tolist() == [[3.0, 7.0]]


def test_a_number_that_was_written_is_not_first_rounded_to_the_type_it_is_said_to_have() -> None:
    body = json.dumps({"inputs": [tensor([5.1, 1e300], [1, 2], "FP32")]}).encode()

    assert decode_request(body, signature("FP64")).inputs["x"].tolist() == [[5.1, 1e300]]


def test_fractions_are_no_integers_even_for_an_input_that_takes_fractions() -> None:
    body = json.dumps({"inputs": [tensor([1, 1.5], [1, 2], "INT32")]}).encode()

    with pytest.raises(InvalidInput, match="INT32"):
        decode_request(body, signature("FP64"))


@pytest.mark.parametrize(
    ("given", "wanted"), [("FP64", "FP32"), ("INT64", "FP64"), ("INT64", "INT32"), ("BOOL", "FP32")]
)
def test_a_type_that_may_lose_something_is_refused(given: str, wanted: Datatype) -> None:
    body = json.dumps({"inputs": [tensor([1, 2], [1, 2], given)]}).encode()

    with pytest.raises(InvalidInput, match=f"the datatype '{wanted}'"):
        decode_request(body, signature(wanted))
