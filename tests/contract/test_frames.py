"""Frames laid out as inputs take them: by name, by position, and every way in which they do not fit."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from runtime.contract.frame_readers import (
    frame_from_columns,
    frame_from_csv,
    frame_from_records,
    frame_from_split,
    frames_from_csv,
)
from runtime.contract.frames import Frame, FrameError, blocks_of
from runtime.contract.manifest import Dim, TensorSpec


def spec(name: str, dtype: Any = "FP64", shape: tuple[Dim, ...] = ("batch", 1), **more: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, **more)


NAMED = (spec("X", shape=("batch", 2), columns=("a", "b")),)
BARE = (spec("X", shape=("batch", 2)),)
ANY_WIDTH = (spec("X", shape=("batch", "n")),)
TEXT = (spec("text", "BYTES"),)
COLUMNS = (spec("age", "INT64"), spec("city", "BYTES"), spec("member", "BOOL", ("batch",)))


def values(frame: Frame, specs: tuple[TensorSpec, ...]) -> dict[str, list[Any]]:
    return {block.spec.name: list(block.values) for block in blocks_of(frame, specs)}


def from_csv(text: str, specs: tuple[TensorSpec, ...], **options: Any) -> dict[str, list[Any]]:
    return values(frame_from_csv(text.encode(), specs, **options), specs)


def refused(make: Callable[[], Any]) -> FrameError:
    with pytest.raises(FrameError) as caught:
        make()
    return caught.value


# --- by name


def test_named_columns_are_reordered_and_others_left_out() -> None:
    assert from_csv("id,b,a\n7,2,1\n8,4,3\n", NAMED) == {"X": [1, 2, 3, 4]}


def test_each_input_takes_its_own_column() -> None:
    assert from_csv("city,member,age\n01234,true,33\nNA,0,44\n", COLUMNS) == {
        "age": [33, 44],
        "city": ["01234", "NA"],
        "member": [True, False],
    }


def test_shapes_follow_the_inputs() -> None:
    frame = frame_from_records([{"age": 1, "city": "x", "member": True}], "records")
    assert [block.shape for block in blocks_of(frame, COLUMNS)] == [(1, 1), (1, 1), (1,)]


def test_records_and_split_and_columns_are_the_same_frame() -> None:
    records = frame_from_records([{"b": 2, "a": 1}, {"a": 3, "b": None, "c": 0}], "records")
    split = frame_from_split({"index": [0, 1], "columns": ["b", "a"], "data": [[2, 1], [None, 3]]}, "split")
    columns = frame_from_columns({"a": [1, 3], "b": [2, None]}, "inputs")
    assert values(records, NAMED) == values(split, NAMED) == values(columns, NAMED) == {"X": [1, 2, 3, None]}


@pytest.mark.parametrize("specs", [NAMED, BARE, ANY_WIDTH, TEXT, COLUMNS])
def test_no_rows_are_no_rows(specs: tuple[TensorSpec, ...]) -> None:
    for frame in (frame_from_records([], "records"), frame_from_split({"data": []}, "split")):
        assert all(block.shape[0] == 0 for block in blocks_of(frame, specs))


# --- by position


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "x,y\n1,2\n3,4\n", "0,1\n1,2\n3,4", "1,2\r\n\r\n3,4\r\n"])
def test_columns_without_names_go_by_position(text: str) -> None:
    assert from_csv(text, BARE) == from_csv(text, ANY_WIDTH) == {"X": [1, 2, 3, 4]}


def test_columns_that_are_counted_go_by_their_number() -> None:
    names = [str(index) for index in range(11)]
    record = {name: int(name) for name in sorted(names)}  # 0, 1, 10, 2, …
    assert values(frame_from_records([record], "records"), ANY_WIDTH) == {"X": list(range(11))}


@pytest.mark.parametrize(("header", "rows"), [("present", [3, 4]), ("absent", [0, 1, 3, 4])], ids=["present", "absent"])
def test_what_the_sender_says_of_the_header_holds(header: Any, rows: list[float]) -> None:
    assert from_csv("0,1\n3,4\n", BARE, header=header) == {"X": rows}


def test_first_line_with_a_typing_error_is_no_header() -> None:
    error = refused(lambda: from_csv("1.5,abc\n3,4\n", BARE))
    assert error.message == "column 1 needs numbers (FP64), got 'abc' in line 1"


def test_only_input_of_one_column_is_found_by_its_name() -> None:
    assert from_csv("id,text\n7,hello\n", TEXT) == {"text": ["hello"]}
    assert values(frame_from_records([{"body": "hi"}], "records"), TEXT) == {"text": ["hi"]}


# --- CSV as RFC 4180 has it


def test_quotes_line_breaks_and_a_byte_order_mark_are_read() -> None:
    text = '\ufeffage,city,member\r\n1,"a ""b"", c\r\nd",1\r\n'
    assert from_csv(text, COLUMNS)["city"] == ['a "b", c\r\nd']


def test_empty_cells_are_missing_values() -> None:
    specs = (spec("x"), spec("s", "BYTES"))
    x, s = from_csv('x,s\n,""\n', specs).values()
    assert math.isnan(x[0])
    assert s == [""]


def test_cell_may_be_a_long_document() -> None:
    assert len(from_csv("text\n" + "x" * 200_000 + "\n", TEXT)["text"][0]) == 200_000


def test_pieces_are_the_whole_and_name_the_same_lines() -> None:
    body = b"1,2\n3,4\n5,6\n\n7,x\n"
    pieces = list(frames_from_csv(body, BARE, rows=2))
    assert [len(piece.rows) for piece in pieces] == [2, 2]
    error = refused(lambda: blocks_of(pieces[1], BARE))
    assert error.message == "column 1 needs numbers (FP64), got 'x' in line 5"
    assert (error.detail["row"], error.detail["line"]) == (3, 5)


def test_later_piece_of_another_width_is_refused() -> None:
    error = refused(lambda: list(frames_from_csv(b"1,2\n3,4\n5\n6\n", ANY_WIDTH, rows=2)))
    assert error.message == "line 3 has 1 cells, 2 are in the first row"


# --- what does not fit

COLUMN_CASES: list[tuple[Callable[[], Any], str, dict[str, Any]]] = [
    (
        lambda: from_csv("a,c\n1,2\n", NAMED),
        "column 'b' is missing; the frame has 'a', 'c'",
        {"column": "b", "actual": ["a", "c"]},
    ),
    (lambda: from_csv("a,b,b\n1,2,3\n", NAMED), "column 'b' is there 2 times; the frame has 'a', 'b', 'b'",
     {"column": "b", "actual": ["a", "b", "b"]}),
    (lambda: values(frame_from_records([{"a": 1, "b": 2}, {"a": 3}], "r"), NAMED), "column 'b' is missing in r[1]",
     {"column": "b", "row": 1}),
    (lambda: values(frame_from_split({"data": [[1, 2]]}, "s"), NAMED),
     "the model takes its columns by name ('a', 'b'), and the frame has none", {"expected": ["a", "b"]}),
    (lambda: from_csv("1,2\n", NAMED, header="absent"),
     "the model takes its columns by name, and the CSV is said to have no header", {}),
    (lambda: from_csv("1,2,3\n", BARE), "input 'X' takes 2 columns by position, the frame has 3",
     {"tensor": "X", "expected": 2, "actual": 3}),
    (lambda: from_csv("x,y,z\n1,2,3\n", BARE),
     "input 'X' takes 2 columns by position, the frame has 3 ('x', 'y', 'z')",
     {"tensor": "X", "expected": 2, "actual": 3}),
    (lambda: values(frame_from_records([{"a": 1, "b": 2}, {"a": 3, "b": 4, "c": 5}], "r"), BARE),
     "r[1] has 3 columns, the first has 2", {"row": 1}),
    (lambda: values(frame_from_records([{}], "r"), ANY_WIDTH), "the frame has rows without columns", {}),
    (lambda: values(frame_from_columns({"a": [1], "b": [1, 2]}, "inputs"), NAMED),
     "column 'b' has 2 values, column 'a' has 1", {"column": "b"}),
    (lambda: values(frame_from_records([1], "r"), NAMED), "r[0] must be an object by column name, got 1", {"row": 0}),
    (lambda: frame_from_records({}, "r"), "r must be an array of objects by column name, got an object of 0", {}),
    (lambda: frame_from_split([], "s"), "s must be an object with an array 'data', and 'columns'", {}),
    (lambda: frame_from_split({"columns": [None], "data": []}, "s"),
     "s.columns must be an array of names, got an array of 1", {}),
    (lambda: frame_from_split({"columns": ["a"], "data": [[1], 2]}, "s"), "s.data[1] must be an array of cells, got 2",
     {"row": 1}),
    (lambda: frame_from_split({"columns": ["a"], "data": [[1], [1, 2]]}, "s"),
     "s.data[1] has 2 cells, 1 columns have names", {"row": 1, "expected": 1, "actual": 2}),
    (lambda: frame_from_split({"data": [[1], [1, 2]]}, "s"), "s.data[1] has 2 cells, 1 are in the first row",
     {"row": 1, "expected": 1, "actual": 2}),
    (lambda: from_csv('a,b\n"1\n",2\n\n3\n', NAMED), "line 5 has 1 cells, 2 columns have names",
     {"row": 1, "line": 5, "expected": 2, "actual": 1}),
    (lambda: from_csv("", NAMED), "the CSV is empty", {}),
    (lambda: from_csv('a,b\n"1"2,3\n', NAMED), "the CSV cannot be read: ',' expected after '\"' in line 2", {}),
    (lambda: from_csv('a,b\n"1,3\n', NAMED), "the CSV cannot be read: unexpected end of data in line 2", {}),
    (lambda: from_csv("hello\nworld\n", TEXT),
     "nobody can tell whether the first line of the CSV is a header or a row: 'hello'", {}),
    (lambda: frame_from_csv("é".encode("latin-1"), NAMED), "the CSV is not UTF-8: byte 0 is 0xe9", {}),
    (lambda: values(frame_from_records([{}], "r"), (spec("X", shape=("batch", 3, 3)),)),
     "input 'X' has the shape [batch, 3, 3], which no frame has", {}),
    (lambda: values(frame_from_records([{"a": 1}], "r"), (spec("a"), spec("X", shape=("batch", 3)))),
     "input 'X' has 3 columns without names, so a frame cannot feed it", {}),
    (lambda: from_csv("member,age,city\n1,3,x\n0,1.5,y\n", COLUMNS),
     "column 'age' needs whole numbers (INT64), got '1.5' in line 3",
     {"tensor": "age", "column": "age", "row": 1, "line": 3, "expected": "whole numbers (INT64)", "actual": "'1.5'"}),
    (lambda: values(frame_from_records([{"a": 1, "b": 2}, {"a": 1, "b": "2"}], "dataframe_records"), NAMED),
     "column 'b' needs numbers (FP64), got '2' in dataframe_records[1]",
     {"tensor": "X", "column": "b", "row": 1, "expected": "numbers (FP64)", "actual": "'2'"}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message", "detail"), COLUMN_CASES, ids=[case[1][:40] for case in COLUMN_CASES])
def test_frame_that_does_not_fit_is_named(make: Callable[[], Any], message: str, detail: dict[str, Any]) -> None:
    error = refused(make)
    assert (error.message, error.detail) == (message, detail)


def test_ambiguous_header_has_a_cure() -> None:
    assert "header=present" in refused(lambda: from_csv("hello\nworld\n", TEXT)).hint
    assert from_csv("hello\nworld\n", TEXT, header="absent") == {"text": ["hello", "world"]}


def test_many_columns_are_not_all_listed() -> None:
    header = ",".join(f"c{index}" for index in range(30))
    assert refused(lambda: from_csv(f"{header}\n", NAMED)).message.endswith("'c19' and 10 more")
