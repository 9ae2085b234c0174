"""The type of a column decides what a cell means, never the look of its text."""

import math
from typing import Any

import pytest

from runtime.contract.cells import CellError, is_numeric_text, values_from_json, values_from_text
from runtime.contract.dtypes import Datatype


@pytest.mark.parametrize("text", ["01234", "NA", "", "nan", "true", "1.0", " x ", "1_000", "é"])
def test_text_in_a_column_of_strings_stays_as_it_is(text: str) -> None:
    assert values_from_text("BYTES", [text]) == [text]


@pytest.mark.parametrize(
    ("text", "number"),
    [("01234", 1234.0), ("-1.5e3", -1500.0), (" 2 ", 2.0), ("inf", math.inf), ("-Infinity", -math.inf), ("True", 1.0)],
)
def test_text_in_a_column_of_floats_is_a_number(text: str, number: float) -> None:
    assert list(values_from_text("FP32", [text])) == [number]


@pytest.mark.parametrize("text", ["", "NA", "NaN", "nan", "null", "None", "N/A", "<NA>"])
def test_missing_text_in_a_column_of_floats_is_nan(text: str) -> None:
    one, two = values_from_text("FP64", ["1", text])
    assert one == 1
    assert math.isnan(two)


@pytest.mark.parametrize(("text", "number"), [("007", 7), ("+5", 5), ("1.0", 1), ("1e3", 1000), ("false", 0)])
def test_text_in_a_column_of_integers_is_a_whole_number(text: str, number: int) -> None:
    assert list(values_from_text("INT64", ["-3", text])) == [-3, number]


def test_large_integers_are_exact() -> None:
    assert list(values_from_text("INT64", ["9223372036854775807"])) == [2**63 - 1]


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1"])
def test_text_in_a_column_of_booleans(text: str) -> None:
    assert list(values_from_text("BOOL", [text, "false", "False", "FALSE", "0"])) == [True] + [False] * 4


@pytest.mark.parametrize(
    ("dtype", "text", "expected", "actual"),
    [
        ("INT64", "1.5", "whole numbers (INT64)", "'1.5'"),
        ("INT64", "", "whole numbers (INT64)", "an empty cell"),
        ("INT64", "NA", "whole numbers (INT64)", "'NA'"),
        ("INT64", "1_000", "whole numbers (INT64)", "'1_000'"),
        ("INT64", "1e30", "whole numbers (INT64)", "'1e30'"),
        ("INT64", "٣", "whole numbers (INT64)", "'٣'"),
        ("INT64", "1" * 5000, "whole numbers (INT64)", "'" + "1" * 79 + "…"),
        ("FP32", "abc", "numbers (FP32)", "'abc'"),
        ("FP32", "1_0", "numbers (FP32)", "'1_0'"),
        ("FP64", "1e999", "numbers (FP64)", "'1e999'"),
        ("FP64", "0x10", "numbers (FP64)", "'0x10'"),
        ("BOOL", "yes", "true or false (BOOL)", "'yes'"),
        ("BOOL", "", "true or false (BOOL)", "an empty cell"),
    ],
)
def test_text_that_means_nothing_is_named(dtype: Datatype, text: str, expected: str, actual: str) -> None:
    with pytest.raises(CellError) as caught:
        values_from_text(dtype, ["1", text, "?"])
    assert (caught.value.index, caught.value.expected, caught.value.actual) == (1, expected, actual)


@pytest.mark.parametrize(
    ("dtype", "cells", "values"),
    [
        ("BYTES", ["01234", None, math.nan], ["01234", "", ""]),
        ("FP32", [1, 2.5, None, True], [1, 2.5, None, True]),
        ("INT64", [1, 2.0, True], [1, 2, 1]),
        ("BOOL", [True, 0, 1.0], [True, False, True]),
    ],
)
def test_json_values_are_taken(dtype: Datatype, cells: list[Any], values: list[Any]) -> None:
    assert list(values_from_json(dtype, cells)) == values


@pytest.mark.parametrize(
    ("dtype", "cell", "actual"),
    [
        ("BYTES", 1234, "1234"),
        ("BYTES", True, "true"),
        ("FP32", "1.5", "'1.5'"),
        ("FP32", [1], "an array of 1"),
        ("INT64", 1.5, "1.5"),
        ("INT64", None, "null"),
        ("INT64", math.nan, "nan"),
        ("INT64", math.inf, "inf"),
        ("BOOL", None, "null"),
        ("BOOL", 2, "2"),
        ("BOOL", "true", "'true'"),
    ],
)
def test_json_value_of_another_type_is_named(dtype: Datatype, cell: Any, actual: str) -> None:
    with pytest.raises(CellError) as caught:
        values_from_json(dtype, [cell])
    assert (caught.value.index, caught.value.actual) == (0, actual)


@pytest.mark.parametrize(("text", "numeric"), [("1e5", True), ("", True), ("age", False), ("1e999", False)])
def test_what_could_be_a_number(text: str, numeric: bool) -> None:
    assert is_numeric_text(text) is numeric
