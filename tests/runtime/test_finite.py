import numpy as np
import pytest

from runtime.contract.manifest import TensorSpec
from runtime.engine.finite import check_finite
from runtime.errors import InvalidInput


def spec(non_finite: str) -> TensorSpec:
    return TensorSpec(name="x", dtype="FP32", shape=("batch", 2), columns=("age", "dose"), non_finite=non_finite)


def test_nan_is_refused_where_the_model_refuses_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_finite(spec("none"), np.array([[1, 2], [3, np.nan]], "f4"))

    assert caught.value.code == "E-INPUT"
    assert (
        caught.value.message == "input 'x' needs finite numbers, as the model does, got nan at [1, 1] (column 'dose')"
    )
    assert caught.value.hint


def test_a_model_that_takes_nan_may_refuse_infinity() -> None:
    check_finite(spec("nan"), np.array([[1, np.nan]], "f4"))
    with pytest.raises(InvalidInput, match="finite numbers or NaN"):
        check_finite(spec("nan"), np.array([[1, -np.inf]], "f4"))


@pytest.mark.parametrize("rows", [np.zeros((0, 2), "f4"), np.ones((3, 2), "f4")])
def test_finite_numbers_and_no_rows_pass(rows: np.ndarray) -> None:
    check_finite(spec("none"), rows)
