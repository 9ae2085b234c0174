"""Large JSON requests are read by another parser, and nobody can tell."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec import oip
from runtime.codec.large_json import LARGE, NotNumbers, Numbers, parse_large
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.manifest import Signature, TensorSpec
from runtime.errors import InvalidInput

SCALARS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [0, -0.0, 1e38, 3.5e38, 65504.0, 1e5, 127, 128, 255, 2**53 + 1, 2**63, 2**64 - 1, True, None, "a[b"]
    ),
)


def signature(dtype: Datatype, shape: tuple[int | str, ...] = ("batch",)) -> Signature:
    spec = TensorSpec(name="x", dtype=dtype, shape=shape)
    return Signature(inputs=(spec,), outputs=(spec.model_copy(update={"name": "y"}),), batch_dim="batch")


def request(data: Any, *, dtype: str = "FP32", shape: list[int] | None = None, **more: Any) -> bytes:
    tensor = {"name": "x", "datatype": dtype, "shape": [len(data)] if shape is None else shape, "data": data}
    return json.dumps({"inputs": [tensor], **more}).encode()


def outcome(body: bytes, against: Signature, monkeypatch: pytest.MonkeyPatch, *, large: int) -> Any:
    with monkeypatch.context() as patched:
        patched.setattr(oip, "LARGE", large)
        try:
            asked = oip.decode_request(body, against)
        except InvalidInput as error:
            return error.message, error.detail
        return asked.id, asked.outputs, asked.binary, asked.inputs["x"].dtype, repr(asked.inputs["x"].tolist())


def alike(body: bytes, against: Signature) -> None:
    monkeypatch = pytest.MonkeyPatch()
    usual = outcome(body, against, monkeypatch, large=len(body) + 1)
    assert outcome(body, against, monkeypatch, large=0) == usual


@given(st.sampled_from(sorted(DTYPES)), st.lists(SCALARS, max_size=6), st.booleans())
def test_any_values_are_read_or_refused_alike(dtype: Datatype, data: list[Any], nested: bool) -> None:
    alike(request([data] if nested else data, dtype=dtype, shape=[len(data)]), signature(dtype))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_go_the_short_way(data: list[float]) -> None:
    found = parse_large(request(data))["inputs"][0]["data"]
    assert isinstance(found, Numbers)
    tensor = found.tensor(signature("FP32").inputs[0], [len(data)])
    np.testing.assert_array_equal(tensor, np.array(data, "f4"))


@pytest.mark.parametrize(
    "body",
    [
        request([1.0, [2.0]], shape=[2]),
        request([[1.0, 2.0]], shape=[2]),
        request([1.0], id="a[b"),
        request([1.0, 2.0], shape=[3]),
        request([1.0], shape=[-1]),
        request(["a", "b"], dtype="BYTES"),
        request([1.0], dtype="FP99"),
        request([1.0], id=7),
        request([1.0], outputs=[{"name": "y", "parameters": {"binary_data": True}}]),
        request([1.0], outputs=[{"name": "z"}]),
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "data": [2]}]}',
        b'{"inputs": [], "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [NaN]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1e999]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": {"a": [1]}}]}',
        b'{"inputs": [{"name": "\\ud800", "datatype": "FP32", "shape": [1], "data": [1]}]}',
        b'{"inputs": [1]}',
        b'{"inputs": {"data": [1]}}',
        b"[1]",
        b"7",
        b"",
        b'{"inputs": ',
        b"\xff",
        b"[" * 5000,
    ],
)
def test_what_is_odd_is_read_or_refused_alike(body: bytes) -> None:
    alike(body, signature("FP32"))


def test_a_large_request_is_read_by_the_other_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).normal(size=LARGE // 8)
    monkeypatch.setattr(oip, "parse_json", lambda _: pytest.fail("the usual parser was asked"))
    asked = oip.decode_request(request(data.tolist(), dtype="FP64"), signature("FP64"))
    np.testing.assert_array_equal(asked.inputs["x"], data)


def test_without_the_other_parser_the_usual_one_reads_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "simdjson", None)
    with pytest.raises(NotNumbers):
        parse_large(request([1.0]))
    data = [0.5] * LARGE
    assert oip.decode_request(request(data), signature("FP32")).inputs["x"].tolist() == data
