from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.errors import PackageInvalid
from runtime.contract.tensors import TensorFile, dump_tensor, load_tensor

NUMERIC = [name for name in DTYPES if name != "BYTES"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[Datatype, np.ndarray]:
    name: Datatype = draw(st.sampled_from(NUMERIC))
    return name, draw(hnp.arrays(np.dtype(DTYPES[name].numpy), draw(SHAPES)))


@given(arrays(), st.text())
def test_raw_tensors_read_as_onnx_wrote_them(typed: tuple[Datatype, np.ndarray], name: str) -> None:
    dtype, array = typed
    tensor = load_tensor(numpy_helper.from_array(array, name).SerializeToString())
    assert (tensor.name, tensor.dtype, tensor.shape) == (name, dtype, array.shape)
    assert tensor.values == array.tobytes()


@given(arrays())
def test_typed_fields_read_as_onnx_reads_them(typed: tuple[Datatype, np.ndarray]) -> None:
    dtype, array = typed
    proto = helper.make_tensor("x", DTYPES[dtype].onnx, array.shape, array.flatten())
    tensor = load_tensor(proto.SerializeToString())
    assert tensor.values == numpy_helper.to_array(proto).tobytes()


@given(st.lists(st.text(), max_size=5))
def test_strings_go_there_and_back_through_onnx(words: list[str]) -> None:
    array = np.array(words, dtype=object)
    tensor = load_tensor(numpy_helper.from_array(array, "words").SerializeToString())
    assert tensor.to_list() == words
    written = TensorProto.FromString(dump_tensor(tensor))
    assert [item.decode() for item in written.string_data] == words


@given(arrays())
def test_onnx_reads_what_we_write(typed: tuple[Datatype, np.ndarray]) -> None:
    dtype, array = typed
    data = dump_tensor(TensorFile("x", dtype, array.shape, array.tobytes()))
    read = numpy_helper.to_array(TensorProto.FromString(data))
    assert read.tobytes() == array.tobytes()
    assert read.shape == array.shape
    assert load_tensor(data) == TensorFile("x", dtype, array.shape, array.tobytes())


@given(arrays())
def test_values_as_python_has_them(typed: tuple[Datatype, np.ndarray]) -> None:
    dtype, array = typed
    values = TensorFile("x", dtype, array.shape, array.tobytes()).to_list()
    np.testing.assert_array_equal(np.array(values, dtype=array.dtype), array.flatten())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tensor_or_refused(data: bytes) -> None:
    with suppress(PackageInvalid):
        assert load_tensor(data).dtype in DTYPES


@given(arrays(), st.data())
def test_truncated_tensors_are_refused_or_still_whole(typed: tuple[Datatype, np.ndarray], data: st.DataObject) -> None:
    whole = numpy_helper.from_array(typed[1], "x").SerializeToString()
    cut = whole[: data.draw(st.integers(0, max(0, len(whole) - 1)))]
    try:
        tensor = load_tensor(cut)
    except PackageInvalid:
        return
    assert len(tensor.values) == int(np.prod(tensor.shape)) * DTYPES[tensor.dtype].itemsize


def test_tensor_that_keeps_its_values_elsewhere_is_refused() -> None:
    proto = numpy_helper.from_array(np.zeros(2, "f4"), "far")
    proto.data_location = TensorProto.EXTERNAL
    with pytest.raises(PackageInvalid, match="'far' keeps its values in another file"):
        load_tensor(proto.SerializeToString())


def test_tensor_with_too_few_values_is_refused() -> None:
    proto = numpy_helper.from_array(np.zeros(2, "f4"), "short")
    proto.raw_data = b"\0\0\0\0"
    with pytest.raises(PackageInvalid, match=r"'short' of shape \(2,\) needs 8 bytes, it holds 4"):
        load_tensor(proto.SerializeToString())
