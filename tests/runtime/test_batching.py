import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from runtime.app import create_serving
from runtime.engine.batching import Batcher
from runtime.engine.costs import Costs, measure, shares_runs
from runtime.engine.session import OnnxModel
from runtime.errors import RefusedByModel
from runtime.settings import Settings
from tests.support.packages import identity_model, make_package

FREE = Costs(run_ns=1000, best_rows=64, best_ns=2000)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    serving = create_serving(Settings(packages=(make_package(tmp_path_factory.mktemp("b") / "p").root,), threads=1))
    serving.repository.load()
    return serving.repository.find("iris")


class Counting:
    """A model that counts its runs, and refuses rows that begin with -1."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def run(self, inputs: Any, outputs: Any = None) -> Any:
        self.sizes.append(len(inputs["X"]))
        if (inputs["X"][:, 0] == -1).any():
            raise RefusedByModel("no")
        return self._model.run(inputs, outputs)


def rows(count: int, start: float = 0.0) -> dict[str, np.ndarray]:
    return {"X": np.full((count, 4), start, "f4") + np.arange(count, dtype="f4")[:, None]}


def together(
    batcher: Batcher, asked: list[tuple[dict[str, np.ndarray], Any]], gone: Callable[[int], bool] = lambda _: False
) -> list[Any]:
    """What came of requests of one turn of the loop; None for those that were never called back."""
    came: list[Any] = [None] * len(asked)

    async def turn() -> None:
        for place, (inputs, outputs) in enumerate(asked):
            batcher.submit(
                inputs,
                outputs,
                done=lambda answer, at=place: came.__setitem__(at, answer),
                gone=lambda at=place: gone(at),
            )
        await asyncio.sleep(0.02)

    asyncio.run(turn())
    return came


def test_requests_of_one_turn_share_a_run_and_get_their_own_rows(model: OnnxModel) -> None:
    counting = Counting(model)
    asked = [(rows(1, 1), None), (rows(2, 5), None), (rows(1, 9), None)]

    came = together(Batcher(counting, FREE), asked)  # type: ignore[arg-type]

    assert counting.sizes == [4]
    for (inputs, _), answer in zip(asked, came, strict=True):
        alone = model.run(inputs)
        np.testing.assert_array_equal(answer["label"], alone["label"])
        np.testing.assert_allclose(answer["probabilities"], alone["probabilities"], rtol=1e-6)


def test_a_bad_request_does_not_fail_its_neighbours(model: OnnxModel) -> None:
    came = together(Batcher(Counting(model), FREE), [(rows(1, 1), None), (rows(1, -1), None), (rows(1, 2), None)])  # type: ignore[arg-type]

    assert [isinstance(answer, RefusedByModel) for answer in came] == [False, True, False]


def test_requests_for_other_outputs_do_not_share_a_run(model: OnnxModel) -> None:
    counting = Counting(model)

    came = together(Batcher(counting, FREE), [(rows(1), ("label",)), (rows(1), None), (rows(1), ("label",))])  # type: ignore[arg-type]

    assert counting.sizes == [2, 1]
    assert [sorted(answer) for answer in came] == [["label"], ["label", "probabilities"], ["label"]]


def test_a_request_larger_than_a_batch_has_a_run_of_its_own(model: OnnxModel) -> None:
    counting = Counting(model)

    came = together(Batcher(counting, FREE, max_rows=4), [(rows(9), None), (rows(2), None), (rows(3), None)])  # type: ignore[arg-type]

    assert counting.sizes == [9, 2, 3]
    assert [len(answer["label"]) for answer in came] == [9, 2, 3]


def test_whoever_has_left_is_not_answered(model: OnnxModel) -> None:
    counting = Counting(model)

    came = together(Batcher(counting, FREE), [(rows(1), None), (rows(1), None)], gone=lambda place: place == 0)  # type: ignore[arg-type]

    assert (counting.sizes, came[0]) == ([1], None)


def test_no_rows_are_answered_alone(model: OnnxModel) -> None:
    came = together(Batcher(model, FREE), [(rows(0), None), (rows(1), None)])

    assert [len(answer["label"]) for answer in came] == [0, 1]


def test_where_a_batch_does_not_pay_each_runs_at_once(model: OnnxModel) -> None:
    counting = Counting(model)

    together(Batcher(counting, Costs(run_ns=1000, best_rows=1)), [(rows(1), None), (rows(1), None)])  # type: ignore[arg-type]

    assert counting.sizes == [1, 1]


def test_costs_are_measured_on_the_packages_own_rows(model: OnnxModel) -> None:
    costs = measure(model)

    assert costs.run_ns > 0
    assert costs.inline
    assert shares_runs(model)
    assert costs.best_rows >= 1


def test_a_model_without_free_rows_shares_no_runs(tmp_path: Path) -> None:
    fixed = identity_model(TensorProto.FLOAT, (2, 2))
    package = make_package(tmp_path / "p", fixed, name="fixed", inputs={"x": np.ones((2, 2), "f4")}, batched=False)
    serving = create_serving(Settings(packages=(package.root,), threads=1))
    serving.repository.load()
    found = serving.repository.find("fixed")

    assert not shares_runs(found)
    assert measure(found).best_rows == 1
