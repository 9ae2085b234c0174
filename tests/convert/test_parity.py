import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.convert.parity import Tolerance, check_conversion, check_user_visible, compare, within_tolerance
from packager.core.errors import ParityError
from runtime.contract.closeness import compare_answer
from runtime.contract.tensors import TensorFile

TIGHT = Tolerance(1e-5, 1e-4)
FLOATS = st.one_of(
    st.floats(width=64, allow_nan=True, allow_infinity=True), st.sampled_from([0.0, -0.0, 1.0, 1.00011, 0.99989, 1e-5])
)


@given(
    st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=8),
    st.sampled_from([(1e-5, 1e-4), (0.0, 0.0), (0.0, 1e-4), (1.0, 0.0)]),
)
def test_the_rule_is_that_of_the_smoke_test(pairs: list[tuple[float, float]], tolerance: tuple[float, float]) -> None:
    expected, actual = np.array(pairs).T
    atol, rtol = tolerance
    tensor = TensorFile("y", "FP64", (len(pairs),), np.ascontiguousarray(expected).tobytes())
    smoke = compare_answer(tensor, actual.tolist(), (len(pairs),), atol=atol, rtol=rtol)
    deviation = compare({"y": expected}, [{"y": actual}], Tolerance(atol, rtol)).outputs["y"]
    assert deviation.passed == (smoke.problem is None)
    if smoke.max_abs_error is not None and math.isfinite(smoke.max_abs_error) and deviation.max_abs_error is not None:
        assert deviation.max_abs_error == pytest.approx(smoke.max_abs_error, nan_ok=True)


def test_rows_are_counted_over_all_runs() -> None:
    expected = np.zeros((3, 2))
    first, second = expected.copy(), expected.copy()
    first[0, 0], second[0, 1], second[2, 1] = 1.0, 1.0, 2.0
    deviation = compare({"p": expected}, [{"p": first}, {"p": second}], TIGHT).outputs["p"]
    assert (deviation.rows_over, deviation.worst_row, deviation.actual) == (2, 2, 2.0)


def test_labels_must_be_equal_and_are_counted() -> None:
    deviation = compare({"label": np.array(["a", "b"])}, [{"label": np.array(["a", "c"], object)}], TIGHT).outputs[
        "label"
    ]
    assert deviation.labels_differing == 1
    assert (deviation.worst_row, deviation.expected, deviation.actual) == (1, "b", "c")
    assert deviation.max_abs_error is None


def test_labels_of_another_type_all_differ() -> None:
    deviation = compare({"label": np.array([1, 0])}, [{"label": np.array(["1", "0"], object)}], TIGHT).outputs["label"]
    assert deviation.labels_differing == 2


def test_not_a_number_is_recorded_as_text() -> None:
    deviation = compare({"y": np.array([1.0])}, [{"y": np.array([np.nan])}], TIGHT).outputs["y"]
    assert (deviation.rows_over, deviation.actual) == (1, "nan")
    assert deviation.model_dump_json()


def test_another_shape_is_refused() -> None:
    with pytest.raises(ParityError, match=r"has the shape \[2, 1\], the source answers \[2\]"):
        compare({"y": np.zeros(2)}, [{"y": np.zeros((2, 1))}], TIGHT)


def test_usable_rows_are_those_that_every_run_answers_right() -> None:
    expected = {"y": np.zeros(3), "label": np.array([1, 2, 3])}
    right = {"y": np.zeros(3, np.float32), "label": np.array([1, 2, 3])}
    wrong = {"y": np.array([0, 1, 0], np.float32), "label": np.array([1, 2, 4])}
    assert within_tolerance(expected, [right, wrong], TIGHT).tolist() == [True, False, False]


def test_a_wrong_conversion_names_output_row_and_values() -> None:
    comparison = compare({"p": np.array([0.0, 0.25])}, [{"p": np.array([0.0, 0.5])}], TIGHT)
    with pytest.raises(ParityError) as caught:
        check_conversion(comparison, hint="mend it")
    assert caught.value.code == "E-PARITY"
    assert caught.value.message == (
        "ONNX answers 'p' in row 1 with 0.5, the source with 0.25 for the same values: 1 of 2 rows over tolerance"
    )
    assert caught.value.hint == "mend it"
    assert caught.value.detail["output"] == "p"


def test_a_loss_of_precision_is_refused_unless_accepted() -> None:
    comparison = compare({"p": np.array([0.25])}, [{"p": np.array([0.5])}], TIGHT)
    with pytest.raises(ParityError, match="for the original values") as caught:
        check_user_visible(comparison, accepted=False)
    assert "--accept-precision-loss" in caught.value.hint
    assert check_user_visible(comparison, accepted=True)
