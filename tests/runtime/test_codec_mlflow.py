"""MLflow's dialect without HTTP: any typed frame gives the same tensors in every form; answers carry every output."""

import csv
import io
import json
import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec.frames import tensors_from_csv
from runtime.codec.mlflow import decode_invocation, encode_predictions
from runtime.codec.values import Array
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.manifest import Dim, Signature, TensorSpec
from runtime.errors import InvalidInput, NonFiniteOutput

BY_COLUMN = Signature(
    inputs=(
        TensorSpec(name="age", dtype="INT64", shape=("batch", 1)),
        TensorSpec(name="city", dtype="BYTES", shape=("batch", 1)),
    ),
    outputs=(TensorSpec(name="y", dtype="FP32", shape=("batch",)),),
    batch_dim="batch",
)


def matrix(*columns: str, dtype: Datatype = "FP32", shape: tuple[Dim, ...] | None = None) -> Signature:
    spec = TensorSpec(name="X", dtype=dtype, shape=shape or ("batch", len(columns)), columns=columns or None)
    return Signature(inputs=(spec,), outputs=BY_COLUMN.outputs, batch_dim="batch")


def invoke(signature: Signature, **body: Any) -> dict[str, Array]:
    return decode_invocation(json.dumps(body).encode(), signature)


def refused(signature: Signature, **body: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        invoke(signature, **body)
    return caught.value


# --- any typed frame, in every form


def cells(dtype: Datatype) -> st.SearchStrategy[Any]:
    if dtype == "BYTES":
        return st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["01234", "NA", "", "true", "1.0"])
    if dtype == "BOOL":
        return st.booleans()
    if DTYPES[dtype].is_float:
        width = {"FP16": 16, "FP32": 32, "FP64": 64}[dtype]
        return st.floats(width=width, allow_infinity=False)
    limits = np.iinfo(DTYPES[dtype].numpy)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def frames(draw: st.DrawFn) -> tuple[Signature, dict[str, list[Any]]]:
    """A signature of one column an input, or one matrix with names, and a typed frame for it."""
    names = draw(
        st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=1, max_size=5, unique=True)
    )
    rows = draw(st.integers(1, 4))
    one = draw(st.booleans())
    dtypes = (
        [draw(st.sampled_from(list(DTYPES)))] * len(names)
        if one
        else [draw(st.sampled_from(list(DTYPES))) for _ in names]
    )
    frame = {
        name: draw(st.lists(cells(dtype), min_size=rows, max_size=rows))
        for name, dtype in zip(names, dtypes, strict=True)
    }
    if one:
        return matrix(*names, dtype=dtypes[0]), frame
    shape: tuple[Dim, ...] = draw(st.sampled_from([("batch",), ("batch", 1)]))
    specs = tuple(TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype in zip(names, dtypes, strict=True))
    extra = TensorSpec(name="a further column", dtype="BOOL", shape=("batch",))  # one input alone would have no name
    frame["a further column"] = [True] * rows
    return Signature(inputs=(*specs, extra), outputs=BY_COLUMN.outputs, batch_dim="batch"), frame


def original(signature: Signature, frame: dict[str, list[Any]]) -> dict[str, Array]:
    """The tensors straight from the typed values."""
    tensors = {}
    for spec in signature.inputs:
        rows = list(zip(*(frame[name] for name in spec.columns or (spec.name,)), strict=True))
        array = np.empty((len(rows), len(rows[0])), DTYPES[spec.dtype].numpy)
        array[:] = rows
        tensors[spec.name] = array.reshape([len(rows), *array.shape[1 : len(spec.shape)]])
    return tensors


