from pathlib import Path

import numpy as np

from packager.convert.batching import prove
from packager.convert.graph import check_graph
from packager.convert.parity import Tolerance
from tests.support.graphs import double, minus_mean

TIGHT = Tolerance(1e-5, 1e-4)


def rows(count: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)}


def test_rows_that_do_not_see_each_other_may_be_batched(tmp_path: Path) -> None:
    safety = prove(check_graph(double(tmp_path / "m.onnx")), rows(50), tolerance=TIGHT, seed=1)
    assert safety.batchable
    assert safety.reason == "50 rows gave the same answers one by one and in batches of 7 and 33, shuffled too"


def test_a_model_that_looks_at_the_whole_batch_is_not_batched(tmp_path: Path) -> None:
    safety = prove(check_graph(minus_mean(tmp_path / "m.onnx")), rows(50), tolerance=TIGHT, seed=1)
    assert not safety.batchable
    assert safety.reason.startswith("in batches of 7, row ")


def test_a_fixed_batch_is_not_batched(tmp_path: Path) -> None:
    safety = prove(check_graph(double(tmp_path / "m.onnx", shape=(1, 2))), rows(5), tolerance=TIGHT, seed=1)
    assert (safety.batchable, safety.reason) == (False, "its first axis is fixed at 1")


def test_one_row_proves_nothing(tmp_path: Path) -> None:
    safety = prove(check_graph(double(tmp_path / "m.onnx")), rows(1), tolerance=TIGHT, seed=1)
    assert not safety.batchable
    assert "--samples" in safety.reason
