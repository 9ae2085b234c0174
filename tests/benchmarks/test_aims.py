import math

import pytest

from benchmarks.serving.aims import Aim, Rivals, aims, judge
from benchmarks.serving.cells import DEFAULT, cell
from benchmarks.serving.figures import middle
from benchmarks.serving.peers import PEERS
from benchmarks.serving.report import kinds
from tests.benchmarks.figures import turn

CELL = cell("logreg-json-32")
TRITON = Rivals("Triton", ["triton", "triton-batching"])
TABLE = {
    ("dray", CELL): middle([turn(40_000, cpu_us=20, p99_ms=2)]),
    ("triton", CELL): middle([turn(10_000, cpu_us=100, p99_ms=8)]),
    ("triton-batching", CELL): middle([turn(16_000, cpu_us=50, p99_ms=1)]),
}


@pytest.mark.parametrize(
    ("metric", "ratio", "rival"),
    [("rate", 2.5, "triton-batching"), ("cpu_us", 2.5, "triton-batching"), ("p99_ms", 0.5, "triton-batching")],
)
def test_the_best_rival_is_the_measure(metric: str, ratio: float, rival: str) -> None:
    reached = judge(Aim(CELL, metric, TRITON, 2.0), "dray", TABLE)  # type: ignore[arg-type]

    assert reached.ratio == pytest.approx(ratio)
    assert reached.rival == rival
    assert reached.met is (ratio >= 2.0)


@pytest.mark.parametrize("contender", ["dray-workers", "dray"])
def test_what_was_not_measured_is_not_judged(contender: str) -> None:
    table = {key: figures for key, figures in TABLE.items() if key[0] == "dray"}

    assert judge(Aim(CELL, "rate", TRITON, 2.0), contender, table).met is None


def test_a_contender_without_answers_has_no_tail_to_compare() -> None:
    table = {**TABLE, ("dray", CELL): middle([turn(0, p99_ms=math.nan)])}

    assert judge(Aim(CELL, "p99_ms", TRITON, 1.0), "dray", table).ratio is None


def test_every_aim_of_the_default_cells_has_rivals() -> None:
    every = aims(DEFAULT, kinds(PEERS))

    assert all(aim.rivals.names for aim in every)
    assert sum(aim.metric == "p99_ms" for aim in every) == len(DEFAULT)
    assert {aim.cell.name for aim in every if aim.least == 1 and aim.metric == "rate"} == {
        one.name for one in DEFAULT if one.connections == 1
    }


def test_medians_ignore_an_outlier_and_errors_add_up() -> None:
    figures = middle([turn(100, status=1), turn(10_000), turn(110, status=2)])

    assert figures.rate == 110
    assert figures.errors == {"status": 3}