def as_csv(frame: dict[str, list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(frame)
    lines.writerows(["" if cell != cell else cell for cell in row] for row in zip(*frame.values(), strict=True))
    return text.getvalue().encode()


@given(frames(), st.randoms())
def test_csv_records_split_and_columns_give_the_tensors_of_the_typed_frame(case: Any, random: Any) -> None:
    signature, frame = case
    shuffled = dict(sorted(frame.items(), key=lambda _: random.random()))
    rows = [list(row) for row in zip(*shuffled.values(), strict=True)]
    expected = original(signature, frame)
    forms = [
        tensors_from_csv(as_csv(shuffled), signature),
        invoke(signature, dataframe_split={"columns": list(shuffled), "data": rows}),
        invoke(signature, dataframe_records=[dict(zip(shuffled, row, strict=True)) for row in rows]),
        invoke(signature, instances=[dict(zip(shuffled, row, strict=True)) for row in rows]),
        invoke(signature, inputs=shuffled),
    ]
    for tensors in forms:
        assert tensors.keys() == expected.keys()
        for name, array in tensors.items():
            assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("rows", [0, 1, 4096, 4097, 10_000])
def test_csv_of_any_length_is_read_whole(rows: int) -> None:
    body = b"city,age\n" + b"".join(b"c%d,%d\n" % (row, row) for row in range(rows))
    tensors = tensors_from_csv(body, BY_COLUMN)
    assert tensors["age"].tolist() == [[row] for row in range(rows)]
    assert tensors["city"].tolist() == [[f"c{row}"] for row in range(rows)]


@given(st.text())
def test_any_csv_is_read_or_refused(text: str) -> None:
    for signature in (BY_COLUMN, matrix("a", "b"), matrix(shape=("batch", 2)), matrix(shape=("batch", "n"))):
        with suppress(InvalidInput):
            tensors_from_csv(text.encode("utf-8", "surrogatepass"), signature)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["X", "age", "city", "a"]), inner),
    max_leaves=12,
)


@given(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), JSON, JSON)
def test_any_json_is_read_or_refused(form: str, content: Any, rows: Any) -> None:
    for signature in (BY_COLUMN, matrix("a"), matrix(shape=("batch", 2)), matrix(shape=("batch", 2, 2))):
        for body in ({form: content}, {form: {"columns": ["a", "city", "age"], "data": rows}}):
            with suppress(InvalidInput):
                invoke(signature, **body)


# --- instances and inputs


def test_instances_are_the_rows_of_the_only_input() -> None:
    rows = [[[1, 2], [3, 4]], [[5, 6], [7, None]]]
    array = invoke(matrix(shape=("batch", 2, 2)), instances=rows)["X"]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array([[[1, 2], [3, 4]], [[5, 6], [7, math.nan]]], "f4"))


@pytest.mark.parametrize("city", [["x", "y"], [["x"], ["y"]]], ids=["flat", "nested"])
def test_inputs_by_name_may_leave_out_a_last_axis_of_one(city: list[Any]) -> None:
    tensors = invoke(BY_COLUMN, inputs={"age": [1, 2], "city": city})
    assert (tensors["age"].tolist(), tensors["city"].tolist()) == ([[1], [2]], [["x"], ["y"]])


def test_instances_by_input_name() -> None:
    tensors = invoke(BY_COLUMN, instances=[{"age": [1], "city": ["x"]}, {"age": [2], "city": ["y"]}])
    assert (tensors["age"].tolist(), tensors["city"].tolist()) == ([[1], [2]], [["x"], ["y"]])


def test_no_instances_are_no_rows() -> None:
    assert invoke(matrix(shape=("batch", 2)), instances=[])["X"].shape == (0, 2)


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (BY_COLUMN, {"instances": [[1, "x"]]},
         "the model has 2 inputs, and 'instances' does not say which value is for which"),
        (BY_COLUMN, {"instances": 3}, "'instances' must be an array of rows, got 3"),
        (BY_COLUMN, {"instances": [{"age": 1, "city": "x"}, {"age": 1}]}, "input 'city' is missing in instances[1]"),
        (BY_COLUMN, {"instances": [{"age": 1}]}, "column 'city' is missing; the frame has 'age'"),
        (BY_COLUMN, {"inputs": {"age": 1, "city": ["x"]}}, "inputs.age must be an array with one entry a row, got 1"),
        (BY_COLUMN, {"inputs": {"age": [1.5], "city": ["x"]}},
         "input 'age' needs whole numbers (INT64), got 1.5 at position 0"),
        (BY_COLUMN, {"inputs": {"age": [1, 2], "city": ["x"]}},
         "input 'city' needs the axis 'batch' to be 2, as in another input, got 1 in the shape [1, 1]"),
        (matrix(shape=("batch", 2)), {"inputs": [[1, 2], [3]]},
         "input 'X' needs data flat or nested as the shape [2, 2] says, got data nested otherwise"),
        (matrix(shape=("batch", 2)), {"inputs": [[1, 2, 3]]}, "input 'X' needs the shape [batch, 2], got [1, 3]"),
    ],
)  # fmt: skip
def test_tensor_that_does_not_fit_is_named(signature: Signature, body: dict[str, Any], message: str) -> None:
    error = refused(signature, **body)
    assert (error.code, error.message) == ("E-INPUT", message)


