import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contract.closeness import compare_answer
from runtime.contract.tensors import TensorFile

FLOATS = st.floats(width=64, allow_nan=True, allow_infinity=False)


def fp64(*values: float) -> TensorFile:
    return TensorFile("y", "FP64", (len(values),), np.array(values, "<f8").tobytes())


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5), st.sampled_from([1e-5, 1e-3]))
def test_rule_is_that_of_numpy(pairs: list[tuple[float, float]], atol: float) -> None:
    expected, actual = zip(*pairs, strict=True)
    with np.errstate(over="ignore", invalid="ignore"):
        close = np.allclose(actual, expected, atol=atol, rtol=1e-4, equal_nan=True)
    found = compare_answer(fp64(*expected), actual, (len(actual),), atol=atol, rtol=1e-4)
    assert (found.problem is None) == close


def test_null_stands_for_nan() -> None:
    assert compare_answer(fp64(math.nan), [None], [1], atol=0, rtol=0).problem is None
    assert "is nan, expected 1.0" in (compare_answer(fp64(1.0), [None], [1], atol=1, rtol=1).problem or "")


def test_infinity_equals_itself_only() -> None:
    assert compare_answer(fp64(math.inf), [math.inf], [1], atol=0, rtol=0).problem is None
    assert compare_answer(fp64(math.inf), [-math.inf], [1], atol=1, rtol=1).problem is not None


def test_worst_value_is_named_with_its_place() -> None:
    expected = TensorFile("y", "FP32", (2, 2), np.array([1, 2, 3, 4], "<f4").tobytes())
    found = compare_answer(expected, [1.0, 2.1, 3.0, 5.0], (2, 2), atol=1e-5, rtol=1e-4)
    assert found.problem == "output 'y' at [1, 1] is 5.0, expected 4.0 (off by 1)"
    assert found.max_abs_error == 1.0


def test_labels_must_be_equal() -> None:
    expected = TensorFile("label", "BYTES", (2,), (b"yes", b"no"))
    assert compare_answer(expected, ["yes", b"no"], (2,), atol=1, rtol=1).problem is None
    found = compare_answer(expected, ["yes", "yes"], (2,), atol=1, rtol=1)
    assert found.problem == "output 'label' at [1] is 'yes', expected 'no'"


@pytest.mark.parametrize(("actual", "shape"), [([1.0], (1, 1)), ([1.0, 2.0], (2,)), ([], (1,))])
def test_other_shape_is_wrong(actual: list[float], shape: tuple[int, ...]) -> None:
    assert compare_answer(fp64(1.0), actual, shape, atol=1, rtol=1).problem is not None


def test_number_is_not_a_boolean() -> None:
    expected = TensorFile("flag", "BOOL", (1,), b"\x01")
    assert compare_answer(expected, [1], (1,), atol=0, rtol=0).problem is not None


@pytest.mark.parametrize(("dtype", "kind"), [("FP32", "<f4"), ("FP16", "<f2")])
def test_number_that_json_spells_shorter_is_the_same_number(dtype: Any, kind: str) -> None:
    value = np.array([0.1, 12.345703, 1.5], kind)
    expected = TensorFile("y", dtype, (3,), value.tobytes())
    spelt = [float(str(one)) for one in value]
    assert spelt != value.tolist()
    assert compare_answer(expected, spelt, (3,), atol=0, rtol=0).problem is None
    assert compare_answer(expected, [0.1, 12.5, 1.5], (3,), atol=0, rtol=0).problem is not None
    assert compare_answer(expected, [0.1, 1e300, 1.5], (3,), atol=0, rtol=0).problem is not None
