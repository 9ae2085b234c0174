"""Requests from files and ``-i``: typed by what the model says of itself, never by the look of the text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packager.core.errors import UsageError
from packager.smoke import build_request
from runtime.contract.wire import InferenceRequest, ModelMetadata, TensorMetadata


def metadata(*inputs: tuple[str, Any, list[int]], **parameters: Any) -> ModelMetadata:
    tensors = [TensorMetadata(name=name, datatype=dtype, shape=shape) for name, dtype, shape in inputs]
    return ModelMetadata(name="m", platform="onnx", inputs=tensors, outputs=[], parameters=parameters or None)


MATRIX = metadata(("X", "FP32", [-1, 2]))
NAMED = metadata(("X", "FP32", [-1, 2]), columns={"X": ["a", "b"]})
COLUMNS = metadata(("zip", "BYTES", [-1, 1]), ("age", "INT64", [-1, 1]), ("member", "BOOL", [-1]))
TEXT = metadata(("text", "BYTES", [-1, 1]))


def tensors(request: InferenceRequest) -> dict[str, tuple[list[int], Any]]:
    return {tensor.name: (tensor.shape, tensor.data) for tensor in request.inputs}


def refused(model: ModelMetadata, *texts: str, file: Path | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        build_request(model, file, texts)
    return caught.value


def from_file(model: ModelMetadata, file: Path, content: str) -> dict[str, tuple[list[int], Any]]:
    file.write_text(content, encoding="utf-8")
    return tensors(build_request(model, file, ()))


def test_csv_is_typed_by_the_inputs(tmp_path: Path) -> None:
    content = "age,member,zip,id\n33,true,01234,1\n44,False,NA,2\n"
    assert from_file(COLUMNS, tmp_path / "rows.csv", content) == {
        "zip": ([2, 1], ["01234", "NA"]),
        "age": ([2, 1], [33, 44]),
        "member": ([2], [True, False]),
    }


def test_csv_columns_go_by_name_where_the_model_has_names(tmp_path: Path) -> None:
    assert from_file(NAMED, tmp_path / "rows.csv", "b,a\n2,1\n,3\n") == {"X": ([2, 2], [1, 2, 3, None])}
    assert from_file(MATRIX, tmp_path / "rows.csv", "b,a\n2,1\n") == {"X": ([1, 2], [2, 1])}
    assert from_file(MATRIX, tmp_path / "rows.csv", "2,1\n") == {"X": ([1, 2], [2, 1])}


def test_wrong_cell_of_a_csv_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("age,member,zip\n3.5,true,x\n")
    error = refused(COLUMNS, file=file)
    assert (error.code, error.message) == (
        "E-USAGE",
        "column 'age' needs whole numbers (INT64), got '3.5' in line 2",
    )
    assert error.hint == "the inputs are zip BYTES[-1, 1], age INT64[-1, 1], member BOOL[-1]"


@pytest.mark.parametrize(
    "content",
    [
        {"zip": "01234", "age": 33, "member": True},
        [{"zip": "01234", "age": 33, "member": True}],
        {"zip": [["01234"]], "age": [[33]], "member": [True]},
        {
            "inputs": [
                {"name": "zip", "shape": [1, 1], "datatype": "BYTES", "data": ["01234"]},
                {"name": "age", "shape": [1, 1], "datatype": "INT64", "data": [33]},
                {"name": "member", "shape": [1], "datatype": "BOOL", "data": [True]},
            ]
        },
    ],
    ids=["row", "records", "tensors", "v2"],
)
def test_json_is_a_row_records_tensors_or_a_request(tmp_path: Path, content: Any) -> None:
    answer = from_file(COLUMNS, tmp_path / "rows.json", json.dumps(content))
    flat = {name: np.ravel(data).tolist() for name, (_, data) in answer.items()}
    assert flat == {"zip": ["01234"], "age": [33], "member": [True]}


def test_json_rows_are_the_only_input(tmp_path: Path) -> None:
    assert from_file(MATRIX, tmp_path / "rows.json", "[[1, 2]]") == {"X": ([1, 2], [[1.0, 2.0]])}


def test_arrays_of_text_are_text(tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.array([["é".encode()]]))
    assert tensors(build_request(TEXT, tmp_path / "text.npy", ())) == {"text": ([1, 1], [["é"]])}


@pytest.mark.parametrize("zip_code", ["zip=01234", 'zip="01234"'])
def test_values_by_column_are_typed_by_the_column(zip_code: str) -> None:
    request = build_request(COLUMNS, None, [zip_code, "age=33", "member=true"])
    assert tensors(request) == {"zip": ([1, 1], ["01234"]), "age": ([1, 1], [33]), "member": ([1], [True])}


def test_number_for_a_column_of_text_is_text() -> None:
    assert tensors(build_request(TEXT, None, ["text=5"])) == {"text": ([1, 1], ["5"])}


def test_values_by_input_are_json() -> None:
    assert tensors(build_request(MATRIX, None, ["X=[1, 2]"])) == {"X": ([1, 2], [[1.0, 2.0]])}
    assert tensors(build_request(NAMED, None, ["X=[[1, 2]]"])) == {"X": ([1, 2], [[1.0, 2.0]])}
    assert tensors(build_request(NAMED, None, ["b=2", "a="])) == {"X": ([1, 2], [None, 2.0])}


@pytest.mark.parametrize(
    ("model", "texts", "message"),
    [
        (
            COLUMNS,
            ["zip=1", "age=x", "member=1"],
            "column 'age' needs whole numbers (INT64), got 'x' in the values given",
        ),
        (COLUMNS, ["zip=1", "age=1"], "column 'member' is missing; the frame has 'zip', 'age'"),
        (NAMED, ["a=1", "b=2", "c=3"], "the model has no column 'c'"),
        (MATRIX, ["Y=[1, 2]"], "the model has no input 'Y'"),
        (MATRIX, ["X=[1, 2, 3]"], "the input 'X' has the shape [1, 3], expected [-1, 2]"),
        (MATRIX, ["X"], "not an input: 'X'"),
    ],
)
def test_value_that_does_not_fit_is_named(model: ModelMetadata, texts: list[str], message: str) -> None:
    error = refused(model, *texts)
    assert error.message == message
    assert error.hint
