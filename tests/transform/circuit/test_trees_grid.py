"""Values and thresholds as integers: which comparisons keep their answer, and how near to a threshold one may not."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from packager.core.errors import CircuitRefused
from packager.transform.circuit.ends import to_circuit
from packager.transform.circuit.frontend import cut
from packager.transform.circuit.grid import WIDEST, chosen, on_grid
from packager.transform.circuit.network import Tree, Trees, evaluate
from packager.transform.circuit.scales import Grid
from tests.support.circuits import mlp
from tests.support.tree_models import regressor, rows_around

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


def stumps(thresholds: list[float]) -> Trees:
    """A decision over the one feature for each threshold."""
    ends = np.array([1, -1, -1]), np.array([2, -1, -1])
    nothing = np.array([False, False, False])
    trees = [Tree(np.zeros(3, np.int64), np.array([one, 0, 0]), *ends, nothing, np.eye(3)[:, :1]) for one in thresholds]
    return Trees(tuple(trees), np.zeros(1))


def sides(grid: Grid, values: np.ndarray, threshold: float) -> np.ndarray:
    whole = grid.thresholds(np.zeros(1, np.int64), np.array([threshold]))
    return grid.integers(values[:, None])[:, 0] <= whole[0]


@settings(max_examples=200, deadline=None)
@given(thresholds=st.lists(FINITE, min_size=1, max_size=6, unique=True), samples=st.lists(FINITE, max_size=6))
@example(thresholds=[0.0], samples=[0.0, 1.0])
@example(thresholds=[1e-35, -1e-35], samples=[0.0])
@example(thresholds=[0.5, 1.5], samples=[0.0, 1.0, 2.0])
def test_a_comparison_changes_only_within_half_a_step_of_its_threshold(
    thresholds: list[float], samples: list[float]
) -> None:
    grid = chosen(stumps(thresholds), np.array(samples or [0.0])[:, None])
    step = 2.0 ** -float(grid.fractions[0])
    for one in thresholds:
        beside = np.array([one, np.nextafter(one, -np.inf), np.nextafter(one, np.inf), one - step, one + step])
        whole = np.floor(np.ldexp(one, grid.fractions[0])) + np.arange(-2, 3)
        on = np.ldexp(whole, -int(grid.fractions[0]))
        assert sides(grid, on, one).tolist() == (on <= one).tolist()
        far = np.abs(beside - one) > step / 2
        assert sides(grid, beside[far], one).tolist() == (beside[far] <= one).tolist()
        assert sides(grid, np.array([np.inf, -np.inf, 1e300, -1e300]), one).tolist() == [False, True, False, True]


@given(st.lists(st.integers(-400, 400), min_size=1, max_size=8, unique=True))
def test_whole_numbers_are_decided_exactly_on_a_grid_of_ones(values: list[int]) -> None:
    rows = np.array(sorted(values), np.float64)
    thresholds = [float(one) + half for one in values for half in (0.0, 0.5)]
    grid = chosen(stumps(thresholds), rows[:, None])
    for one in thresholds:
        assert sides(grid, rows, one).tolist() == (rows <= one).tolist()


def test_close_values_far_from_zero_need_few_bits() -> None:
    rows = np.array([1000.001, 1000.002, 1000.003])[:, None]
    grid = chosen(stumps([1000.0015, 1000.0025]), rows)
    assert grid.bits <= 6
    assert sides(grid, rows[:, 0], 1000.0015).tolist() == [True, False, False]


def test_values_that_nothing_of_sixteen_bits_tells_apart_get_sixteen() -> None:
    grid = chosen(stumps([0.0, 1.0]), np.array([[1e-9]]))
    assert grid.bits == WIDEST


def test_thresholds_stay_apart_though_no_sample_tells_them_apart() -> None:
    thresholds = [0.0, 0.01, 5.0]
    grid = chosen(stumps(thresholds), np.array([[np.nan], [3e38]]))
    assert len({*grid.thresholds(np.zeros(3, np.int64), np.array(thresholds)).tolist()}) == 3
    assert sides(grid, np.array([0.005]), 0.0).tolist() == [False]
    assert sides(grid, np.array([0.005]), 0.01).tolist() == [True]


def test_a_threshold_that_stands_for_infinity_takes_all_numbers_to_the_left() -> None:
    grid = chosen(stumps([1e300, 0.5, 0.25]), np.array([[0.3], [0.2]]))
    assert grid.bits <= 6
    assert sides(grid, np.array([0.3, 3e38]), 1e300).tolist() == [True, True]
    assert sides(grid, np.array([0.3, 0.2, 1.0]), 0.25).tolist() == [False, True, False]


def test_missing_numbers_have_an_integer_of_their_own() -> None:
    grid = Grid(np.array([3, 5]), np.array([0, 0]), np.array([0, 0]))
    whole = grid.integers(np.array([[np.nan, np.nan], [np.inf, np.inf], [-np.inf, 4.0]]))
    assert whole.tolist() == [[31, 31], [24, 30], [0, 4]]
    assert grid.missing.tolist() == [28, 31]
    assert grid.table() == "feature,bits,fraction,offset,shift\n0,3,0,0,2\n1,5,0,0,0\n"


def test_the_hosts_part_rounds_as_the_grid_does() -> None:
    model = regressor(7, trees=4, depth=3)
    parts, rows = cut(model), rows_around(model)
    extreme = np.array([[np.inf, -np.inf, 3e38, -3e38], [0, -0.0, 1e-40, np.nan]], np.float32)
    rows = np.concatenate([rows, extreme])
    made = on_grid(parts, {"x": rows})
    assert made.entry == "x/integers"
    grid = chosen(parts.network.layers[0].operation, rows.astype(np.float64))
    assert to_circuit(made, {"x": rows}).tolist() == grid.integers(rows.astype(np.float64)).tolist()


def test_samples_off_the_thresholds_are_decided_as_by_the_model() -> None:
    model = regressor(7, trees=4, depth=3)
    # The thresholds have one decimal.
    rows = np.random.default_rng(2).integers(-30, 30, size=(300, 4)).astype(np.float32) / 10 + np.float32(0.04)
    rows[::7, 1] = np.nan
    parts = cut(model)
    made = on_grid(parts, {"x": rows})
    found = evaluate(made.network, to_circuit(made, {"x": rows}))[-1]
    np.testing.assert_array_equal(found, evaluate(parts.network, rows)[-1])


def test_what_is_no_tree_stays_as_it_is() -> None:
    parts = cut(mlp())
    assert on_grid(parts, {"x": np.zeros((1, 6), np.float32)}) is parts


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(CircuitRefused, match="threshold of the trees is NaN"):
        chosen(stumps([np.nan, 1.0]), np.zeros((1, 1)))