# --- the envelope


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"[1]", "an array of 1"),
        (b"{}", "an object of 0"),
        (b'{"data": [], "index": []}', "'data', 'index'"),
        (b'{"inputs": [], "instances": []}', "'instances' and 'inputs'"),
    ],
)
def test_body_without_exactly_one_form_is_refused(body: bytes, got: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_invocation(body, BY_COLUMN)
    forms = "'dataframe_split', 'dataframe_records', 'instances', 'inputs'"
    assert caught.value.message == f"the body must be an object with one of {forms}, got {got}"
    assert "dataframe_split" in caught.value.hint


def test_params_are_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    array = invoke(matrix(shape=("batch", 1)), instances=[[1]], params={"temperature": 1})["X"]
    assert array.tolist() == [[1]]
    assert [record.message for record in caplog.records] == ["params are ignored: the model takes none"]
    assert refused(BY_COLUMN, inputs=[], params=3).message == "'params' must be an object, got 3"


def test_value_out_of_range_is_named_by_row_and_column() -> None:
    split = {"columns": ["b", "a"], "data": [[1, 2], [1e39, 2]]}
    error = refused(matrix("a", "b"), dataframe_split=split)
    assert error.message == "column 'b' needs values in the range of FP32, got 1e+39 in dataframe_split.data[1]"
    assert (error.detail["column"], error.detail["row"]) == ("b", 1)
    narrow = matrix("a", dtype="INT8")
    assert refused(narrow, dataframe_records=[{"a": 300}]).message.startswith("column 'a' needs values in the range")


# --- answers


def predictions(**outputs: Any) -> Any:
    return json.loads(encode_predictions({name: np.asarray(value) for name, value in outputs.items()}))["predictions"]


def test_one_output_gives_its_rows_and_nan_is_null() -> None:
    assert predictions(y=np.array([[1.5, math.nan], [0.1, 2]], "f4")) == [[1.5, None], [0.1, 2]]
    assert predictions(y=np.array(["é", b"b"], object)) == ["é", "b"]
    assert predictions(y=np.array(3, "i8")) == 3


def test_several_outputs_give_a_record_a_row() -> None:
    answer = predictions(
        label=np.array(["a", "b"], object),
        probabilities=np.array([[0.25, 0.75], [1, math.nan]], "f4"),
        sure=[True, False],
    )
    assert answer == [
        {"label": "a", "probabilities": [0.25, 0.75], "sure": True},
        {"label": "b", "probabilities": [1.0, None], "sure": False},
    ]


@pytest.mark.parametrize("dtype", [*(facts.numpy for facts in DTYPES.values() if facts.itemsize), "q", "Q"])
def test_every_type_is_written_in_records(dtype: str) -> None:
    assert predictions(a=np.ones(2, dtype), b=np.ones((2, 1), dtype)) == [{"a": 1, "b": [1]}] * 2


def test_outputs_without_common_rows_are_given_whole() -> None:
    assert predictions(y=[1, 2], loss=0.5) == {"y": [1, 2], "loss": 0.5}


def test_infinity_in_an_answer_is_an_error() -> None:
    with pytest.raises(NonFiniteOutput) as caught:
        predictions(y=np.array([1, math.inf], "f4"))
    assert caught.value.code == "E-NON-FINITE"
    assert caught.value.message == "output 'y' holds inf at [1], and JSON cannot carry infinity"
    assert "binary form" in caught.value.hint
